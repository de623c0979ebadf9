"""Interrupted training: gone on with from its file, it ends as if nothing had happened."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from hashkernels.train import HashHead, History, Progress, build_loss, build_model, encode, fit, method_names

ITEMS, CLASSES, BITS = 36, 3, 16
LABELS = torch.arange(ITEMS) % CLASSES
DATA = torch.randn(ITEMS, 6, generator=torch.Generator().manual_seed(0)) + 3 * torch.eye(6)[LABELS], LABELS
OPTIONS: dict[str, Any] = {"epochs": 4, "batch_size": 12, "schedule": "cosine", "weight_decay": 0.1, "seed": 7}
# Losses that keep more than those of the methods by name.
BANKS: dict[str, dict[str, Any]] = {
    "dpsh": {"skip_unfilled": True},
    "dtsh": {"drawn": 2},
    "hashnet": {"skip_unfilled": True, "interval": 2},
    "dpn": {"update_every": 1},
    "dpn_d": {"update_every": 1},
}


def net(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 8), nn.Dropout(0.3), HashHead(8, BITS))


def stop_at(step: int) -> Callable[[Progress], None]:
    def interrupt(progress: Progress) -> None:
        if progress.step == step:
            raise KeyboardInterrupt

    return interrupt


class Run(nn.Module):
    """A model and a loss as a new process would make them, and what came of them."""

    def __init__(self, method: str, options: dict[str, Any], seed: int = 0, model: nn.Module | None = None) -> None:
        super().__init__()
        self.model = net(seed) if model is None else model
        self.loss = build_loss(method, BITS, CLASSES, num_train=ITEMS, **options)
        self.history = History({})

    def fit(self, data: Any = DATA, **options: Any) -> Run:
        self.history = fit(self.model, self.loss, data, **OPTIONS | options)
        return self

    def interrupt(self, step: int, **options: Any) -> None:
        with pytest.raises(KeyboardInterrupt):
            self.fit(progress=stop_at(step), **options)


def assert_same(found: Run, expected: Run) -> None:
    assert found.history.to_dict() == expected.history.to_dict()
    values, others = found.state_dict(), expected.state_dict()
    assert values.keys() == others.keys()
    for name, value in values.items():
        assert torch.equal(value, others[name]), name


CASES = [(name, {}) for name in method_names()] + list(BANKS.items())


@pytest.mark.parametrize(
    ("method", "options"), CASES, ids=lambda part: part if isinstance(part, str) else "+".join(part)
)
@pytest.mark.filterwarnings("ignore:codes collapsed")
def test_every_method_goes_on_bit_for_bit(method: str, options: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "state"
    expected = Run(method, options).fit()
    Run(method, options).interrupt(3, state=path)  # as its first epoch ends
    Run(method, options, seed=1).interrupt(8, state=path)  # two batches into the third; its own weights do not count
    found = Run(method, options, seed=2).fit(state=path)
    assert_same(found, expected)
    assert torch.equal(encode(found.model, DATA[0]), encode(expected.model, DATA[0]))
    assert os.listdir(tmp_path) == ["state"]


def test_a_net_of_images_and_multi_hot_labels_go_on_in_the_same_process(tmp_path: Path) -> None:
    images = torch.rand(ITEMS, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    data = images, torch.eye(CLASSES, dtype=torch.int64)[LABELS] | torch.eye(CLASSES, dtype=torch.int64)[0]
    options = {"skip_unfilled": True}
    expected = Run("dpsh_d", options, model=build_model((1, 8, 8), BITS)).fit(data)
    found = Run("dpsh_d", options, model=build_model((1, 8, 8), BITS))
    for step in (4, 9):
        found.interrupt(step, data=data, state=tmp_path / "state")
    torch.manual_seed(5)
    before = torch.get_rng_state()
    assert_same(found.fit(data, state=tmp_path / "state"), expected)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_run_that_is_over_is_given_back_without_a_step(tmp_path: Path) -> None:
    path = tmp_path / "state"
    expected = Run("csq_d", {}).fit(state=path)
    written = path.read_bytes()
    assert_same(Run("csq_d", {}, seed=1).fit(state=path, progress=stop_at(12)), expected)
    assert path.read_bytes() == written


def test_the_same_data_may_come_as_arrays_and_laid_out_otherwise(tmp_path: Path) -> None:
    Run("csq", {}).interrupt(3, state=tmp_path / "state")
    data = DATA[0].t().contiguous().t(), DATA[1].numpy()
    assert_same(Run("csq", {}).fit(data, state=tmp_path / "state"), Run("csq", {}).fit())


def test_what_progress_was_told_is_in_the_file(tmp_path: Path) -> None:
    told: list[Progress] = []
    Run("csq", {}).interrupt(6, state=tmp_path / "state")
    Run("csq", {}).fit(state=tmp_path / "state", progress=told.append)
    assert [progress.step for progress in told] == list(range(7, 13))
    assert [progress.record.epoch for progress in told if progress.record] == [3, 4]


def test_parameters_that_are_not_trained_and_such_that_are_shared(tmp_path: Path) -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Linear(6, 6)
            self.second = nn.Linear(6, 6)
            self.second.weight = self.first.weight
            self.frozen = nn.Linear(6, 6).requires_grad_(False)
            self.unused = nn.Linear(2, 2)
            self.head = HashHead(6, BITS)

        def forward(self, x: Tensor) -> Tensor:
            outputs: Tensor = self.head(self.frozen(self.second(self.first(x))))
            return outputs

    def run() -> Run:
        torch.manual_seed(3)
        return Run("csq", {}, model=Tied())

    run().interrupt(3, state=tmp_path / "state")
    assert_same(run().fit(state=tmp_path / "state"), run().fit())
    other = run()
    other.model.frozen.requires_grad_()  # type: ignore[operator]
    with pytest.raises(ValueError, match=r"model\.frozen\.weight is float32 \[6, 6\] without gradient there, float32 "):
        other.fit(state=tmp_path / "state")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 5}, "epochs is 4 there, 5 here"),
        ({"batch_size": 8, "seed": 1}, "batch_size is 12 there, 8 here; seed is 7 there, 1 here"),
        (
            {"learning_rate": 0.01, "schedule": "constant"},
            "learning_rate is 0.001 there, 0.01 here; schedule is cosine",
        ),
        ({"weight_decay": 0.0}, "optimiser is AdamW there, Adam here; weight_decay is 0.1 there, 0.0 here"),
        ({"data": (DATA[0][:35], DATA[1][:35])}, "items is 36 there, 35 here"),
        ({"data": (DATA[0].nextafter(DATA[0] + 1), DATA[1])}, r"checksum of the data is \d+ there, \d+ here"),
        ({"data": (DATA[0], DATA[1].roll(1))}, r"checksum of the data is \d+ there, \d+ here"),
    ],
)
def test_other_settings_are_refused_by_name(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = tmp_path / "state"
    Run("csq", {}).interrupt(3, state=path)
    other = Run("csq", {}, seed=1)
    before = {name: value.clone() for name, value in other.state_dict().items()}
    with pytest.raises(ValueError, match=rf"state: the state of another training run: {message}"):
        other.fit(state=path, **options)
    assert all(torch.equal(value, before[name]) for name, value in other.state_dict().items())


def test_other_modules_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "state"
    Run("ecm", {}).interrupt(3, state=path)
    dropout = net(0)
    dropout[1].p = 0.4  # type: ignore[index]
    wider = nn.Sequential(nn.Linear(6, 9), nn.Dropout(0.3), HashHead(9, BITS))
    for run, message in (
        (Run("ecm_plotkin", {}), r"loss is ECMLoss\(.*\) there, ECMLoss\(.*\) here$"),
        (Run("dch", {}), r"loss is ECMLoss\(.*\) there, DCHLoss\(.*\) here$"),
        (Run("ecm_d", {}), r"; loss\.base_loss is missing there, ECMLoss\(.*\) here; .* is missing .*; \d+ more$"),
        (Run("ecm", {}, model=dropout), r"model\.1 is Dropout\(p=0\.3, .*\) there, Dropout\(p=0\.4, .*\) here$"),
        (Run("ecm", {}, model=wider), r"model\.0\.weight is float32 \[8, 6\] there, float32 \[9, 6\] here"),
        (Run("ecm", {}, model=net(0).double()), r"model\.0\.weight is float32 \[8, 6\] there, float64 \[8, 6\] here"),
    ):
        with pytest.raises(ValueError, match=message) as caught:
            run.fit(state=path)
        assert "\n" not in str(caught.value)


def test_a_function_of_another_address_is_no_other_module(tmp_path: Path) -> None:
    class Lambda(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.function = lambda x: x.relu()

        def extra_repr(self) -> str:
            return repr(self.function)

        def forward(self, x: Tensor) -> Tensor:
            outputs: Tensor = self.function(x)
            return outputs

    runs = [Run("csq", {}, model=nn.Sequential(Lambda(), net(0))) for _ in range(3)]
    runs[0].interrupt(3, state=tmp_path / "state")
    assert_same(runs[1].fit(state=tmp_path / "state"), runs[2].fit())


def test_a_buffer_of_another_shape_is_refused_by_name(tmp_path: Path) -> None:
    class Weighted(nn.Module):
        def __init__(self, size: int) -> None:
            super().__init__()
            self.register_buffer("weights", torch.ones(size))

        def forward(self, u: Tensor, labels: Tensor, *, indices: Tensor) -> Tensor:
            return (u.square().mean(1) * self.weights[indices]).mean()

    fit(net(0), Weighted(ITEMS), DATA, epochs=1, state=tmp_path / "state")
    with pytest.raises(
        ValueError, match=r"do not fit together \(.* size mismatch for weights: .*\[36\].*\[40\]"
    ) as caught:
        fit(net(0), Weighted(40), DATA, epochs=1, state=tmp_path / "state")
    assert "\n" not in str(caught.value)


def test_files_that_are_no_state_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "state"
    Run("csq_d", {}).interrupt(3, state=path)
    raw = path.read_bytes()
    (length,) = struct.unpack("<Q", raw[:8])
    header, body = json.loads(raw[8 : 8 + length]), raw[8 + length :]
    meta = json.loads(header["__metadata__"]["hashkernels"])

    def changed(renamed: dict[str, str] | None = None, **changes: object) -> bytes:
        names = {(renamed or {}).get(name, name): value for name, value in header.items()}
        text = json.dumps(names | {"__metadata__": {"hashkernels": json.dumps(meta | changes)}}).encode()
        return struct.pack("<Q", len(text)) + text + body

    swapped = {"optimiser.0.exp_avg": "optimiser.2.exp_avg", "optimiser.2.exp_avg": "optimiser.0.exp_avg"}
    cases = [
        (raw[: len(raw) // 2], "damaged or not a safetensors file"),
        (b"", "damaged or not a safetensors file"),
        (changed().replace(b"hashkernels", b"other stuff"), "its header lacks our settings"),
        (changed().replace(b"records", b"notes  "), "its header lacks our settings"),
        (changed(format=2), "expected a training run in format 1, got 2"),
        (changed(settings=[]), r"expected the settings of a training run, got \[\]"),
        (changed(settings={}), "another training run: optimiser is missing there, AdamW here"),
        (changed(records=[{"epoch": 1}]), r"do not fit together \(.*missing"),
        (changed(records=3), r"do not fit together \(.*not iterable"),
        (changed({"model.0.weight": "model.0.other"}), r"do not fit together \(.*Missing key"),
        (changed({"random.0": "random.7"}), r"do not fit together \('0'\)"),
        (changed({"random.0": "optimiser.0.step", "optimiser.0.step": "random.0"}), r"do not fit together \("),
        (changed({"optimiser.0.exp_avg": "optimiser.99.exp_avg"}), r"do not fit together \(list index"),
        (changed(swapped), r"do not fit together \(.*size"),
    ]
    for content, message in cases:
        path.write_bytes(content)
        with pytest.raises(ValueError, match=f"state: .*{message}") as caught:
            Run("csq_d", {}).fit(state=path)
        assert "\n" not in str(caught.value)
    assert path.read_bytes() == content
    run, expected = Run("csq_d", {}).fit(state=path, resume=False), Run("csq_d", {}).fit()
    assert_same(run, expected)
    assert_same(Run("csq_d", {}).fit(state=path), expected)


def test_a_state_that_cannot_be_kept_is_told_of_before_the_first_step(tmp_path: Path) -> None:
    class Keeps(HashHead):
        def get_extra_state(self) -> dict[str, int]:
            return {"calls": 1}

        def set_extra_state(self, state: Any) -> None:
            pass

    never = stop_at(1)
    with pytest.raises(FileNotFoundError, match="absent"):
        Run("csq", {}).fit(state=tmp_path / "absent" / "state", progress=never)
    with pytest.raises(IsADirectoryError, match="is a folder, expected a file"):
        Run("csq", {}).fit(state=tmp_path, progress=never)
    with pytest.raises(OSError, match="/dev/null is a device or a pipe, expected the name of a file"):
        Run("csq", {}).fit(state="/dev/null", progress=never)
    with pytest.raises(TypeError, match="state must be None for a model that keeps other things than tensors"):
        Run("csq", {}, model=Keeps(6, BITS)).fit(state=tmp_path / "state", progress=never)
    assert not os.listdir(tmp_path)


def test_an_epoch_that_cannot_be_written_leaves_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "state"
    Run("csq", {}).interrupt(3, state=path)
    before = path.read_bytes()

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match=r"No space left on device: '.*state'"):
            Run("csq", {}).fit(state=path)
    assert path.read_bytes() == before
    assert_same(Run("csq", {}).fit(state=path), Run("csq", {}).fit())

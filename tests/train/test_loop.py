"""The training loop: what it trains, what it reports, and that it can be repeated."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from hashkernels import HashkernelsWarning
from hashkernels.losses import CSQLoss, ECMLoss, GreedyHashLoss
from hashkernels.train import HashHead, Progress, SmallConvNet, build_loss, build_model, embed, encode, fit


def blobs(count: int = 60, classes: int = 3, width: int = 6, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Well separated classes of points."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % classes
    return 0.3 * torch.randn(count, width, generator=generator) + 4 * torch.eye(width)[labels], labels


def test_fit_learns_separated_classes() -> None:
    data = blobs()
    model = build_model((6,), 16)
    fit(model, build_loss("csq", 16, 3), data, epochs=30, batch_size=16, learning_rate=1e-2)
    codes = encode(model, data[0])
    distance = (codes[:, None] ^ codes[None]).numpy()
    near = np.unpackbits(distance, axis=2).sum(axis=2) <= 2
    same = (data[1][:, None] == data[1][None]).numpy()
    assert (near == same).mean() > 0.98


def test_fit_repeats_bit_for_bit_and_leaves_the_global_random_state() -> None:
    def run(seed: int) -> tuple[Any, torch.Tensor]:
        model = build_model((6,), 16, seed=seed)
        loss = build_loss("csq_d", 16, 3, seed=seed)
        history = fit(model, loss, blobs(), epochs=3, batch_size=16, seed=seed)
        return history.to_dict(), torch.as_tensor(embed(model, blobs()[0]))

    torch.manual_seed(5)
    before = torch.get_rng_state()
    (first, first_u), (second, second_u), (other, _) = run(1), run(1), run(2)
    assert torch.equal(torch.get_rng_state(), before)
    assert first == second
    assert torch.equal(first_u, second_u)
    assert first["epochs"] != other["epochs"]


def test_the_generators_of_gpus_that_are_not_used_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def started(seed: int) -> None:
        raise AssertionError(f"all GPUs draw from {seed}")

    monkeypatch.setattr(torch.cuda, "manual_seed_all", started)
    fit(build_model((6,), 16), build_loss("csq_d", 16, 3), blobs(), epochs=1)


def test_training_on_the_cpu_keeps_off_the_default_device(monkeypatch: pytest.MonkeyPatch) -> None:
    # Adam keeps its count of steps on the default device, which a step of plain descent does not need.
    def descent(groups: list[dict[str, Any]], lr: float) -> torch.optim.Optimizer:
        return torch.optim.SGD([part for group in groups for part in group["params"]], lr=lr)

    monkeypatch.setattr(torch.optim, "AdamW", descent)

    def run(device: str) -> tuple[Any, Any]:
        model, loss, data = build_model((6,), 16), build_loss("csq_d", 16, 3), blobs()
        with torch.device(device):
            return fit(model, loss, data, epochs=2, batch_size=16).to_dict(), embed(model, data[0].numpy())

    (expected, codes), (found, found_codes) = run("cpu"), run("meta")
    assert found == expected
    np.testing.assert_array_equal(found_codes, codes)


def test_settings_of_numpy_are_plain_numbers_in_the_history() -> None:
    options: dict[str, Any] = {
        "epochs": np.int64(1),
        "batch_size": np.int32(16),
        "learning_rate": np.float32(0.5),
        "weight_decay": np.float32(0.25),
        "seed": np.uint64(3),
    }
    settings = fit(build_model((6,), 16), CSQLoss(16, 3), blobs(), **options).to_dict()["settings"]
    assert json.loads(json.dumps(settings)).items() >= {name: value.item() for name, value in options.items()}.items()


def test_fit_trains_the_parameters_of_the_loss() -> None:
    for name, part in (("greedyhash", "classifier"), ("csq_d", "posterior")):
        loss = build_loss(name, 16, 3)
        before = {key: value.clone() for key, value in getattr(loss, part).state_dict().items()}
        fit(build_model((6,), 16), loss, blobs(), epochs=1)
        assert any(not torch.equal(value, before[key]) for key, value in getattr(loss, part).state_dict().items())


def test_history_counts_what_the_codes_look_like() -> None:
    class Fixed(nn.Module):
        """Gives back its input, so that the codes of the epoch are known; one weight keeps Adam content."""

        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(()))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + 0 * self.weight

    items = torch.tensor([[1.0, -1, -1, 2], [1, -1, 3, -2], [1, -1, -2, 1], [1, -1, 1, -1]])
    labels = torch.tensor([0, 1, 0, 1])
    history = fit(Fixed(), ECMLoss(4, 2, margin="plotkin"), (items, labels), epochs=1, batch_size=2)
    record = history.records[0]
    assert record.distinct_codes == 2
    assert record.constant_bits == 2
    assert record.bit_balance == pytest.approx((0 + 0 + 1 + 1) / 4)
    assert set(record.terms) == {"positive", "negative", "quantization"}
    assert record.loss == pytest.approx(sum(record.terms.values()))
    assert history.series("distinct_codes") == [2.0]
    assert record.separation == 2.0  # two classes, two bits apart, each on its center


def test_progress_counts_every_batch_and_may_stop_the_run() -> None:
    seen: list[Progress] = []
    fit(build_model((6,), 16), CSQLoss(16, 3), blobs(50), epochs=2, batch_size=16, progress=seen.append)
    assert [part.step for part in seen] == list(range(1, 9))
    assert {part.num_steps for part in seen} == {8}
    assert [part.step for part in seen if part.record] == [4, 8]

    def stop(_: Progress) -> None:
        raise KeyboardInterrupt

    model = build_model((6,), 16).eval()
    with pytest.raises(KeyboardInterrupt):
        fit(model, CSQLoss(16, 3), blobs(50), epochs=2, progress=stop)
    assert not model.training


def test_encoding_tells_its_progress() -> None:
    seen: list[tuple[int, int]] = []
    model, (items, _) = build_model((6,), 16), blobs(50)
    told = encode(model, items, batch_size=20, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(20, 50), (40, 50), (50, 50)]
    assert torch.equal(told, encode(model, items, batch_size=20))


def test_no_batch_is_a_lone_item() -> None:
    # 65 items in batches of 64, and 3 in batches of 2, would each end with one, on which batch normalisation fails.
    for count, size in ((65, 64), (3, 2), (2, 2)):
        assert fit(build_model((6,), 8), CSQLoss(8, 3), blobs(count), epochs=1, batch_size=size).records


def test_collapse_is_warned_of_once() -> None:
    # ECM without batch normalisation from scratch, with a heavy quantization term: all items get one code.
    torch.manual_seed(0)
    images = torch.rand(64, 1, 8, 8)
    model = SmallConvNet((1, 8, 8), 16, batch_norm=False)
    loss = ECMLoss(16, 10, quantization_weight=0.1)
    with pytest.warns(HashkernelsWarning, match="codes collapsed in epoch") as caught:
        history = fit(model, loss, (images, torch.arange(64) % 10), epochs=8, batch_size=32)
    assert len(caught) == 1
    assert history.records[-1].distinct_codes < 10


def test_a_loss_that_is_not_finite_stops_the_run() -> None:
    class Diverging(nn.Module):
        def forward(self, u: torch.Tensor, labels: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
            return u.sum() * math.inf

    with pytest.raises(ValueError, match=r"lower learning_rate, got 0\.001"):
        fit(build_model((6,), 8), Diverging(), blobs(), epochs=2)


def test_arrays_and_a_map_style_dataset_are_a_pair_too() -> None:
    items, labels = blobs()
    pairs = torch.utils.data.TensorDataset(items, labels)
    first = fit(build_model((6,), 16), CSQLoss(16, 3), (items, labels), epochs=2)
    second = fit(build_model((6,), 16), CSQLoss(16, 3), pairs, epochs=2)
    third = fit(build_model((6,), 16), CSQLoss(16, 3), (items.numpy(), labels.numpy()), epochs=2)
    assert first.to_dict() == second.to_dict() == third.to_dict()


@pytest.mark.parametrize("dtype", [np.uint16, np.uint32, np.uint64])
def test_labels_of_any_unsigned_dtype_train(dtype: type[np.unsignedinteger[Any]]) -> None:
    items, labels = blobs()
    expected = fit(build_model((6,), 16), CSQLoss(16, 3), (items, labels), epochs=1)
    found = fit(build_model((6,), 16), CSQLoss(16, 3), (items.numpy(), labels.numpy().astype(dtype)), epochs=1)
    assert found.to_dict() == expected.to_dict()


def test_what_a_dataset_gives_after_the_label_is_not_looked_at() -> None:
    """As a script of one's own has it, whose bank wants the position of each item."""
    items, labels = blobs()
    expected = fit(build_model((6,), 16), CSQLoss(16, 3), (items, labels), epochs=2)
    indexed = TensorDataset(items, labels, torch.arange(60))
    assert fit(build_model((6,), 16), CSQLoss(16, 3), indexed, epochs=2).to_dict() == expected.to_dict()


@pytest.mark.parametrize(
    ("sample", "message"),
    [
        ({"image": torch.zeros(6), "label": 0}, "must give an item and its label for each position, got dict"),
        ((torch.zeros(6),), "must give an item and its label for each position, got 1 part"),
        ((torch.zeros(6), "cat"), "labels of dataset must be tensors, arrays or numbers, got tuple"),
        ((torch.zeros(6), [0, 2]), "labels of dataset must be tensors, arrays or numbers, got list"),
    ],
)
def test_fit_says_what_a_dataset_must_give(sample: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        fit(build_model((6,), 16), CSQLoss(16, 3), [sample] * 4, epochs=1)  # type: ignore[arg-type]


def test_multi_hot_labels_train() -> None:
    items, labels = blobs()
    multi_hot = torch.nn.functional.one_hot(labels, 3)
    history = fit(build_model((6,), 16), build_loss("ecm_plotkin", 16, 3), (items, multi_hot), epochs=2)
    assert len(history.records) == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
        ({"batch_size": 1}, "batch_size must be at least 2, got 1"),
        ({"learning_rate": -1.0}, "learning_rate must be at least 0, got -1"),
        ({"schedule": "step"}, "schedule must be one of constant, cosine"),
        ({"seed": -1}, r"seed must be in 0\.\."),
    ],
)
def test_fit_refuses_settings(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fit(build_model((6,), 8), CSQLoss(8, 3), blobs(), **options)


def test_fit_refuses_data_that_does_not_fit() -> None:
    items, labels = blobs()
    with pytest.raises(ValueError, match="one label for each of 60"):
        fit(build_model((6,), 8), CSQLoss(8, 3), (items, labels[:5]))
    loader = DataLoader(TensorDataset(items, labels), batch_size=8)
    with pytest.raises(TypeError, match=r"or a map-style Dataset, got DataLoader: give its dataset, and batch_size"):
        fit(build_model((6,), 8), CSQLoss(8, 3), loader)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"dataset must be a pair \(items, labels\) or a map-style Dataset, got set"):
        fit(build_model((6,), 8), CSQLoss(8, 3), {1, 2})  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"dataset must be a pair \(items, labels\) .* got a list of arrays"):
        fit(build_model((6,), 8), CSQLoss(8, 3), [items, labels])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"dataset must be a pair \(items, labels\), got 3 parts"):
        fit(build_model((6,), 8), CSQLoss(8, 3), (items, labels, labels))  # type: ignore[arg-type]
    pairs = list(zip(items, labels, strict=True))
    assert len(fit(build_model((6,), 8), CSQLoss(8, 3), pairs, epochs=1).records) == 1  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"item_shape must be \(C, H, W\) or \(D,\), got int"):
        build_model(6, 8)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"loss must be a torch\.nn\.Module, got str: build_loss makes one"):
        fit(build_model((6,), 8), "ecm", (items, labels))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"model must be a torch\.nn\.Module, got str$"):
        fit("resnet", CSQLoss(8, 3), (items, labels))  # type: ignore[arg-type]
    half = HashHead(4, 8).half()
    with pytest.raises(TypeError, match="model must have no parameters of float16 to be trained: Adam would divide"):
        fit(half, CSQLoss(8, 2), (torch.zeros(4, 4), torch.tensor([0, 1, 0, 1])))
    with pytest.raises(ValueError, match="at least 2 items, got 1"):
        fit(build_model((6,), 8), CSQLoss(8, 3), (items[:1], labels[:1]))
    with pytest.raises(ValueError, match=r"items must have shape \[N, 6\]"):
        embed(build_model((6,), 8), torch.zeros(2, 7))
    with pytest.raises(ValueError, match="must not be empty"):
        embed(build_model((6,), 8), torch.zeros(0, 6))


class _FormulaLoss(nn.Module):
    """A loss of one's own."""

    def __init__(self, formula: Callable[..., Any]) -> None:
        super().__init__()
        self.forward = formula


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        (
            lambda u, labels: u.mean(),
            r"\(u, labels, indices=\.\.\.\): _FormulaLoss.forward: got an unexpected.*'indices'",
        ),
        (lambda u, labels, margin, indices: u.mean(), "missing a required argument: 'margin'"),
        (lambda *, u, labels, indices: u.mean(), "too many positional arguments"),
        (lambda u, labels, indices: u, r"loss must return a scalar, got shape \(60, 8\)"),
        (lambda u, labels, indices: u.mean().item(), "loss must return a torch.Tensor, got float"),
    ],
)
def test_fit_refuses_a_loss_that_does_not_take_or_give_what_it_should(
    formula: Callable[..., Any], message: str
) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        fit(build_model((6,), 8), _FormulaLoss(formula), blobs())


def test_errors_within_a_loss_are_its_own() -> None:
    def formula(u: torch.Tensor, labels: torch.Tensor, **rest: Any) -> torch.Tensor:
        raise TypeError(f"only {sorted(rest)}")

    with pytest.raises(TypeError, match=r"^only \['indices'\]$"):
        fit(build_model((6,), 8), _FormulaLoss(formula), blobs())
    assert len(fit(build_model((6,), 8), _FormulaLoss(lambda u, y, indices: u.square().mean()), blobs()).records) == 12


def test_cosine_schedule_ends_at_zero_and_weight_decay_spares_the_loss() -> None:
    data = blobs()
    loss = GreedyHashLoss(16, 3, quantization_weight=0.0)
    frozen = {name: value.clone() for name, value in loss.state_dict().items()}
    model = build_model((6,), 16)
    fit(model, loss, data, epochs=1, learning_rate=0.0, weight_decay=0.5, schedule="cosine")
    assert all(torch.equal(value, frozen[name]) for name, value in loss.state_dict().items())
    constant = fit(build_model((6,), 16), CSQLoss(16, 3), data, epochs=4, batch_size=16)
    cosine = fit(build_model((6,), 16), CSQLoss(16, 3), data, epochs=4, batch_size=16, schedule="cosine")
    # The first steps are alike; later ones are smaller under the cosine.
    assert cosine.records[-1].loss > constant.records[-1].loss


def test_encode_is_the_sign_of_embed_in_evaluation_mode() -> None:
    model = build_model((1, 8, 8), 12).train()
    images = torch.randint(0, 256, (9, 1, 8, 8), dtype=torch.uint8)
    u = embed(model, images)
    assert model.training
    np.testing.assert_array_equal(encode(model, images).numpy(), np.packbits(u.numpy() > 0, axis=1))
    # In evaluation mode the batch that an item comes in does not matter; uint8 means 0..1.
    parts = np.concatenate([embed(model, part) for part in np.array_split(images.numpy(), 4)])
    np.testing.assert_allclose(parts, u.numpy(), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(embed(model, images.numpy() / np.float32(255)), u.numpy(), rtol=1e-5, atol=1e-6)


def test_hash_head_normalises_every_bit_and_learns_only_a_shift() -> None:
    x = torch.randn(256, 10) * 3 + 2
    head = HashHead(10, 24)
    u = head(x)
    torch.testing.assert_close(u.mean(0), torch.zeros(24), atol=1e-5, rtol=0)
    torch.testing.assert_close(u.var(0, unbiased=False), torch.ones(24), atol=1e-3, rtol=0)
    assert float(HashHead(10, 24, batch_norm=False)(x).detach().var()) != pytest.approx(1.0, abs=1e-3)
    fit(head, CSQLoss(24, 2), (x, torch.arange(256) % 2), epochs=3, learning_rate=0.1)
    learned = head(x)
    torch.testing.assert_close(learned.var(0, unbiased=False), torch.ones(24), atol=1e-3, rtol=0)
    # Two Hadamard words agree in half of their bits, which are then constant: without a shift they would be noise.
    assert learned.mean(0).abs().max() > 1


@pytest.mark.parametrize("shape", [(1, 2, 2), (3, 9, 5), (1, 16, 16), (3, 33, 70)])
def test_small_conv_net_takes_any_image_shape(shape: tuple[int, int, int]) -> None:
    assert tuple(SmallConvNet(shape, 10)(torch.rand(3, *shape)).shape) == (3, 10)


def test_models_refuse_sizes() -> None:
    with pytest.raises(ValueError, match="image_shape must be"):
        SmallConvNet((1, 1, 8), 8)
    with pytest.raises(ValueError, match="in_features must be at least 1"):
        HashHead(0, 8)
    with pytest.raises(ValueError, match="bits must be"):
        build_model((4,), 0)

"""Checkpoints: the round trip, and every file that is none."""

from __future__ import annotations

import json
import os
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from hashkernels.train import (
    HashHead,
    SmallConvNet,
    build_loss,
    build_model,
    embed,
    fit,
    load_checkpoint,
    save_checkpoint,
)


def test_sizes_of_numpy_can_be_saved_and_fractions_are_no_sizes(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    for model in (HashHead(np.int64(4), np.int64(8)), build_model(tuple(np.array([1, 8, 8])), np.int64(8))):
        save_checkpoint(path, model, settings={})
        assert load_checkpoint(path).model.config == model.config
    for shape in ((4.5,), (1, 8.0, 8)):
        with pytest.raises(TypeError, match=r"(item|image)_shape must be an int, got float"):
            build_model(shape, 8)
    with pytest.raises(ValueError, match=r"seed must be in 0..18446744073709551615, got 18446744073709551616"):
        build_model((4,), 8, seed=2**64)


@pytest.mark.parametrize("shape", [(1, 8, 8), (6,)])
def test_round_trip_gives_the_same_outputs(tmp_path: Path, shape: tuple[int, ...]) -> None:
    items = torch.rand(30, *shape)
    model, loss = build_model(shape, 16), build_loss("csq_d", 16, 3)
    fit(model, loss, (items, torch.arange(30) % 3), epochs=1)
    path = tmp_path / "model.safetensors"
    save_checkpoint(path, model, settings={"method": "csq_d", "bits": 16}, loss=loss)
    loaded = load_checkpoint(path)
    assert loaded.settings == {"method": "csq_d", "bits": 16}
    assert not loaded.model.training
    assert type(loaded.model) is type(model)
    assert torch.equal(embed(loaded.model, items), embed(model, items))
    fresh = build_loss("csq_d", 16, 3, seed=9)
    fresh.load_state_dict(loaded.loss_state)
    assert all(torch.equal(value, fresh.state_dict()[name]) for name, value in loss.state_dict().items())
    assert os.listdir(tmp_path) == ["model.safetensors"]


def test_loaded_models_train_on(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_checkpoint(path, HashHead(6, 16, hidden=5), settings={})
    model = load_checkpoint(path).model
    fit(model, build_loss("csq", 16, 3), (torch.rand(30, 6), torch.arange(30) % 3), epochs=1)


def header_of(raw: bytes) -> tuple[dict[str, object], bytes]:
    (length,) = struct.unpack("<Q", raw[:8])
    return json.loads(raw[8 : 8 + length]), raw[8 + length :]


def with_header(header: dict[str, object], body: bytes) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def test_files_that_are_no_checkpoint_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_checkpoint(path, SmallConvNet((1, 8, 8), 16), settings={})
    raw = path.read_bytes()
    header, body = header_of(raw)
    meta = json.loads(header["__metadata__"]["hashkernels"])  # type: ignore[index]

    def changed(**changes: object) -> bytes:
        return with_header(header | {"__metadata__": {"hashkernels": json.dumps(meta | changes)}}, body)

    cases = {
        "cut": raw[: len(raw) // 2],
        "short": raw[:5],
        "empty": b"",
        "pickle": pickle.dumps({"model": 1}),
        "huge": b"\xff" * 64,
        "foreign": with_header(header | {"__metadata__": {"format": "pt"}}, body),
        "bare": with_header(header | {"__metadata__": {"hashkernels": "[1, 2]"}}, body),
        "newer": changed(format=2),
        "kind": changed(model="os.system"),
        "no name": changed(model=[]),
        "bits": changed(config=meta["config"] | {"bits": 10**9}),
        "width": changed(config=meta["config"] | {"width": 10**6}),
        "option": changed(config=meta["config"] | {"nope": 1}),
    }
    for name, content in cases.items():
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"model\.safetensors") as caught:
            load_checkpoint(path)
        assert "\n" not in str(caught.value), name
    with pytest.raises(FileNotFoundError, match="does not exist"):
        load_checkpoint(tmp_path / "absent")
    with pytest.raises(IsADirectoryError):
        load_checkpoint(tmp_path)


def test_models_of_other_classes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="model must be one of SmallConvNet, HashHead, got Linear"):
        save_checkpoint(tmp_path / "a", torch.nn.Linear(2, 2), settings={})  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="settings must be a dict, got list"):
        save_checkpoint(tmp_path / "model.safetensors", HashHead(4, 8), settings=[1])
    with pytest.raises(TypeError, match="JSON serializable"):
        save_checkpoint(tmp_path / "a", HashHead(2, 8), settings={"path": tmp_path})
    assert not os.listdir(tmp_path)

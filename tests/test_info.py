from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
import torch

import hashkernels as hk
from hashkernels import _loader, _validation


@pytest.fixture
def default_threads() -> Iterator[None]:
    yield
    hk.set_num_threads(None)


def test_info_tells_what_is_in_use(isa: str) -> None:
    info = hk.info()
    assert info.version == version("hashkernels") == hk.__version__
    assert info.torch_version == torch.__version__
    assert info.isa == isa
    assert info.native == (isa != "reference")
    assert info.available_isas == tuple(_loader.available_isas())
    assert info.cuda == (info.cuda_version is not None) == bool(info.cuda_architectures)
    assert len(info.devices) == torch.cuda.device_count()
    assert info.threads == hk.get_num_threads()


def test_info_is_readable_by_people_and_machines() -> None:
    info = hk.info()
    assert json.loads(json.dumps(info.to_dict())) == info.to_dict()
    lines = str(info).splitlines()
    assert len(lines) == len(info.to_dict())
    assert any(line.split() == ["version", info.version] for line in lines)


@pytest.mark.usefixtures("default_threads")
def test_threads_follow_torch_until_set() -> None:
    assert hk.get_num_threads() == torch.get_num_threads()
    hk.set_num_threads(3)
    assert hk.get_num_threads() == hk.info().threads == 3
    hk.set_num_threads(None)
    assert hk.get_num_threads() == torch.get_num_threads()


@pytest.mark.usefixtures("default_threads")
@pytest.mark.parametrize(
    ("threads", "error", "message"),
    [(n, ValueError, rf"threads must be in 1\.\.4096, got {n}") for n in (0, -2, 4097, 2**31, 2**70)]
    + [(n, TypeError, f"threads must be an int, got {type(n).__name__}") for n in (2.0, True)],
)
def test_set_num_threads_names_what_is_wrong(threads: int, error: type[Exception], message: str) -> None:
    before = hk.get_num_threads()
    with pytest.raises(error, match=message):
        hk.set_num_threads(threads)
    assert hk.get_num_threads() == before


def test_validate_switches_the_checks_of_device_values() -> None:
    assert not _validation._validate_device_values
    hk.validate(True)
    assert _validation._validate_device_values
    hk.validate(False)
    assert not _validation._validate_device_values
    with pytest.raises(TypeError, match="enabled must be a bool, got int"):
        hk.validate(1)


def test_every_public_name_is_there_and_no_other_is_shown() -> None:
    for name in dir(hk):
        assert getattr(hk, name) is not None
    modules = {name for name in dir(hk) if inspect.ismodule(getattr(hk, name))}
    assert modules == {"centers", "data", "index", "losses", "metrics", "report", "surrogate", "train"}
    assert {*dir(hk)} - modules == {*hk.__all__, "__version__"}


def test_what_the_documents_name_is_shown() -> None:
    root = Path(__file__).parents[1]
    text = "".join(path.read_text() for path in (root / "README.md", *(root / "docs").glob("*.md")))
    named = set(re.findall(r"\b(?:hk|hashkernels)\.([A-Za-z]\w*)", text))
    assert named >= {"evaluate", "BinaryIndex", "losses"}
    assert named <= {*dir(hk)}


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'hashkernels' has no attribute 'nothing'"):
        hk.nothing  # noqa: B018

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

import hashkernels as hk
from hashkernels import _loader

ROOT = Path(hk.__file__).parent

NO_EXTENSION = """
import sys
sys.modules["hashkernels._native"] = None
"""

BROKEN_EXTENSION = """
import sys

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "hashkernels._native":
            raise ImportError("libmissing.so.1: cannot open shared object file")

sys.meta_path.insert(0, Finder())
"""

SEARCH = """
import numpy as np
import hashkernels as hk
codes = np.array([[1], [3], [0]], np.uint8)
for _ in range(2):
    assert hk.topk(codes, codes, 1).indices.tolist() == [[0], [1], [2]]
    assert hk.hamming_distance(codes, codes)[0].tolist() == [0, 1, 1]
"""


Run = Callable[..., CompletedProcess[str]]


@pytest.fixture
def run(python: Any) -> Run:
    """Runs code in a process of its own that shows every user's warning, however often it comes."""
    shown = "import warnings; warnings.simplefilter('always', UserWarning)\n"
    return lambda code, **environment: python.run(shown + code, environment=environment)


def test_without_the_extension_torch_answers_and_warns_once(run: Run) -> None:
    done = run(NO_EXTENSION + SEARCH + "print(hk.info().native, hk.info().isa, hk.info().available_isas)")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "False reference ()\n"
    assert done.stderr.count("HashkernelsWarning") == 1
    assert "native extension" in done.stderr
    assert "make install" in done.stderr or "pip install" in done.stderr  # from sources, or from a wheel


def test_who_asks_for_the_reference_is_not_warned(run: Run) -> None:
    for start in ("", NO_EXTENSION):
        done = run(start + SEARCH + "print(hk.info().isa)", HASHKERNELS_ISA="reference")
        assert (done.returncode, done.stdout, done.stderr) == (0, "reference\n", "")


def test_a_broken_extension_is_reported_at_import_and_not_again(run: Run) -> None:
    done = run(BROKEN_EXTENSION + SEARCH)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("HashkernelsWarning") == 1
    assert "cannot be loaded" in done.stderr
    assert "libmissing.so.1: cannot open shared object file" in done.stderr


def test_the_extension_answers_without_a_warning(run: Run) -> None:
    done = run(SEARCH + "print(hk.info().native)")
    assert (done.returncode, done.stdout, done.stderr) == (0, "True\n", "")


def test_a_missing_cuda_kernel_is_reported_once_with_what_to_do(run: Run) -> None:
    ask = "from hashkernels import _loader\nfor _ in range(2): assert _loader.cuda_kernel('cuda_nothing') is None"
    for start in ("", NO_EXTENSION):
        done = run(start + ask)
        assert done.returncode == 0, done.stderr
        assert done.stderr.count("HashkernelsWarning") == 1
        built = start == "" and hk.info().cuda
        assert ("there is no CUDA kernel cuda_nothing" if built else "HASHKERNELS_CUDA=ON") in done.stderr


@pytest.mark.parametrize("start", ["", NO_EXTENSION])
@pytest.mark.parametrize("use", ["hk.topk(np.zeros((1, 1), np.uint8), np.zeros((1, 1), np.uint8), 1)", "hk.info()"])
def test_an_unknown_instruction_set_stops_the_first_use(run: Run, start: str, use: str) -> None:
    done = run(start + f"import numpy as np, hashkernels as hk; print('imported'); {use}", HASHKERNELS_ISA="sse9")
    assert (done.returncode, done.stdout) == (1, "imported\n")
    assert re.search(
        r"ValueError: HASHKERNELS_ISA must be one of .*scalar.*reference, got 'sse9'$", done.stderr.strip()
    )


@pytest.mark.parametrize("name", _loader.available_isas())
def test_the_environment_chooses_the_instruction_set(run: Run, name: str) -> None:
    done = run(SEARCH + "print(hk.info().isa)", HASHKERNELS_ISA=name)
    assert (done.stdout, done.stderr) == (f"{name}\n", "")


def test_the_best_instruction_set_is_the_default(run: Run) -> None:
    done = run("import hashkernels as hk; print(hk.info().isa)")
    assert done.stdout.strip() == _loader.available_isas()[-1]


def test_set_isa_names_the_choices(isa: str) -> None:
    assert _loader.isa() == isa
    with pytest.raises(ValueError, match=r"isa must be one of scalar, .*reference, got 'mmx'"):
        _loader.set_isa("mmx")
    assert _loader.isa() == isa


def test_the_stub_is_what_the_extension_offers() -> None:
    stub = ast.parse((ROOT / "_native.pyi").read_text())
    declared = {node.name: len(node.args.args) for node in stub.body if isinstance(node, ast.FunctionDef)}
    assert _loader._native is not None
    classes = (node.name for node in stub.body if isinstance(node, ast.ClassDef))
    others = {name for name in classes if not name.startswith("_")}  # a base that several share is the stub's alone
    others |= {
        node.target.id for node in stub.body if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }
    public = {name: value for name, value in vars(_loader._native).items() if not name.startswith("_")}
    offered = {name: value.__doc__ for name, value in public.items() if name not in others}
    assert declared.keys() == offered.keys()
    assert others <= public.keys()
    for name, signature in offered.items():
        arguments = re.match(rf"{name}\((.*?)\) ->", signature)
        assert arguments is not None, signature
        count = len(arguments[1].split(", ")) if arguments[1] else 0
        assert count == declared[name], signature

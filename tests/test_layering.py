"""Keeps the arrows of the design true: who may import whom, and what ``import hashkernels`` may bring along."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import hashkernels as hk

ROOT = Path(hk.__file__).parent
# Benchmarks are installed beside the parts, but are users of the library.
MODULES = sorted(path for path in ROOT.rglob("*.py") if "benchmarks" not in path.relative_to(ROOT).parts[:-1])
CSRC = Path(__file__).parents[1] / "csrc"
SOURCES = [path for path in sorted(CSRC.rglob("*")) if path.suffix in (".h", ".hpp", ".cpp", ".cu", ".cuh")]

# A part may import the parts on the levels before its own, and itself.
LEVELS = [
    {"_native"},
    {"_loader"},
    {"_ops"},
    {"codes", "losses", "metrics", "index", "_info"},
    {"surrogate"},
    {"data", "train", "report"},
    {"cli"},
    {"__main__"},
]
# These import nothing of the package and may be imported by all.
GROUND = {"_validation", "_values", "_warnings", "_arrays", "_files", "_page", "_ranks", "_unpacked"}
BETWEEN = {
    "_validation": {"_values"},
    "_page": {"_validation"},
    "_unpacked": {"_warnings"},
    "reference": set(),
    "centers": {"_ops", "_validation", "_warnings"},
    "_loader": {"_native", "_validation", "_values", "_warnings"},
    "_ops": {"_loader", "_validation", "_values", "_warnings", "reference"},
}
TRAINING = {"data", "train", "report", "cli"}
# What the package itself offers, open to those parts that use the library as a user does.
PUBLIC = {"", "__version__", *hk.__all__}


def part_of(module: str) -> str:
    """The part of the package that a dotted module name lies in."""
    return module.split(".")[1] if "." in module else ""


def module_name(path: Path) -> str:
    relative = path.relative_to(ROOT.parent).with_suffix("")
    return ".".join(relative.parts).removesuffix(".__init__")


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def imports(tree: ast.AST, path: Path, *, into_functions: bool) -> Iterator[str]:
    """Dotted names that the code imports when it runs (``from a import b`` gives a.b: b may be a module)."""
    for node in ast.iter_child_nodes(tree):
        if is_type_checking(node) or (isinstance(node, ast.FunctionDef) and not into_functions):
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = path.relative_to(ROOT.parent).parts[: -node.level] if node.level else ()
            source = ".".join((*package, node.module) if node.module else package)
            yield from (f"{source}.{alias.name}" for alias in node.names)
        else:
            yield from imports(node, path, into_functions=into_functions)


def allowed_parts(part: str) -> set[str]:
    if part in BETWEEN:
        return BETWEEN[part]
    if part in GROUND:
        return set()
    level = next(i for i, parts in enumerate(LEVELS) if part in parts)
    allowed = GROUND.union(*LEVELS[:level], {"centers"}) if level > 2 else GROUND
    return allowed | TRAINING if part in TRAINING - {"data"} else allowed


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_parts_import_only_along_the_arrows(path: Path) -> None:
    name = module_name(path)
    if name == "hashkernels":
        return
    part = part_of(name)
    for imported in imports(ast.parse(path.read_text()), path, into_functions=True):
        if not imported.startswith("hashkernels"):
            continue
        target = part_of(imported)
        if target in PUBLIC:
            assert part in TRAINING, f"{name} imports {imported}"
        elif target != part:
            assert target in allowed_parts(part), f"{name} imports {imported}"


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_optional_packages_are_imported_inside_functions(path: Path) -> None:
    if part_of(module_name(path)) == "cli" and path.name != "__init__.py":
        return  # reached only through hashkernels.cli.main, which says what is missing
    for imported in imports(ast.parse(path.read_text()), path, into_functions=False):
        top = imported.partition(".")[0]
        assert top in {"hashkernels", "torch", "numpy"} or top in sys.stdlib_module_names, imported


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_pointers_and_op_registration_stay_in_ops(path: Path) -> None:
    if part_of(module_name(path)) in {"_ops", "_values"}:  # checks look at values before there is an op
        return
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            assert node.attr != "data_ptr"
            written = ast.unparse(node)
            assert not written.startswith(("torch.library", "torch.ops.hashkernels")), written


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_native_code_knows_neither_torch_nor_beyond_the_bindings_pybind11(path: Path) -> None:
    included = [line.split()[1] for line in path.read_text().splitlines() if line.startswith("#include ")]
    for header in included:
        assert "torch" not in header
        assert "ATen" not in header
        if "bindings" not in path.parts:
            assert "pybind11" not in header
            assert header != "<Python.h>"


def test_import_brings_nothing_but_torch_numpy_and_the_standard_library(python: Any) -> None:
    before = "import sys, torch, numpy; before = set(sys.modules); import hashkernels; "
    found = python.run(before + "print(*{name.partition('.')[0] for name in set(sys.modules) - before})").stdout
    # The import hook of an editable install is of the installer, not of the package.
    extra = {name for name in found.split() if not name.startswith("_editable")}
    assert extra - sys.stdlib_module_names - {"torch", "numpy"} == {"hashkernels"}


def test_import_loads_no_part_that_a_search_does_not_need(python: Any) -> None:
    code = "import sys, hashkernels; print(*(name for name in sys.modules if 'hashkernels.' in name))"
    parts = {part_of(name) for name in python.run(code).stdout.split()}
    assert "index" in parts
    assert not parts & {"losses", "metrics", "centers", "surrogate", "data", "train", "report", "cli"}


def test_import_takes_no_time_beyond_torch() -> None:
    # As a share of torch's own: whatever slows a machine down slows both.
    code = (
        "from time import process_time as now; start = now(); import numpy, torch; middle = now(); import hashkernels; "
        "print((now() - middle) / (middle - start))"
    )
    command = [sys.executable, "-P", "-c", code]
    assert any(float(subprocess.check_output(command)) < 0.1 for _ in range(3))

"""The machine code of the CUDA kernels, read without a GPU: nothing lies in local memory, the tensor-core path
multiplies matrices, loads are as wide as they should be, and all of it is small.

The disassembler comes with the test extra. A build without CUDA has no such code, and nothing to test here.
"""

from __future__ import annotations

import importlib.metadata
import os
import re
import subprocess
import zlib
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import pytest

import hashkernels
from hashkernels import _loader

pytestmark = pytest.mark.skipif(
    not _loader.build_info().get("cuda"), reason="this build has no CUDA kernels, whose machine code could be read"
)

INSTRUCTION = re.compile(r"^\s*/\*([0-9a-f]{4,})\*/\s+(?:@!?U?P\d+)?\s*([A-Z][A-Z0-9_.]*)([^;]*);")
TARGET = re.compile(r"0x([0-9a-f]+)\s*$")
NAMES = (
    "hamming_distance_kernel",
    "place_kernel",
    "warp_count_kernel",
    "count_kernel",
    "retrieval_counts_kernel",
    "float32_kernel",
    "split_kernel",
    "triplets_kernel",
)


def tool(name: str) -> Path:
    """The executable of the package nvidia-cuda-<name>."""
    files = importlib.metadata.files(f"nvidia-cuda-{name}") or []
    return next(Path(file.locate()) for file in files if file.name == name)


class Instruction(NamedTuple):
    address: int
    opcode: str  # without its modifiers
    modifiers: str
    operands: str


@lru_cache
def kernels() -> dict[str, list[Instruction]]:
    """The instructions of every kernel, by mangled name, for the first architecture of the build."""
    native = _loader._native
    assert native is not None
    architecture = str(_loader.build_info()["cuda_architectures"][0]).partition("-")[0]
    environment = {**os.environ, "PATH": f"{tool('nvdisasm').parent}{os.pathsep}{os.environ['PATH']}"}
    command = [str(tool("cuobjdump")), "-sass", "-arch", f"sm_{architecture}", str(native.__file__)]
    text = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
    found: dict[str, list[Instruction]] = {}
    for line in text.splitlines():
        if line.lstrip().startswith("Function : "):
            found[line.partition(" : ")[2].strip()] = code = []
        elif match := INSTRUCTION.match(line):
            opcode, _, modifiers = match[2].partition(".")
            code.append(Instruction(int(match[1], 16), opcode, modifiers, match[3]))
    return found


def test_every_kernel_is_there() -> None:
    assert len(kernels()) > 60
    for part in NAMES:
        assert any(part in name for name in kernels())


def test_a_wheel_stays_below_5_megabytes() -> None:
    native = _loader._native
    assert native is not None
    files = [Path(str(native.__file__)), *Path(hashkernels.__file__).parent.rglob("*.py")]
    assert sum(len(zlib.compress(path.read_bytes())) for path in files) < 4_900_000


def test_nothing_lies_in_local_memory() -> None:
    for name, code in kernels().items():
        assert not [here for here in code if here.opcode in ("LDL", "STL")], name


def targets(code: list[Instruction], opcode: str) -> list[tuple[int, int]]:
    """The address of each such instruction, and the address where it goes."""
    found = [(here.address, TARGET.search(here.operands)) for here in code if here.opcode == opcode]
    return [(address, int(to[1], 16)) for address, to in found if to]


def loops(code: list[Instruction]) -> list[tuple[int, int]]:
    """From where to where each branch goes back."""
    return [(to, address) for address, to in targets(code, "BRA") if to < address]


def divisions(code: list[Instruction]) -> list[int]:
    """The addresses of calls of a function that divides.

    Calls also go to the next instruction but one, and to functions that vote: that is where threads wait for others.
    """
    found = []
    for address, to in targets(code, "CALL"):
        if to == address + 0x20:
            continue
        body = [here.opcode for here in code if here.address >= to]
        if "RET" in body and "MUFU" in body[: body.index("RET")]:
            found.append(address)
    return found


def test_no_loop_divides() -> None:
    # Of 64-bit integers and of doubles, divisions are functions.
    for name, code in kernels().items():
        calls = divisions(code)
        assert not [(first, last) for first, last in loops(code) if any(first <= call <= last for call in calls)], name


def test_divisions_are_found() -> None:
    # A thread divides once, to know its query and its chunk.
    assert all(divisions(code) for name, code in kernels().items() if "wide_retrieval_counts_kernel" in name)


def test_loops_are_found() -> None:
    assert all(loops(code) for name, code in kernels().items() if "retrieval_counts_kernel" in name)


def of_64_bits(kernel: str) -> list[list[Instruction]]:
    found = [code for name, code in kernels().items() if f"{kernel}INS0_5WidthILi2ELb1E" in name]
    assert found
    return found


def test_counting_waits_for_no_counter() -> None:
    for code in of_64_bits("retrieval_counts_kernel"):
        additions = [here for here in code if here.opcode == "ATOMS"]
        assert additions
        assert all(here.operands.strip().startswith("RZ,") for here in additions)
        assert any(here.opcode == "LDS" and "128" in here.modifiers for here in code)


def test_a_filter_has_no_code_for_more_queries_than_a_thread_brings() -> None:
    # That code, unrolled, took the registers of two or three further blocks.
    for code in of_64_bits("filter_kernel"):
        from_codes = [here for here in code if here.opcode == "LDG" and "CONSTANT" in here.modifiers]
        assert len(from_codes) == 8 + 1  # those that it compares, and its query


def test_distances_are_written_as_vectors() -> None:
    widths = {here.modifiers for code in of_64_bits("hamming_distance_kernel") for here in code if here.opcode == "STG"}
    assert any("128" in width for width in widths)
    assert any("64" in width for width in widths)


def test_the_tensor_core_path_multiplies_matrices() -> None:
    split = {name: code for name, code in kernels().items() if "split_kernel" in name}
    assert split
    for name, code in split.items():
        opcodes = [here.opcode for here in code]
        assert opcodes.count("HMMA") >= 48, name
        assert "LDSM" in opcodes, name


def test_a_few_queries_read_16_bytes_at_once() -> None:
    dense = [code for name, code in kernels().items() if "warp_count_kernelINS0_5WidthILi2ELb1E" in name]
    assert dense
    for code in dense:
        assert any(here.opcode == "LDG" and "128" in here.modifiers for here in code)

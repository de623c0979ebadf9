"""What a bit-sliced scan cannot do without, operations on bits: how many a pair of codes and how many a machine has.

AVX-512 has operations of three inputs, which make a full adder of two instead of five; other sets have those of two.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

_MOST_BITS_OF_CHUNK = 256


class _Gates(NamedTuple):
    """What adding costs; a carry has the sum's bit left out."""

    add: int
    half_add: int
    carry: int
    half_carry: int


_OF_TWO, _OF_THREE = _Gates(5, 2, 4, 1), _Gates(2, 2, 1, 1)

_CHAINS, _ROUNDS = 12, 400_000
_FLAGS = {"avx2": ["-mavx2"], "avx512": ["-mavx512f"], "avx512_vpopcnt": ["-mavx512f"]}
# Registers of bits under a step that no compiler can make shorter: two operations of two inputs or one of three.
_SOURCE = """
#if defined(__AVX512F__)
#define BYTES 64
#define STEP(x) __asm__ volatile("vpternlogq $0x96, %1, %2, %0" : "+v"(x) : "v"(mask), "v"(flips))
#else
#define STEP(x) (x = (x & mask) ^ flips); __asm__ volatile("" : "+REGISTER"(x))
#if defined(__AVX2__)
#define BYTES 32
#else
#define BYTES 16
#endif
#endif
typedef unsigned long long V __attribute__((vector_size(BYTES)));
int run(V *out, long rounds) {
  V x[CHAINS] = {}, mask = out[0], flips = out[1];
  for (long i = 0; i < rounds; ++i) {
#pragma GCC unroll 12
    for (int c = 0; c < CHAINS; ++c) {
      STEP(x[c]);
    }
  }
#pragma GCC unroll 12
  for (int c = 0; c < CHAINS; ++c) *out ^= x[c];
  return 8 * BYTES;
}
"""


def _has_three_inputs(isa: str) -> bool:
    return isa.startswith("avx512")


def logic_per_pair(bits: int, isa: str) -> int:
    """Operations on single bits that a query costs a code once the carry table of a block is there: adders for the
    entries that it picks, and the carries that compare the sum with a threshold. See csrc/cpu/sliced_network.hpp.

    >>> logic_per_pair(64, "avx2"), logic_per_pair(64, "avx512")
    (165, 69)
    """
    gates = _OF_THREE if _has_three_inputs(isa) else _OF_TWO
    num_bytes = -(-bits // 8)
    chunks = -(-8 * num_bytes // _MOST_BITS_OF_CHUNK)
    chunk_bytes = -(-num_bytes // chunks)
    width = (8 * num_bytes).bit_length()
    if chunks == 1:
        return _network(chunk_bytes, gates.add, gates.carry, gates.half_carry)
    outputs = (8 * chunk_bytes).bit_length()
    summed = _network(chunk_bytes, gates.add, gates.half_add, 0)
    summed += gates.add * outputs + gates.half_add * (width - outputs)
    return chunks * summed + gates.carry * width


def _network(num_bytes: int, add: int, of_two: int, of_one: int) -> int:
    """The operations that add up four entries of weight 2 a byte and one of weight 1, when the two or the one value
    that is left of a weight costs so many."""
    operations, waiting = 0, 1
    coming = 4 * num_bytes
    for _ in range((8 * num_bytes).bit_length()):
        adders = max(0, (waiting - 1) // 2)
        left = waiting - 2 * adders
        operations += add * adders + (of_two if left == 2 else of_one if left == 1 else 0)
        passes_on = left == 2 or (left == 1 and of_one > 0)
        waiting, coming = coming + adders + passes_on, 0
    return operations


def logic_rate(isa: str) -> float | None:
    """Such operations a second of one thread, in registers alone; None without a C compiler."""
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None:
        return None
    register = "w" if os.uname().machine == "aarch64" else "x"
    with tempfile.TemporaryDirectory() as folder:
        source, library = Path(folder) / "logic.c", Path(folder) / "logic.so"
        source.write_text(_SOURCE.replace("CHAINS", str(_CHAINS)).replace("REGISTER", register))
        subprocess.run([compiler, "-O2", *_FLAGS.get(isa, []), "-shared", "-fPIC", source, "-o", library], check=True)
        run = ctypes.CDLL(str(library)).run
        run.argtypes = (ctypes.c_void_p, ctypes.c_long)
        memory = (ctypes.c_char * 192)()
        aligned = ctypes.addressof(memory) + -ctypes.addressof(memory) % 64
        steps = 1 if _has_three_inputs(isa) else 2
        best = 0.0
        for _ in range(20):
            began = time.perf_counter()
            bits: int = run(aligned, _ROUNDS)
            best = max(best, steps * _CHAINS * _ROUNDS * bits / (time.perf_counter() - began))
    return best

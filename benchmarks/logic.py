"""What a bit-sliced scan cannot do without, operations on bits: how many a pair of codes and how many a machine has."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

_ADD, _HALF_ADD, _CARRY, _HALF_CARRY = 5, 2, 4, 1  # gates of two inputs; a carry has the sum's bit left out
_MOST_BITS_OF_CHUNK = 256

_STEPS, _CHAINS, _ROUNDS = 2, 12, 400_000
# Registers of bits under two operations a step, which no compiler can do less often; one instruction where there are
# some of three inputs.
_SOURCE = """
#if defined(__AVX512F__)
#define BYTES 64
#elif defined(__AVX2__)
#define BYTES 32
#else
#define BYTES 16
#endif
typedef unsigned long long V __attribute__((vector_size(BYTES)));
int run(V *out, long rounds) {
  V x[CHAINS] = {}, mask = out[0], flips = out[1];
  for (long i = 0; i < rounds; ++i) {
#pragma GCC unroll 12
    for (int c = 0; c < CHAINS; ++c) {
      x[c] = (x[c] & mask) ^ flips;
      __asm__ volatile("" : "+REGISTER"(x[c]));
    }
  }
#pragma GCC unroll 12
  for (int c = 0; c < CHAINS; ++c) *out ^= x[c];
  return 8 * BYTES;
}
"""


def logic_per_pair(bits: int) -> int:
    """Operations on single bits, of two inputs, that a query costs a code once the carry table of a block is there:
    adders for the entries that it picks, and the carries that compare the sum with a threshold. See
    csrc/cpu/sliced_network.hpp.

    >>> logic_per_pair(64)
    165
    """
    num_bytes = -(-bits // 8)
    chunks = -(-8 * num_bytes // _MOST_BITS_OF_CHUNK)
    chunk_bytes = -(-num_bytes // chunks)
    width = (8 * num_bytes).bit_length()
    if chunks == 1:
        return _network(chunk_bytes, _CARRY, _HALF_CARRY)
    outputs = (8 * chunk_bytes).bit_length()
    summed = _network(chunk_bytes, _HALF_ADD, 0) + _ADD * outputs + _HALF_ADD * (width - outputs)
    return chunks * summed + _CARRY * width


def _network(num_bytes: int, of_two: int, of_one: int) -> int:
    """The operations that add up four entries of weight 2 a byte and one of weight 1, when the two or the one value
    that is left of a weight costs so many."""
    operations, waiting = 0, 1
    coming = 4 * num_bytes
    for _ in range((8 * num_bytes).bit_length()):
        adders = max(0, (waiting - 1) // 2)
        left = waiting - 2 * adders
        operations += _ADD * adders + (of_two if left == 2 else of_one if left == 1 else 0)
        passes_on = left == 2 or (left == 1 and of_one > 0)
        waiting, coming = coming + adders + passes_on, 0
    return operations


def logic_rate() -> float | None:
    """Operations on bits a second of one thread, in registers alone; None without a C compiler."""
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None:
        return None
    register = "w" if os.uname().machine == "aarch64" else "x"
    with tempfile.TemporaryDirectory() as folder:
        source, library = Path(folder) / "logic.c", Path(folder) / "logic.so"
        source.write_text(_SOURCE.replace("CHAINS", str(_CHAINS)).replace("REGISTER", register))
        subprocess.run([compiler, "-O2", "-march=native", "-shared", "-fPIC", source, "-o", library], check=True)
        run = ctypes.CDLL(str(library)).run
        run.argtypes = (ctypes.c_void_p, ctypes.c_long)
        memory = (ctypes.c_char * 192)()
        aligned = ctypes.addressof(memory) + -ctypes.addressof(memory) % 64
        best = 0.0
        for _ in range(20):
            began = time.perf_counter()
            bits: int = run(aligned, _ROUNDS)
            best = max(best, _STEPS * _CHAINS * _ROUNDS * bits / (time.perf_counter() - began))
    return best

"""Reading a file front to back by views of its mapped bytes: what a header claims is held against the real size."""

from __future__ import annotations

import math
import os
import struct
from typing import Any

import numpy as np
import numpy.typing as npt

from hashkernels._files import map_file


class Cursor:
    """A position in a mapped file of a format that ``kind`` names in errors."""

    def __init__(self, path: str | os.PathLike[str], kind: str) -> None:
        self._path, self._kind = path, kind
        self._bytes = map_file(path)
        self._at = 0

    @property
    def left(self) -> int:
        """How many bytes are left."""
        return len(self._bytes) - self._at

    def fields(self, layout: str) -> tuple[Any, ...]:
        """Numbers as ``struct`` names them."""
        return struct.unpack(layout, self.array(np.uint8, struct.calcsize(layout)).tobytes())

    def array(self, dtype: npt.DTypeLike, *shape: int) -> npt.NDArray[Any]:
        """The next values, as a read-only view; they need not be aligned."""
        count = math.prod(shape)  # of Python ints: a shape cannot overflow
        size = count * np.dtype(dtype).itemsize
        if size > self.left:
            raise self.refusal(f"{size} more bytes expected at byte {self._at}, got {self.left} (truncated?)")
        start, self._at = self._at, self._at + size
        if count == 0:  # of which frombuffer makes none
            return np.empty(shape, dtype)
        return np.frombuffer(self._bytes, dtype, count, start).reshape(shape)

    def finish(self) -> None:
        """Refuse bytes behind the last."""
        if self.left:
            raise self.refusal(f"{self.left} bytes too many at byte {self._at}")

    def refusal(self, reason: str) -> ValueError:
        """The error to raise."""
        return ValueError(f"{self._path}: not {self._kind}: {reason}")

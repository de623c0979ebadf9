"""Finds the native extension, once, and decides what its absence means.

A missing extension is a way of installing the library, not an error: the torch reference answers, with one warning in
the life of the process. An extension that is there but cannot be loaded is reported at import, with the reason.
"""

from __future__ import annotations

import importlib
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from hashkernels import _values
from hashkernels._validation import check_choice
from hashkernels._warnings import HashkernelsWarning

REFERENCE = "reference"
ISA_VARIABLE = "HASHKERNELS_ISA"
KNOWN_ISAS = ("scalar", "avx2", "avx512", "avx512_vpopcnt", "neon")

_HOW_TO_BUILD = "run pip install again where a C++20 compiler is found (g++ 12 or clang 15, and newer)"
_HOW_TO_BUILD_CUDA = "run pip install with HASHKERNELS_CUDA=ON where nvcc is found"

_native: ModuleType | None = None
_cuda_built = False  # the launchers are there in every build, and refuse in one without CUDA
_reference_forced = False
_warned = False
_refused: ValueError | None = None  # what the environment asks for and cannot have, told at first use


def available_isas() -> list[str]:
    """The instruction sets that this machine can run, the best one last; empty without the extension."""
    return [] if _native is None else list(_native.available_isas())


def isa() -> str:
    """The instruction set in use, or "reference"."""
    _check_environment()
    return REFERENCE if _native is None or _reference_forced else str(_native.isa())


def set_isa(name: str) -> None:
    """Force one instruction set, or the torch reference, for every later call of this process."""
    global _reference_forced, _refused
    check_choice("isa", name, [*available_isas(), REFERENCE])
    if name != REFERENCE:
        assert _native is not None
        _native.set_isa(name)
    _reference_forced = name == REFERENCE
    _values.use_native(None if _reference_forced else _native)
    _refused = None


def build_info() -> dict[str, Any]:
    """What the extension says of its own build; empty without the extension."""
    return {} if _native is None else dict(_native.build_info())


def cpu_kernel(name: str) -> Callable[..., Any] | None:
    """The native function of that name, or None where the reference must answer."""
    _check_environment()
    if _reference_forced:
        return None
    kernel = getattr(_native, name, None)
    if kernel is None:
        if _native is None:
            _warn_once(f"torch answers many times slower, since {_absence()}")
        else:
            _warn_once(f"the native extension has no {name}, torch answers many times slower: {_HOW_TO_BUILD}")
    return kernel


def cuda_kernel(name: str) -> Callable[..., Any] | None:
    """The native CUDA launcher of that name, or None where the reference must answer on the device."""
    _check_environment()
    if _reference_forced:
        return None
    kernel = getattr(_native, name, None) if _cuda_built else None
    if kernel is None:
        if not _cuda_built:
            _warn_once(f"this build has no CUDA kernels, torch answers on the device: {_HOW_TO_BUILD_CUDA}")
        else:
            _warn_once(f"there is no CUDA kernel {name}, torch answers on the device")
    return kernel


def _absence() -> str:
    # A Python started inside a clone finds the sources there before the installed package.
    folder = Path(__file__).parent
    if (folder.parent / "CMakeLists.txt").exists():
        return (
            f"hashkernels was imported from its sources in {folder}, which hold no native extension: start Python in "
            "another folder to get the installed package, or install in place with make install"
        )
    return f"the native extension is not installed: {_HOW_TO_BUILD}"


def _warn_once(reason: str) -> None:
    global _warned
    if _warned:
        return
    _warned = True
    message = f"{reason} ({ISA_VARIABLE}={REFERENCE} asks for torch and silences this warning)"
    warnings.warn(message, HashkernelsWarning, stacklevel=2)


def _load() -> None:
    global _native, _cuda_built, _warned
    try:
        _native = importlib.import_module("hashkernels._native")
        _values.use_native(_native)
        _cuda_built = bool(build_info()["cuda"])
    except ImportError as error:
        if isinstance(error, ModuleNotFoundError) and error.name == "hashkernels._native":
            return
        _warned = True
        warnings.warn(
            f"the native extension is installed but cannot be loaded, torch answers many times slower: {error}; "
            f"to mend it, {_HOW_TO_BUILD}",
            HashkernelsWarning,
            stacklevel=2,
        )


def _apply_environment() -> None:
    global _refused
    wanted = os.environ.get(ISA_VARIABLE, "")
    if not wanted or (_native is None and wanted in KNOWN_ISAS):
        return
    try:
        check_choice(ISA_VARIABLE, wanted, [*(available_isas() or KNOWN_ISAS), REFERENCE])
    except ValueError as error:
        # An import that fails would leave the command line no way to say so in one line.
        _refused = error
        return
    set_isa(wanted)


def _check_environment() -> None:
    if _refused is not None:
        raise _refused


_load()
_apply_environment()

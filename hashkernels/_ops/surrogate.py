"""The ops of a surrogate posterior's training step: all of it but the two large products of its networks.

Without formulas for autograd: ``hashkernels.surrogate.blocks`` puts them together into one function that has them. On
CUDA, and in half precisions, torch computes them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from hashkernels import _loader, _validation, reference
from hashkernels._ops._library import define, thread_argument, thread_count

_FLOATS = (torch.float32, torch.float64)


def hidden_units(
    x: Tensor, weight: Tensor, bias: Tensor, kept: Tensor | None, scale: float, *, threads: int | None = None
) -> tuple[Tensor, Tensor]:
    """``scale * silu(x weight^T + bias)`` of the units that are kept, 0 for the others, and its slope: [B, N, H] both.

    ``x`` is [B, N, S], floating point, ``weight`` [B, H, S], ``bias`` [B, H]; unit h of an item is kept where bit
    h % 64 of word h // 64 of its row of ``kept``, int64 [B, N, ceil(H / 64)], is set, or everywhere.
    """
    result: tuple[Tensor, Tensor] = _hidden_units(x, weight, bias, kept, scale, thread_argument(threads))
    return result


def pattern_errors(
    logits: Tensor, patterns: Tensor, weights: Tensor | None, *, threads: int | None = None
) -> tuple[Tensor, Tensor]:
    """The softmax of ``logits`` [B, N, P] less 1 at ``patterns[:, 0]``, and minus the log-probabilities of
    ``patterns[:, 0]`` and ``patterns[:, 1]`` (int64 [B, 2, N]), each summed over blocks and items: float64 [2]. In the
    second sum items count by ``weights`` [N] of the dtype of the logits where it is given."""
    result: tuple[Tensor, Tensor] = _pattern_errors(logits, patterns, weights, thread_argument(threads))
    return result


def hidden_gradients(
    product: Tensor,
    slope: Tensor,
    x: Tensor,
    weight: Tensor,
    weight_out: Tensor,
    patterns: Tensor,
    *,
    with_inputs: bool,
    with_parameters: bool,
    threads: int | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of two cross-entropies at the hidden layer, from that of the first by its units, ``product``
    [B, N, H]: the second's by ``x``, and the first's by ``weight`` and by the bias. Those not wanted are empty.

    The first is to the patterns ``patterns[:, 0]``, the second to ``patterns[:, 1]``; ``weight_out`` [B, P, H] turns
    units into logits, ``slope`` comes from ``hidden_units``.
    """
    result: tuple[Tensor, Tensor, Tensor] = _hidden_gradients(
        product, slope, x, weight, weight_out, patterns, with_inputs, with_parameters, thread_argument(threads)
    )
    return result


def _check(name: str, tensor: Tensor, like: Tensor, shape: tuple[int, ...], dtype: torch.dtype | None = None) -> None:
    wanted = like.dtype if dtype is None else dtype
    if tensor.dtype != wanted:
        raise TypeError(f"{name} must be {_validation.dtype_name(wanted)}, got {_validation.dtype_name(tensor.dtype)}")
    if tuple(tensor.shape) != shape:
        raise ValueError(f"{name} must have shape {shape}, got {tuple(tensor.shape)}")
    _validation.check_same_device("x", like, name, tensor)


def _check_first(name: str, tensor: Tensor) -> None:
    if not tensor.is_floating_point():
        raise TypeError(f"{name} must be floating point, got {_validation.dtype_name(tensor.dtype)}")
    if tensor.ndim != 3:
        raise ValueError(f"{name} must have 3 dimensions, got shape {tuple(tensor.shape)}")


def _kernel(name: str, tensor: Tensor) -> Callable[..., Any] | None:
    """Half precisions have no kernel."""
    return _loader.cpu_kernel(name) if tensor.dtype in _FLOATS else None


def _with_rows(x: Tensor) -> Tensor:
    return x if x.stride(2) == 1 or x.shape[2] == 1 else x.contiguous()


def _layer(x: Tensor, weight: Tensor) -> tuple[int | bool, ...]:
    """The arguments of a kernel that stand for the hidden layer."""
    blocks, items, size = x.shape
    strides = x.stride(0), x.stride(1)
    return x.dtype == torch.float64, x.data_ptr(), *strides, weight.data_ptr(), blocks, items, weight.shape[1], size


def _check_layer(x: Tensor, weight: Tensor) -> tuple[int, int, int]:
    _check_first("x", x)
    _check_first("weight", weight)
    blocks, items, size = x.shape
    hidden = weight.shape[1]
    _check("weight", weight, x, (blocks, hidden, size))
    if not hidden or not size:
        raise ValueError(f"weight must have at least one unit and one input, got shape {tuple(weight.shape)}")
    return blocks, items, hidden


def _check_patterns(patterns: Tensor, like: Tensor, blocks: int, items: int, num_patterns: int) -> None:
    _check("patterns", patterns, like, (blocks, 2, items), torch.int64)
    if patterns.numel() and _validation.value_checks_enabled(patterns):
        low, high = (int(number) for number in torch.aminmax(patterns))
        if low < 0 or high >= num_patterns:
            raise ValueError(f"patterns must be in 0..{num_patterns - 1}, got {low if low < 0 else high}")


def _checked_units(
    x: Tensor, weight: Tensor, bias: Tensor, kept: Tensor | None
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    blocks, items, hidden = _check_layer(x, weight)
    _check("bias", bias, x, (blocks, hidden))
    if kept is not None:
        _check("kept", kept, x, (blocks, items, (hidden + 63) // 64), torch.int64)
        kept = kept.contiguous()
    return _with_rows(x), weight.contiguous(), bias.contiguous(), kept


def _units_on_cpu(
    x: Tensor, weight: Tensor, bias: Tensor, kept: Tensor | None, scale: float, threads: int
) -> tuple[Tensor, Tensor]:
    x, weight, bias, kept = _checked_units(x, weight, bias, kept)
    kernel = _kernel("hidden_units", x)
    if kernel is None:
        return reference.hidden_units(x, weight, bias, kept, scale)
    units, slope = _units_results(x, weight)
    kept_words = 0 if kept is None else kept.data_ptr()
    kernel(
        *_layer(x, weight),
        bias.data_ptr(),
        kept_words,
        scale,
        units.data_ptr(),
        slope.data_ptr(),
        thread_count(threads),
    )
    return units, slope


def _units_on_cuda(
    x: Tensor, weight: Tensor, bias: Tensor, kept: Tensor | None, scale: float, threads: int
) -> tuple[Tensor, Tensor]:
    return reference.hidden_units(*_checked_units(x, weight, bias, kept), scale)


def _units_results(x: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    shape = (*x.shape[:2], weight.shape[1])
    return x.new_empty(shape), x.new_empty(shape)


def _units_fake(x: Tensor, weight: Tensor, *rest: Any) -> tuple[Tensor, Tensor]:
    return _units_results(x, weight)


def _checked_errors(logits: Tensor, patterns: Tensor, weights: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
    _check_first("logits", logits)
    blocks, items, num_patterns = logits.shape
    if num_patterns == 0:
        raise ValueError(f"logits must have at least one pattern, got shape {tuple(logits.shape)}")
    _check_patterns(patterns, logits, blocks, items, num_patterns)
    if weights is not None:
        _check("weights", weights, logits, (items,))
        weights = weights.contiguous()
    return logits.contiguous(), patterns.contiguous(), weights


def _errors_on_cpu(logits: Tensor, patterns: Tensor, weights: Tensor | None, threads: int) -> tuple[Tensor, Tensor]:
    logits, patterns, weights = _checked_errors(logits, patterns, weights)
    kernel = _kernel("pattern_errors", logits)
    if kernel is None:
        return reference.pattern_errors(logits, patterns, weights)
    errors, nll = _errors_results(logits)
    kernel(
        logits.dtype == torch.float64,
        patterns.data_ptr(),
        *logits.shape,
        logits.data_ptr(),
        0 if weights is None else weights.data_ptr(),
        errors.data_ptr(),
        nll.data_ptr(),
        thread_count(threads),
    )
    return errors, nll


def _errors_on_cuda(logits: Tensor, patterns: Tensor, weights: Tensor | None, threads: int) -> tuple[Tensor, Tensor]:
    return reference.pattern_errors(*_checked_errors(logits, patterns, weights))


def _errors_results(logits: Tensor) -> tuple[Tensor, Tensor]:
    return logits.new_empty(logits.shape), logits.new_empty(2, dtype=torch.float64)


def _errors_fake(logits: Tensor, *rest: Any) -> tuple[Tensor, Tensor]:
    return _errors_results(logits)


def _checked_gradients(
    product: Tensor, slope: Tensor, x: Tensor, weight: Tensor, weight_out: Tensor, patterns: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    blocks, items, hidden = _check_layer(x, weight)
    _check("product", product, x, (blocks, items, hidden))
    _check("slope", slope, x, (blocks, items, hidden))
    _check_first("weight_out", weight_out)
    _check("weight_out", weight_out, x, (blocks, weight_out.shape[1], hidden))
    _check_patterns(patterns, x, blocks, items, weight_out.shape[1])
    product, slope, weight, weight_out = (t.contiguous() for t in (product, slope, weight, weight_out))
    return product, slope, _with_rows(x), weight, weight_out, patterns.contiguous()


def _gradients_on_cpu(
    product: Tensor,
    slope: Tensor,
    x: Tensor,
    weight: Tensor,
    weight_out: Tensor,
    patterns: Tensor,
    with_inputs: bool,
    with_parameters: bool,
    threads: int,
) -> tuple[Tensor, Tensor, Tensor]:
    tensors = _checked_gradients(product, slope, x, weight, weight_out, patterns)
    kernel = _kernel("hidden_gradients", x)
    if kernel is None or not (with_inputs or with_parameters):
        return reference.hidden_gradients(*tensors, with_inputs, with_parameters)
    product, slope, x, weight, weight_out, patterns = tensors
    results = _gradients_results(x, weight, with_inputs, with_parameters)
    kernel(
        *_layer(x, weight),
        patterns.data_ptr(),
        weight_out.shape[1],
        product.data_ptr(),
        slope.data_ptr(),
        weight_out.data_ptr(),
        *(
            grad.data_ptr() if wanted else 0
            for grad, wanted in zip(results, (with_inputs, with_parameters, with_parameters), strict=True)
        ),
        thread_count(threads),
    )
    return results


def _gradients_on_cuda(
    product: Tensor,
    slope: Tensor,
    x: Tensor,
    weight: Tensor,
    weight_out: Tensor,
    patterns: Tensor,
    with_inputs: bool,
    with_parameters: bool,
    threads: int,
) -> tuple[Tensor, Tensor, Tensor]:
    tensors = _checked_gradients(product, slope, x, weight, weight_out, patterns)
    return reference.hidden_gradients(*tensors, with_inputs, with_parameters)


def _gradients_results(
    x: Tensor, weight: Tensor, with_inputs: bool, with_parameters: bool
) -> tuple[Tensor, Tensor, Tensor]:
    nothing = (0,)
    return (
        x.new_empty(x.shape if with_inputs else nothing),
        x.new_empty(weight.shape if with_parameters else nothing),
        x.new_empty(weight.shape[:2] if with_parameters else nothing),
    )


def _gradients_fake(
    product: Tensor, slope: Tensor, x: Tensor, weight: Tensor, weight_out: Tensor, patterns: Tensor, *rest: Any
) -> tuple[Tensor, Tensor, Tensor]:
    return _gradients_results(x, weight, *rest[:2])


_hidden_units = define(
    "hidden_units(Tensor x, Tensor weight, Tensor bias, Tensor? kept, float scale, int threads) -> (Tensor, Tensor)",
    cpu=_units_on_cpu,
    cuda=_units_on_cuda,
    fake=_units_fake,
)
_pattern_errors = define(
    "pattern_errors(Tensor logits, Tensor patterns, Tensor? weights, int threads) -> (Tensor, Tensor)",
    cpu=_errors_on_cpu,
    cuda=_errors_on_cuda,
    fake=_errors_fake,
)
_hidden_gradients = define(
    "hidden_gradients(Tensor product, Tensor slope, Tensor x, Tensor weight, Tensor weight_out, Tensor patterns, "
    "bool with_inputs, bool with_parameters, int threads) -> (Tensor, Tensor, Tensor)",
    cpu=_gradients_on_cpu,
    cuda=_gradients_on_cuda,
    fake=_gradients_fake,
)

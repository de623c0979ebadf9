"""The pairwise losses: ops that compute value and gradient in one pass, and the autograd function around them.

One family: every loss is a sum over ordered pairs of a function of u_i . v_j, or of the distance of the two, and of
whether i and j are relevant to each other, and its op differs from the others in that function's parameters alone.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, NamedTuple

import torch
from torch import Tensor

from hashkernels import _loader, _validation, reference
from hashkernels._ops._first_order import first_order, reverse_mode_only, scaled
from hashkernels._ops._library import (
    cuda_arguments,
    define,
    row_stride,
    rows,
    thread_argument,
    thread_count,
    workspace,
)
from hashkernels._ops.retrieval import label_arguments

_FLOATS = {torch.float32: "float32", torch.float64: "float64"}
_ON_CUDA = {torch.float32: "float32", torch.float16: "float16", torch.bfloat16: "bfloat16"}

PRECISIONS = ("auto", "float32", "split")
_SPLIT_FROM_PAIRS = 64 * 64  # one tile, which takes no longer in float32


class _Given(NamedTuple):
    """The tensors that every op takes first."""

    u: Tensor
    bank: Tensor | None
    labels: Tensor
    bank_labels: Tensor | None
    left_out: Tensor | None
    counted: Tensor | None


class PairLoss(NamedTuple):
    """A differentiable total and, detached, the terms that it is the sum of and the pairs behind two of them."""

    total: Tensor  # scalar, of the dtype of u (float32 for the half types)
    sums: Tensor  # float64 [5]: the terms, then the numbers of pairs, which a float64 holds exactly up to 2^53

    @property
    def terms(self) -> Tensor:
        """float64 [3]: positive and negative pairs, quantization."""
        return self.sums[:3]

    @property
    def num_pairs(self) -> Tensor:
        """int64 [2]: ordered positive and negative pairs."""
        return self.sums[3:].to(torch.int64)

    @property
    def positive(self) -> Tensor:
        """The term of the positive pairs, a scalar."""
        return self.sums[0]

    @property
    def negative(self) -> Tensor:
        """The term of the negative pairs, a scalar."""
        return self.sums[1]


def margin_loss(
    u: Tensor,
    labels: Tensor,
    *,
    positive_margin: float,
    negative_margin: float,
    positive_scale: float = 1.0,
    negative_scale: float = 1.0,
    quantization: float = 0.0,
    bank: Tensor | None = None,
    bank_labels: Tensor | None = None,
    left_out: Tensor | None = None,
    counted: Tensor | None = None,
    threads: int | None = None,
    precision: str = "auto",
) -> PairLoss:
    """positive_scale * mean over positive pairs of min(0, u_i . v_j - positive_margin)^2 + negative_scale * mean over
    negative pairs of max(0, u_i . v_j - negative_margin)^2, without the matrix of all pairs; plus quantization * sum
    over all values of (sgn(u) - u)^2, where sgn(0) = -1 and the sign is a constant.

    ``u`` is [N, bits]; ``bank`` [M, bits], with its labels, takes the place of v and gets no gradient; without it v is
    u, the pairs i = j are left out, and the gradient runs through both sides. A set without pairs adds 0. Labels come
    from ``pack_labels``. ``left_out``, int64 [N], is the row of the bank that makes no pair with each row of ``u``; a
    number that is no row, such as -1, leaves out none; ``counted``, bool [M], says which rows of the bank make pairs at
    all. The half types are computed in float32, and the gradient comes back in their own; a CUDA kernel reads them as
    they are. There is no second derivative, and none in forward mode: asking for one raises ``RuntimeError``.

    ``precision`` says how a CUDA kernel multiplies float32 by float32: "float32" as they are, "split" on the tensor
    cores, each number as the sum of two bfloat16, which keeps 16 of its 24 bits (terms and gradient within 2^-15 of
    float64's, in units of the largest). "auto" splits from 4,097 pairs on. float64 is computed by torch on the device,
    with the matrix of all pairs. A CPU computes in the type of its inputs, whatever ``precision`` says.
    """
    parameters = (positive_margin, negative_margin, positive_scale, negative_scale)
    given = _Given(u, bank, labels, bank_labels, left_out, counted)
    return _pair_loss(_margin_loss, given, parameters, quantization, threads, precision)


def likelihood_loss(
    u: Tensor,
    labels: Tensor,
    *,
    scale: float,
    positive_scale: float = 1.0,
    negative_scale: float = 1.0,
    weighted: bool = False,
    overlap: bool = False,
    bank: Tensor | None = None,
    bank_labels: Tensor | None = None,
    left_out: Tensor | None = None,
    counted: Tensor | None = None,
    threads: int | None = None,
    precision: str = "auto",
) -> PairLoss:
    """The same for softplus(scale * u_i . v_j) - s_ij * scale * u_i . v_j, where s_ij is 1 for positive pairs, else 0.

    ``weighted`` divides both sums of the pairs' losses, each times its scale, by positive_scale * P + negative_scale *
    Q, with P and Q the numbers of pairs; scales of 1 then give the mean over all pairs. Else each sum is divided by
    the number of its own pairs. ``overlap`` multiplies the loss of a positive pair of packed classes by the share of
    the classes of either that both have; class ids have all in common.
    """
    parameters = (scale, positive_scale, negative_scale, weighted, overlap)
    given = _Given(u, bank, labels, bank_labels, left_out, counted)
    return _pair_loss(_likelihood_loss, given, parameters, 0.0, threads, precision)


def cauchy_loss(
    u: Tensor,
    labels: Tensor,
    *,
    gamma: float,
    distance_scale: float,
    positive_min_distance: float,
    negative_min_distance: float,
    positive_scale: float = 1.0,
    negative_scale: float = 1.0,
    weighted: bool = False,
    bank: Tensor | None = None,
    bank_labels: Tensor | None = None,
    left_out: Tensor | None = None,
    counted: Tensor | None = None,
    threads: int | None = None,
    precision: str = "auto",
) -> PairLoss:
    """The same as ``likelihood_loss`` for the distance d = max(min_distance, distance_scale * (1 - u_i . v_j)):
    log(1 + d / gamma) for positive pairs and log(1 + gamma / d) for the others, each kind with its own min_distance.

    ``gamma`` and both least distances are positive; a pair nearer than that has no gradient. With rows of length 1 and
    ``distance_scale`` = bits / 2 it is the loss of Deep Cauchy Hashing.
    """
    least = (positive_min_distance, negative_min_distance)
    parameters = (gamma, distance_scale, *least, positive_scale, negative_scale, weighted)
    given = _Given(u, bank, labels, bank_labels, left_out, counted)
    return _pair_loss(_cauchy_loss, given, parameters, 0.0, threads, precision)


def contrastive_loss(
    u: Tensor,
    labels: Tensor,
    *,
    margin: float,
    positive_scale: float = 1.0,
    negative_scale: float = 1.0,
    weighted: bool = False,
    bank: Tensor | None = None,
    bank_labels: Tensor | None = None,
    left_out: Tensor | None = None,
    counted: Tensor | None = None,
    threads: int | None = None,
    precision: str = "auto",
) -> PairLoss:
    """The same as ``likelihood_loss`` for the squared distance d = |u_i - v_j|^2: d / 2 for positive pairs and
    max(0, margin - d) / 2 for the others, the loss of Deep Supervised Hashing.

    Distances come from inner products and lengths, so their error is that of |u_i|^2 + |v_j|^2: in units of it, within
    2^-18 on CUDA, where "split" takes the distances of embeddings of which each number keeps 16 bits.
    """
    parameters = (margin, positive_scale, negative_scale, weighted)
    given = _Given(u, bank, labels, bank_labels, left_out, counted)
    return _pair_loss(_contrastive_loss, given, parameters, 0.0, threads, precision)


def _pair_loss(
    op: Any, given: _Given, parameters: tuple[float, ...], quantization: float, threads: int | None, precision: str
) -> PairLoss:
    _validation.check_choice("precision", precision, PRECISIONS)
    u, bank = given.u, given.bank
    reverse_mode_only(u, *(() if bank is None else (bank,)))
    dtype = u.dtype if bank is None else torch.promote_types(u.dtype, bank.dtype)
    if dtype not in _FLOATS:
        dtype = torch.float32
    if not u.is_cuda or dtype == torch.float64:
        u = u if u.dtype == dtype else u.to(dtype)  # a call of torch's is felt with few items
        bank = None if bank is None else bank.to(dtype)
    with_grad = torch.is_grad_enabled() and u.requires_grad
    given = given._replace(u=u if with_grad else u.detach(), bank=None if bank is None else bank.detach())
    options = (*parameters, quantization, with_grad, thread_argument(threads), precision)
    if with_grad:
        total, sums = _PairLoss.apply(op, options, *given)  # type: ignore[no-untyped-call]
    else:
        total, sums, _ = op(*given, *options)
    return PairLoss(total, sums)


class _PairLoss(torch.autograd.Function):
    """The gradient costs little beside the value, so the forward computes it, and the backward scales it."""

    @staticmethod
    def forward(
        ctx: Any, op: Any, options: tuple[Any, ...], u: Tensor, *others: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        total, sums, grad = op(u, *others, *options)
        ctx.save_for_backward(u, grad)
        ctx.mark_non_differentiable(sums)
        ctx.set_materialize_grads(False)
        return total, sums

    @staticmethod
    def backward(ctx: Any, grad_total: Tensor | None, *_: Tensor | None) -> tuple[Tensor | None, ...]:
        u, grad = ctx.saved_tensors
        if grad_total is None:
            return (None,) * 8
        grad = scaled(grad, grad_total)
        grad = grad if grad.dtype == u.dtype else grad.to(u.dtype)
        return None, None, first_order(grad, u, grad_total), *(None,) * 5


class _Pairs(NamedTuple):
    """Rows, columns, and the labels of both, as the pointer contract wants them."""

    u: Tensor
    columns: Tensor
    labels: Tensor
    column_labels: Tensor
    label_words: int  # 0: class ids
    left_out: Tensor | None
    counted: Tensor | None

    def of_counted(self) -> _Pairs:
        """The same with no column but those that count, which a CPU has at once."""
        if self.counted is None or bool(self.counted.all()):
            return self._replace(counted=None)
        kept = self.counted.nonzero()[:, 0]
        left_out = self.left_out
        if left_out is not None and len(self.columns):
            place = torch.where(self.counted, self.counted.cumsum(0) - 1, -1)  # among the kept
            is_column = (left_out >= 0) & (left_out < len(self.columns))
            left_out = torch.where(is_column, place[left_out.clamp(0, len(self.columns) - 1)], -1)
        return self._replace(
            columns=self.columns[kept], column_labels=self.column_labels[kept], left_out=left_out, counted=None
        )

    def arguments(self, bank: Tensor | None) -> tuple[int, ...]:
        """What every kernel is told of the pairs, after the address of u and, on a CPU, the name of its dtype."""
        return (
            *self.u.shape,
            row_stride(self.u),
            0 if bank is None else self.columns.data_ptr(),
            self.columns.shape[0],
            row_stride(self.columns),
            self.labels.data_ptr(),
            self.column_labels.data_ptr(),
            self.label_words,
        )


def _pairs(given: _Given, dtypes: Collection[torch.dtype]) -> _Pairs:
    u, bank, labels, bank_labels, left_out, counted = given
    u = rows("u", u, *dtypes)
    columns = u
    if bank is not None:
        columns = rows("bank", bank, *dtypes)
        if columns.shape[1] != u.shape[1]:
            raise ValueError(f"bank must have {u.shape[1]} columns like u, got {columns.shape[1]}")
    column_labels = labels if bank_labels is None else bank_labels
    labels, column_labels, words = label_arguments(
        "labels", labels, u.shape[0], "bank_labels", column_labels, columns.shape[0]
    )
    _validation.check_same_device("u", u, "bank", columns)
    _validation.check_same_device("u", u, "labels", labels)
    left_out = _of_bank("left_out", left_out, torch.int64, u.shape[0], u, bank)
    counted = _of_bank("counted", counted, torch.bool, columns.shape[0], u, bank)
    return _Pairs(u, columns, labels, column_labels, words, left_out, counted)


def _of_bank(
    name: str, values: Tensor | None, dtype: torch.dtype, count: int, u: Tensor, bank: Tensor | None
) -> Tensor | None:
    if values is None:
        return None
    if bank is None:
        raise ValueError(f"{name} must be None without a bank")
    if values.dtype != dtype:
        raise TypeError(f"{name} must be {_validation.dtype_name(dtype)}, got {_validation.dtype_name(values.dtype)}")
    if tuple(values.shape) != (count,):
        raise ValueError(f"{name} must have shape ({count},), got {tuple(values.shape)}")
    _validation.check_same_device("u", u, name, values)
    return values.contiguous()


# Total, sums, gradient.
_Results = tuple[Tensor, Tensor, Tensor]


def _results(u: Tensor, with_grad: bool) -> _Results:
    dtype = u.dtype if u.dtype in _FLOATS else torch.float32
    return (
        u.new_empty((), dtype=dtype),
        u.new_empty(5, dtype=torch.float64),
        u.new_empty(u.shape if with_grad else (0,), dtype=dtype),
    )


def _with_sign_error(terms: Tensor, num_pairs: Tensor, grad: Tensor, u: Tensor, quantization: float) -> _Results:
    """Adds the third term to the two of the pairs, and its gradient."""
    errors = terms.new_zeros(())
    if quantization:
        errors, slopes = reference.sign_error(u)
        errors = quantization * errors
        if grad.numel():
            grad.add_(slopes, alpha=quantization)
    sums = torch.cat((terms, errors.reshape(1), num_pairs.to(terms.dtype)))
    return sums[:3].sum().to(grad.dtype), sums, grad


def _define(
    name: str,
    parameters: str,
    fallback: Callable[..., tuple[Tensor, Tensor, Tensor]],
) -> Any:
    """Register the op of a loss: the native functions and the reference have its name; ``parameters`` are the schema
    of what it takes beside the pairs."""

    def cpu(*arguments: Any) -> _Results:
        given, rest = _Given(*arguments[:6]), arguments[6:]
        *parameters, quantization, with_grad, threads, _ = rest
        pairs = _pairs(given, (given.u.dtype,) if given.u.dtype in _FLOATS else _FLOATS)
        kernel = _loader.cpu_kernel(name)
        if kernel is None:
            return _with_sign_error(*fallback(*given, *parameters, with_grad), given.u, quantization)
        pairs = pairs.of_counted()
        total, sums, grad = _results(given.u, with_grad)
        kernel(
            pairs.u.data_ptr(),
            _FLOATS[given.u.dtype],
            *pairs.arguments(given.bank),
            0 if pairs.left_out is None else pairs.left_out.data_ptr(),
            *parameters,
            quantization,
            total.data_ptr(),
            sums.data_ptr(),
            grad.data_ptr() if with_grad else 0,
            thread_count(threads),
        )
        return total, sums, grad

    def cuda(*arguments: Any) -> _Results:
        given, rest = _Given(*arguments[:6]), arguments[6:]
        u, bank = given.u, given.bank
        *parameters, quantization, with_grad, _, precision = rest
        kernel, size = _loader.cuda_kernel(f"cuda_{name}"), _loader.cuda_kernel(f"cuda_{name}_workspace")
        if kernel is None or size is None or u.dtype == torch.float64:
            dtype = u.dtype if u.dtype in _FLOATS else torch.float32
            given = given._replace(u=u.to(dtype), bank=None if bank is None else bank.to(dtype))
            _pairs(given, (dtype,))  # which checks them
            return _with_sign_error(*fallback(*given, *parameters, with_grad), given.u, quantization)
        pairs = _pairs(given, _ON_CUDA)
        num_rows, num_columns, bits = u.shape[0], pairs.columns.shape[0], u.shape[1]
        total, sums, grad = _results(u, with_grad)
        space = workspace(u, size(num_rows, num_columns, bits, with_grad))
        kernel(
            pairs.u.data_ptr(),
            _ON_CUDA[u.dtype],
            num_rows,
            bits,
            row_stride(pairs.u),
            0 if bank is None else pairs.columns.data_ptr(),
            _ON_CUDA[pairs.columns.dtype],
            num_columns,
            row_stride(pairs.columns),
            pairs.labels.data_ptr(),
            pairs.column_labels.data_ptr(),
            pairs.label_words,
            0 if pairs.left_out is None else pairs.left_out.data_ptr(),
            0 if pairs.counted is None else pairs.counted.data_ptr(),
            *parameters,
            quantization,
            precision == "split" or (precision == "auto" and num_rows * num_columns > _SPLIT_FROM_PAIRS),
            total.data_ptr(),
            sums.data_ptr(),
            grad.data_ptr() if with_grad else 0,
            space.data_ptr(),
            *cuda_arguments(u),
        )
        return total, sums, grad

    def fake(u: Tensor, *rest: Any) -> _Results:
        return _results(u, rest[-3])

    return define(
        f"{name}(Tensor u, Tensor? bank, Tensor labels, Tensor? bank_labels, Tensor? left_out, Tensor? counted, "
        f"{parameters}, float quantization, bool with_grad, int threads, str precision) -> (Tensor, Tensor, Tensor)",
        cpu=cpu,
        cuda=cuda,
        fake=fake,
    )


_SCALES = "float positive_scale, float negative_scale"
_margin_loss = _define("margin_loss", f"float positive_margin, float negative_margin, {_SCALES}", reference.margin_loss)
_likelihood_loss = _define(
    "likelihood_loss",
    f"float scale, {_SCALES}, bool weighted, bool overlap",
    reference.likelihood_loss,
)
_cauchy_loss = _define(
    "cauchy_loss",
    "float gamma, float distance_scale, float positive_min_distance, float negative_min_distance, "
    f"{_SCALES}, bool weighted",
    reference.cauchy_loss,
)
_contrastive_loss = _define("contrastive_loss", f"float margin, {_SCALES}, bool weighted", reference.contrastive_loss)

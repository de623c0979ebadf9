"""The surrogate posterior against a loop of ordinary modules that carry the same weights."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

from hashkernels.surrogate import SurrogatePosterior
from hashkernels.surrogate.blocks import draw_kept, kept_digits

BITS = (1, 7, 8, 9, 12, 20, 48, 64)


def make_posterior(bits: int, **options: object) -> SurrogatePosterior:
    torch.manual_seed(bits)
    return SurrogatePosterior(bits, **{"hidden": 16, **options}).double()


def as_modules(posterior: SurrogatePosterior) -> list[nn.Sequential]:
    """One Linear-SiLU-Linear a block, with the weights of the posterior."""
    stacks = [posterior.full_blocks] + ([posterior.last_block] if posterior.last_block is not None else [])
    modules = []
    for stack in stacks:
        for k in range(stack.bias_in.shape[0]):
            size, hidden = stack.size, posterior.hidden
            net = nn.Sequential(nn.Linear(size, hidden), nn.SiLU(), nn.Linear(hidden, 2**size)).double()
            net.load_state_dict(
                {
                    "0.weight": stack.weight_in[k].detach().clone(),
                    "0.bias": stack.bias_in[k].detach().clone(),
                    "2.weight": stack.weight_out[k].detach().clone(),
                    "2.bias": stack.bias_out[k].detach().clone(),
                }
            )
            modules.append(net)
    return modules


def pattern_by_hand(block: torch.Tensor) -> torch.Tensor:
    return torch.tensor([sum(2**j for j, value in enumerate(row) if value > 0) for row in block.tolist()])


def loop_nll(modules: list[nn.Sequential], u: torch.Tensor, targets: torch.Tensor, block_bits: int = 8) -> torch.Tensor:
    blocks = zip(modules, u.split(block_bits, 1), targets.split(block_bits, 1), strict=True)
    return sum(F.cross_entropy(net(x), pattern_by_hand(t)) for net, x, t in blocks)


def module_gradients(posterior: SurrogatePosterior, modules: list[nn.Sequential]) -> list[tuple[torch.Tensor, ...]]:
    """Pairs of (gradient of the posterior, the same of the loop) for every parameter."""
    pairs = []
    start = 0
    for stack in [posterior.full_blocks] + ([posterior.last_block] if posterior.last_block is not None else []):
        part = modules[start : start + stack.bias_in.shape[0]]
        start += len(part)
        for name, layer, kind in (
            ("weight_in", 0, "weight"),
            ("bias_in", 0, "bias"),
            ("weight_out", 2, "weight"),
            ("bias_out", 2, "bias"),
        ):
            expected = torch.stack([getattr(net[layer], kind).grad for net in part])
            pairs.append((getattr(stack, name).grad, expected))
    return pairs


def check_terms(posterior, modules, found, expected):
    """Both terms, the gradient of the first to the parameters, and that of the second to the embeddings."""
    (u, own, target), (v, expected_own, expected_target) = found, expected
    close(own, expected_own)
    close(target, expected_target)

    (3 * own + 0.5 * target).backward()
    (3 * expected_own).backward()
    for actual, wanted in module_gradients(posterior, modules):
        close(actual, wanted)
    (grad,) = torch.autograd.grad(0.5 * expected_target, v)
    close(u.grad, grad)


def close(actual: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(actual, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("bits", BITS)
def test_nll_and_gradients_equal_the_loop_over_blocks(bits):
    posterior = make_posterior(bits).eval()
    modules = as_modules(posterior)
    u = torch.randn(9, bits, dtype=torch.float64, requires_grad=True)
    v = u.detach().clone().requires_grad_()
    targets = torch.randn(9, bits)

    for t in (None, targets):
        for tensor in (u, v, *posterior.parameters(), *(p for net in modules for p in net.parameters())):
            tensor.grad = None
        value = posterior.nll(u, t)
        expected = loop_nll(modules, v, v.detach() if t is None else t)
        close(value, expected)
        value.backward()
        expected.backward()
        close(u.grad, v.grad)
        for actual, wanted in module_gradients(posterior, modules):
            close(actual, wanted)


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("num_items", [1, 6])
def test_split_nll_equals_two_loops_with_stopped_gradients(bits, num_items):
    posterior = make_posterior(bits).eval()
    modules = as_modules(posterior)
    u = torch.randn(num_items, bits, dtype=torch.float64, requires_grad=True)
    v = u.detach().clone().requires_grad_()
    targets = torch.randn(num_items, bits)

    own, target = posterior.split_nll(u, targets)
    expected_own = loop_nll(modules, v.detach(), v.detach())
    expected_target = loop_nll(modules, v, targets)
    check_terms(posterior, modules, (u, own, target), (v, expected_own, expected_target))


def test_split_nll_shares_one_dropout_mask():
    torch.manual_seed(3)
    posterior = SurrogatePosterior(16, hidden=32, dropout=0.5).double()
    u = torch.randn(5, 16, dtype=torch.float64)
    own, target = posterior.split_nll(u, u)
    assert own == target
    assert own != posterior.split_nll(u, u)[0]


def test_split_nll_works_where_only_one_side_needs_a_gradient():
    posterior = make_posterior(9).eval()
    u = torch.randn(4, 9, dtype=torch.float64)
    sum(posterior.split_nll(u, -u)).backward()
    assert u.grad is None
    assert posterior.full_blocks.weight_in.grad.abs().sum() > 0

    posterior.requires_grad_(False).zero_grad()
    u.requires_grad_()
    sum(posterior.split_nll(u, -u)).backward()
    assert u.grad.abs().sum() > 0
    assert all(p.grad is None for p in posterior.parameters())


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize(("num_items", "num_codes"), [(1, 1), (6, 3), (2, 20)])
def test_shared_nll_equals_two_loops_with_stopped_gradients(isa, bits, num_items, num_codes):
    posterior = make_posterior(bits).eval()
    modules = as_modules(posterior)
    u = torch.randn(num_items, bits, dtype=torch.float64, requires_grad=True)
    v = u.detach().clone().requires_grad_()
    codes, shares = torch.randn(num_codes, bits), torch.rand(num_items, num_codes, dtype=torch.float64)
    shares[0] = 0  # an item of no class

    own, target = posterior.shared_nll(u, codes, shares)
    expected_own = loop_nll(modules, v.detach(), v.detach())
    expected_target = sum(
        shares[n, m] * loop_nll(modules, v[n : n + 1], codes[m : m + 1]) / num_items
        for n in range(num_items)
        for m in range(num_codes)
    )
    check_terms(posterior, modules, (u, own, target), (v, expected_own, expected_target))


def test_shared_nll_shares_one_dropout_mask():
    torch.manual_seed(3)
    posterior = SurrogatePosterior(16, hidden=32, dropout=0.5).double()
    u = torch.randn(5, 16, dtype=torch.float64)
    own, target = posterior.shared_nll(u, u, torch.eye(5))
    close(own, target)
    assert own != posterior.shared_nll(u, u, torch.eye(5))[0]


def test_shared_nll_works_where_only_one_side_needs_a_gradient():
    posterior = make_posterior(9).eval()
    u, shares = torch.randn(4, 9, dtype=torch.float64), torch.ones(4, 4)
    sum(posterior.shared_nll(u, -u, shares)).backward()
    assert u.grad is None
    assert posterior.full_blocks.weight_in.grad.abs().sum() > 0

    posterior.requires_grad_(False).zero_grad()
    u.requires_grad_()
    sum(posterior.shared_nll(u, -u, shares)).backward()
    assert u.grad.abs().sum() > 0
    assert all(p.grad is None for p in posterior.parameters())


@pytest.mark.parametrize("bits", [3, 5])
def test_gradcheck(bits):
    posterior = make_posterior(bits, block_bits=3, hidden=3).eval()
    names = [name for name, _ in posterior.named_parameters()]
    values = [p.detach().clone().requires_grad_() for p in posterior.parameters()]
    u = torch.randn(3, bits, dtype=torch.float64, requires_grad=True)
    targets = torch.randn(3, bits)

    class Call(nn.Module):
        def __init__(self, name):
            super().__init__()
            self.posterior = posterior
            self.name = name

        def forward(self, u):
            return getattr(self.posterior, self.name)(u, targets)

    def function(name, term=...):
        def call(u, *parameters):
            given = {f"posterior.{n}": p for n, p in zip(names, parameters, strict=True)}
            result = torch.func.functional_call(Call(name), given, (u,))
            return result if term is ... else result[term]

        return call

    fixed = [v.detach() for v in values]
    assert torch.autograd.gradcheck(function("nll"), (u, *values))
    assert torch.autograd.gradcheck(function("split_nll", 0), (u.detach(), *values))
    assert torch.autograd.gradcheck(function("split_nll", 1), (u, *fixed))


@pytest.mark.parametrize("bits", BITS)
def test_pattern_index_is_little_endian_within_each_block(bits):
    x = torch.randn(11, bits)
    x[0] = 0
    posterior = SurrogatePosterior(bits, hidden=2)
    expected = torch.stack([pattern_by_hand(block) for block in x.split(8, 1)], 1)
    assert torch.equal(posterior.pattern_index(x), expected)
    assert not posterior.pattern_index(x)[0].any()


def test_pattern_index_of_the_example_in_the_paper():
    posterior = SurrogatePosterior(4, hidden=2)
    assert posterior.pattern_index(torch.tensor([[-0.3, -1, 2, 0.1]])).tolist() == [[12]]


@pytest.mark.parametrize("bits", BITS)
def test_logits_are_a_distribution_over_the_patterns_of_each_block(bits):
    posterior = SurrogatePosterior(bits, hidden=8).eval()
    u = torch.randn(5, bits)
    logits = posterior(u)
    sizes = [min(8, bits - start) for start in range(0, bits, 8)]
    assert posterior.block_sizes == tuple(sizes)
    assert logits.shape == (5, len(sizes), 2 ** min(bits, 8))
    assert torch.equal(logits.isfinite().sum(2), torch.tensor([2**r for r in sizes]).expand(5, -1))
    probabilities = logits.softmax(2)
    torch.testing.assert_close(probabilities.sum(2), torch.ones(5, len(sizes)))
    index = posterior.pattern_index(u)
    expected = probabilities.gather(2, index.unsqueeze(2)).log().sum((1, 2))
    torch.testing.assert_close(posterior.log_prob(u), expected)


def test_log_prob_table_gives_every_code_for_every_item():
    posterior = make_posterior(10, block_bits=4).eval()
    u = torch.randn(3, 10, dtype=torch.float64)
    codes = torch.tensor(list(itertools.product((-1, 1), repeat=10)), dtype=torch.int8)
    table = posterior.log_prob_table(u, codes)
    close(table.exp().sum(1), torch.ones(3, dtype=torch.float64))
    for n in (0, 2):
        close(table[n], posterior.log_prob(u[n].expand(len(codes), -1), codes))


def test_dropout_keeps_the_mean_and_drops_the_stated_share():
    def draw(shape, probability):
        words, scale = draw_kept(shape, kept_digits(probability), torch.device("cpu"))
        assert words.shape == (*shape[:-1], -(-shape[-1] // 64))
        octets = words.numpy().astype("<i8").view(np.uint8)
        return np.unpackbits(octets, axis=-1, bitorder="little")[..., : shape[-1]], scale

    assert draw_kept((2, 3, 65), kept_digits(0.0), torch.device("cpu")) == (None, 1.0)
    torch.manual_seed(0)
    for probability in (0.1, 0.5, 0.9):
        kept, scale = draw((7, 33, 401), probability)
        assert abs(kept.mean() - (1 - probability)) < 5 * math.sqrt(0.25 / kept.size) + 2**-16
        assert abs(scale * (1 - probability) - 1) < 1e-3
    rows = draw((1, 2000, 64), 0.5)[0][0]
    correlation = np.corrcoef(rows.T)
    assert np.abs(correlation - np.eye(64)).max() < 0.12


def test_dropout_is_random_in_training_and_reproducible():
    posterior = SurrogatePosterior(16, hidden=64, dropout=0.5)
    u = torch.randn(8, 16)
    first, second = posterior.nll(u), posterior.nll(u)
    assert first != second
    torch.manual_seed(5)
    first = posterior.nll(u)
    torch.manual_seed(5)
    assert posterior.nll(u) == first
    assert posterior.nll(u, dropout=False) == posterior.eval().nll(u)


def test_initial_parameters_are_those_of_linear_layers():
    torch.manual_seed(0)
    posterior = SurrogatePosterior(20, hidden=64)
    for stack in (posterior.full_blocks, posterior.last_block):
        for weight, bias in ((stack.weight_in, stack.bias_in), (stack.weight_out, stack.bias_out)):
            bound = 1 / math.sqrt(weight.shape[2])
            for parameter in (weight, bias):
                assert parameter.abs().max() <= bound
                assert parameter.abs().max() > 0.75 * bound
    counted = sum(p.numel() for p in SurrogatePosterior(64).parameters())
    assert counted == 8 * 68_096  # of the paper's listing: 68,096 a block


def test_freeze_keeps_the_gradient_from_the_parameters():
    posterior = SurrogatePosterior(12, hidden=8)
    u = torch.randn(4, 12, requires_grad=True)
    posterior.nll(u, -u, freeze=True).backward()
    assert u.grad.abs().sum() > 0
    assert all(p.grad is None for p in posterior.parameters())


@pytest.mark.parametrize("bits", [8, 12])
def test_empty_batch_gives_zero(bits):
    posterior = SurrogatePosterior(bits, hidden=4)
    u = torch.empty(0, bits, requires_grad=True)
    assert posterior.nll(u) == 0
    for own, target in (posterior.split_nll(u, u), posterior.shared_nll(u, torch.ones(3, bits), torch.ones(0, 3))):
        (own + target).backward()
        assert own == target == 0
    assert u.grad.shape == (0, bits)


def test_state_dict_round_trip():
    first, second = SurrogatePosterior(20, hidden=8).eval(), SurrogatePosterior(20, hidden=8).eval()
    u = torch.randn(3, 20)
    assert first.nll(u) != second.nll(u)
    second.load_state_dict(first.state_dict())
    assert first.nll(u) == second.nll(u)


@pytest.mark.parametrize("use_reentrant", [False, True])
def test_a_checkpoint_computes_it_again(use_reentrant):
    posterior = SurrogatePosterior(12, hidden=8).double()
    u = torch.randn(4, 12, dtype=torch.float64, requires_grad=True)
    inputs = u, *posterior.parameters()

    def loss(u):
        own, target = posterior.split_nll(u, -u.detach())
        return own + target + sum(posterior.shared_nll(u, -u.detach(), torch.eye(4)))

    found = []
    for again in (False, True):
        torch.manual_seed(0)
        value = checkpoint(loss, u, use_reentrant=use_reentrant) if again else loss(u)
        value.backward()
        found.append([x.grad for x in inputs])
        for x in inputs:
            x.grad = None
    torch.testing.assert_close(*found, rtol=0, atol=0)


def test_the_backward_pass_may_run_under_autocast():
    grads = []
    for enabled in (False, True):
        torch.manual_seed(0)
        posterior = SurrogatePosterior(20)
        u = torch.randn(6, 20, generator=torch.Generator().manual_seed(1), requires_grad=True)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
            torch.manual_seed(2)
            posterior.nll(u, -u.detach()).backward()
        grads.append([u.grad, *(p.grad for p in posterior.parameters())])
    for found, expected in zip(*grads, strict=True):
        torch.testing.assert_close(found, expected)


def test_second_derivatives_forward_mode_and_weights_of_another_length_are_errors():
    posterior = SurrogatePosterior(9, block_bits=4)
    u = torch.randn(3, 9, requires_grad=True)
    for source in (u, posterior.full_blocks.weight_in):
        for terms in (posterior.split_nll(u, -u.detach()), posterior.shared_nll(u, -u.detach(), torch.eye(3))):
            (gradient,) = torch.autograd.grad(sum(terms), source, create_graph=True)
            with pytest.raises(RuntimeError, match="first derivatives only"):
                gradient.sum().backward()
    for inputs in ((u, torch.ones_like(u)),), ((u.detach(), torch.ones_like(u)),):
        with pytest.raises(RuntimeError, match="reverse mode only"):
            torch.func.jvp(lambda x: posterior.split_nll(x, -x)[1], *zip(*inputs, strict=True))
        with pytest.raises(RuntimeError, match="reverse mode only"):
            torch.func.jvp(lambda x: posterior.shared_nll(x, -u, torch.eye(3))[1], *zip(*inputs, strict=True))
    with pytest.raises(ValueError, match=r"weight must have shape \(3,\), got \(4,\)"):
        posterior.split_nll(u, u, torch.rand(4))
    with pytest.raises(ValueError, match=r"shares must have shape \(3, 2\), got \(3, 3\)"):
        posterior.shared_nll(u, torch.ones(2, 9), torch.eye(3))
    with pytest.raises(ValueError, match=r"codes must have shape \[N, 9\], got \(2, 8\)"):
        posterior.shared_nll(u, torch.ones(2, 8), torch.ones(3, 2))


def test_autocast_and_half_precision_compute_in_float32():
    posterior = SurrogatePosterior(20, hidden=8).eval()
    u = torch.randn(6, 20).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value, (own, target) = posterior.nll(u), posterior.split_nll(u, -u)
        assert posterior(u).dtype == torch.float32
    assert value.dtype == own.dtype == target.dtype == torch.float32
    assert value == posterior.nll(u.float())


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("dynamic", [None, True])
def test_compiles_into_one_graph(training, dynamic):
    """With ``dynamic`` the probability of a dropout is open in the graph, as it is after it came with two values."""
    posterior = SurrogatePosterior(12, hidden=8, dropout=0.3).train(training)
    u = torch.randn(4, 12, requires_grad=True)

    def step(u):
        own, target = posterior.split_nll(u, -u)
        return own + target + posterior.nll(u) + sum(posterior.shared_nll(u, -u, torch.eye(4)))

    compiled = torch.compile(step, fullgraph=True, dynamic=dynamic, backend="aot_eager")
    value = compiled(u)
    value.backward()
    assert u.grad.abs().sum() > 0
    if not training:
        torch.testing.assert_close(value, step(u))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"bits": 0}, ValueError, "bits must be in 1..4096, got 0"),
        ({"bits": 8.0}, TypeError, "bits must be an int, got float"),
        ({"block_bits": 13}, ValueError, "block_bits must be in 1..12, got 13"),
        ({"hidden": 0}, ValueError, "hidden must be at least 1, got 0"),
        ({"dropout": 1.0}, ValueError, "dropout must be below 1, got 1"),
        ({"dropout": -0.1}, ValueError, "dropout must be at least 0, got -0.1"),
    ],
)
def test_bad_options_are_named(options, error, message):
    with pytest.raises(error, match=message.replace("..", r"\.\.")):
        SurrogatePosterior(**{"bits": 16, **options})


@pytest.mark.parametrize(
    ("u", "targets", "error", "message"),
    [
        (torch.zeros(4, 15), None, ValueError, r"u must have shape \[N, 16\], got \(4, 15\)"),
        (torch.zeros(4, 16, dtype=torch.int8), None, TypeError, "u must be floating point"),
        (torch.full((1, 16), torch.nan), None, ValueError, "u must be finite, got nan"),
        (torch.full((1, 16), -torch.inf), None, ValueError, "u must be finite, got -inf"),
        (torch.zeros(4, 16), torch.zeros(3, 16), ValueError, r"targets must have shape \[4, 16\], got \(3, 16\)"),
        (torch.zeros(4, 16), np.zeros((4, 16)), TypeError, "targets must be a torch.Tensor, got ndarray"),
        (torch.zeros(4, 16), torch.zeros(4, 16) * 1j, TypeError, "targets must be of a real dtype"),
    ],
)
def test_bad_arguments_are_named(u, targets, error, message):
    with pytest.raises(error, match=message):
        SurrogatePosterior(16, hidden=4).nll(u, targets)


@pytest.mark.parametrize(
    ("weight", "error", "message"),
    [
        (torch.ones(4, 1), ValueError, "weight must have 1 dimension, got shape \\(4, 1\\)"),
        (torch.ones(2, 4), ValueError, "weight must have 1 dimension, got shape \\(2, 4\\)"),
        (torch.ones(1), ValueError, "weight must have shape \\(4,\\), got \\(1,\\)"),
        ([1.0] * 4, TypeError, "weight must be a torch.Tensor, got list"),
        (torch.ones(4) * 1j, TypeError, "weight must be of a real dtype, got complex64"),
    ],
)
def test_bad_weights_are_named(weight, error, message):
    posterior, u = SurrogatePosterior(16, hidden=4), torch.zeros(4, 16)
    for call in (posterior.nll, posterior.split_nll):
        with pytest.raises(error, match=message):
            call(u, u, weight)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.int64, torch.bool])
def test_weights_of_any_real_dtype_leave_that_of_the_parameters(dtype):
    posterior = SurrogatePosterior(16, hidden=4).eval()
    u, weight = torch.randn(4, 16), torch.tensor([1, 0, 1, 1])
    value = posterior.nll(u, -u, weight.to(dtype))
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, -(posterior.log_prob(u, -u) * weight).sum() / 4)


@pytest.mark.parametrize("dtype", [torch.uint16, torch.uint32, torch.uint64, torch.float8_e4m3fn])
def test_targets_of_dtypes_for_which_torch_has_few_operations(dtype):
    posterior, x = SurrogatePosterior(16, hidden=4).eval(), torch.randint(0, 3, (4, 16))
    assert torch.equal(posterior.pattern_index(x.to(dtype)), posterior.pattern_index(x))
    u = torch.randn(4, 16)
    assert posterior.nll(u, x.to(dtype)) == posterior.nll(u, x)
    largest = torch.full((1, 16), -1).view(torch.uint64)
    assert posterior.pattern_index(largest).tolist() == [[255, 255]]

"""X_D: values against a formula written out block by block, and where each gradient goes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from hashkernels.centers import hadamard_centers
from hashkernels.losses import CSQLoss, HashLoss
from hashkernels.losses._base import Terms
from hashkernels.surrogate import SurrogateLoss

BITS = (1, 7, 8, 9, 12, 20, 48, 64)


class MeanLoss(HashLoss):
    """A base loss that is easy to follow: the mean embedding times a trained factor; remembers what it was given."""

    def __init__(self, bits, num_classes):
        super().__init__(bits, num_classes)
        self.factor = torch.nn.Parameter(torch.tensor(2.0, dtype=torch.float64))

    def _compute(self, batch):
        self.batch = batch
        return Terms.sum_of(mean=self.factor * batch.u.mean())


def random_centers(num_classes, bits, seed=0):
    return np.random.default_rng(seed).choice(np.array([-1, 1], dtype=np.int8), (num_classes, bits))


def make_loss(bits=12, num_classes=5, base=MeanLoss, **options):
    torch.manual_seed(bits)
    base_loss = base(bits, num_classes) if base is not None else None
    return SurrogateLoss(base_loss, random_centers(num_classes, bits), **{"hidden": 8, **options}).double()


def block_nll(posterior, u, targets):
    """Sum over blocks of the cross-entropy of each item, written out: [N]."""
    start, total = 0, 0
    stacks = [posterior.full_blocks] + ([posterior.last_block] if posterior.last_block is not None else [])
    for stack in stacks:
        for k in range(stack.bias_in.shape[0]):
            x, t = u[:, start : start + stack.size], targets[:, start : start + stack.size]
            start += stack.size
            hidden = x @ stack.weight_in[k].T + stack.bias_in[k]
            logits = (hidden * torch.sigmoid(hidden)) @ stack.weight_out[k].T + stack.bias_out[k]
            index = sum(2**j * (t[:, j] > 0).long() for j in range(stack.size))
            total = total + torch.logsumexp(logits, 1) - logits[torch.arange(len(u)), index]
    return total


def gradients(value, tensors):
    return torch.autograd.grad(value, tensors, allow_unused=True, retain_graph=True)


def close(actual, expected):
    torch.testing.assert_close(actual, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("num_items", [1, 6])
@pytest.mark.parametrize("target_dropout", [True, False])
def test_value_and_gradients_equal_the_formula(bits, num_items, target_dropout):
    loss = make_loss(bits, weight=0.3, dropout=0.0, target_dropout=target_dropout)
    centers = torch.from_numpy(random_centers(5, bits))
    u = torch.randn(num_items, bits, dtype=torch.float64, requires_grad=True)
    labels = torch.randint(0, 5, (num_items,))
    value = loss(u, labels)

    base = 2 * u.mean()
    target = block_nll(loss.posterior, u, centers[labels]).mean()
    own = block_nll(loss.posterior, u.detach(), u.detach()).mean()
    close(value, base + 0.3 * target + own)
    assert list(loss.last_terms) == ["mean", "target", "posterior"]
    close(torch.stack(list(loss.last_terms.values())), torch.stack([base, 0.3 * target, own]).detach())

    close(gradients(value, [u])[0], gradients(base + 0.3 * target, [u])[0])
    parameters = list(loss.posterior.parameters())
    for actual, expected in zip(gradients(value, parameters), gradients(own, parameters), strict=True):
        close(actual, expected)
    close(gradients(value, [loss.base_loss.factor])[0], u.mean().detach())


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_each_term_reaches_only_its_own_side(dropout):
    u = torch.randn(6, 12, dtype=torch.float64, requires_grad=True)
    labels = torch.arange(6) % 5
    for target_dropout in (True, False):
        loss = make_loss(base=None, dropout=dropout, target_dropout=target_dropout)
        parameters = list(loss.posterior.parameters())
        assert loss.posterior_loss(u).requires_grad
        assert gradients(loss.posterior_loss(u), [u]) == (None,)
        hash_loss = loss.hash_loss(u, labels)
        assert gradients(hash_loss, parameters) == (None,) * len(parameters)
        assert gradients(hash_loss, [u])[0].abs().sum() > 0


def test_alternating_update_leaves_the_posterior_to_its_own_optimiser():
    loss = make_loss(base=None, update="alternating", dropout=0.0)
    joint = make_loss(base=None, dropout=0.0)
    joint.load_state_dict(loss.state_dict())
    network = torch.nn.Linear(10, 12).double()
    x, labels = torch.randn(8, 10, dtype=torch.float64), torch.arange(8) % 5
    u = network(x)
    close(loss(u, labels) + loss.posterior_loss(u), joint(u, labels))
    assert list(loss.last_terms) == ["target"]
    close(loss.hash_loss(u, labels), loss(u, labels))
    close(joint.hash_loss(u, labels), loss(u, labels))

    posterior_optimizer = torch.optim.Adam(loss.posterior.parameters(), 1e-2)
    optimizer = torch.optim.Adam(network.parameters(), 1e-2)
    history = []
    for _ in range(60):
        u = network(x)
        posterior_optimizer.zero_grad()
        own = loss.posterior_loss(u)
        own.backward()
        posterior_optimizer.step()
        optimizer.zero_grad()
        loss(u, labels).backward()
        optimizer.step()
        history.append((own.item(), loss.last_terms["target"].item()))
    assert history[-1][0] < history[0][0]
    assert history[-1][1] < history[0][1]


def test_joint_training_draws_codes_to_their_centers():
    torch.manual_seed(0)
    centers = hadamard_centers(4, 8)
    loss = SurrogateLoss(None, centers, weight=1.0, hidden=32, block_bits=4, dropout=0.2)
    labels = torch.arange(64) % 4
    x = F.one_hot(labels, 4) + 0.1 * torch.randn(64, 4)
    network = torch.nn.Linear(4, 8)
    target = torch.from_numpy(np.asarray(centers))[labels]
    optimizer = torch.optim.Adam([*network.parameters(), *loss.parameters()], 1e-2)

    def wrong_bits():
        return ((network(x) > 0) != (target > 0)).float().mean().item()

    before = wrong_bits()
    for _ in range(400):
        optimizer.zero_grad()
        loss(network(x), labels).backward()
        optimizer.step()
    assert wrong_bits() < before / 4


@pytest.mark.parametrize("on_a_gpu", [False, True])
@pytest.mark.parametrize("update", ["joint", "alternating"])
@pytest.mark.parametrize("bits", [2, 8, 20])
def test_average_rule_is_the_mean_over_the_centers_of_the_labels(update, bits, on_a_gpu, monkeypatch):
    monkeypatch.setattr("hashkernels.surrogate.posterior.adds_in_any_order", lambda device: on_a_gpu)
    loss = make_loss(bits, base=None, weight=1.0, dropout=0.0, update=update)
    centers = torch.from_numpy(random_centers(5, bits))
    u = torch.randn(4, bits, dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([[1, 0, 1, 0, 0], [0, 0, 0, 0, 1], [1, 1, 1, 1, 1], [0, 1, 0, 0, 1]])
    value = loss.hash_loss(u, labels)
    expected = 0
    for n in range(4):
        terms = [block_nll(loss.posterior, u[n : n + 1], centers[c : c + 1])[0] for c in range(5) if labels[n, c]]
        expected = expected + sum(terms) / len(terms) / 4
    close(value, expected)
    close(gradients(value, [u])[0], gradients(expected, [u])[0])
    if update == "joint":
        joint, apart = loss(u, labels), value + loss.posterior_loss(u)
        close(joint, apart)
        for found, wanted in zip(*(gradients(x, [u, *loss.parameters()]) for x in (joint, apart)), strict=True):
            close(found, wanted)


def test_sign_rule_takes_the_sign_of_the_sum_and_a_fixed_bit_at_zero():
    loss = make_loss(9, base=None, weight=1.0, dropout=0.0, multi_label="sign")
    centers = random_centers(5, 9).astype(int)
    u = torch.randn(3, 9, dtype=torch.float64)
    labels = torch.tensor([[1, 1, 0, 0, 0], [0, 0, 1, 1, 1], [0, 0, 0, 1, 0]])
    total = labels.numpy() @ centers
    assert (total == 0).any()
    target = torch.from_numpy(np.where(total == 0, loss.tie_break.numpy(), np.sign(total)))
    close(loss.hash_loss(u, labels), block_nll(loss.posterior, u, target).mean())
    again = make_loss(9, base=None, multi_label="sign")
    assert torch.equal(again.tie_break, loss.tie_break)


@pytest.mark.parametrize("multi_label", ["average", "sign"])
def test_one_hot_labels_equal_class_ids(multi_label):
    loss = make_loss(base=None, dropout=0.0, multi_label=multi_label)
    u = torch.randn(6, 12, dtype=torch.float64)
    labels = torch.arange(6) % 5
    close(loss(u, F.one_hot(labels, 5)), loss(u, labels))


def test_target_dropout_off_makes_the_target_term_deterministic():
    u, labels = torch.randn(6, 12, dtype=torch.float64), torch.arange(6) % 5
    loss = make_loss(base=None, update="alternating", target_dropout=False)
    assert loss(u, labels) == loss(u, labels)
    loss.target_dropout = True
    assert loss(u, labels) != loss(u, labels)
    loss.eval()
    assert loss(u, labels) == loss(u, labels)


def test_base_loss_gets_indices_and_references():
    loss = make_loss()
    u, labels = torch.randn(6, 12, dtype=torch.float64), torch.arange(6) % 5
    indices, ref_emb, ref_labels = torch.arange(6), torch.randn(9, 12, dtype=torch.float64), torch.arange(9) % 5
    loss(u, labels, indices=indices, ref_emb=ref_emb, ref_labels=ref_labels)
    batch = loss.base_loss.batch
    assert torch.equal(batch.u, u)
    assert torch.equal(batch.indices, indices)
    assert torch.equal(batch.ref_emb, ref_emb)
    assert torch.equal(batch.ref_labels, ref_labels)
    with pytest.raises(ValueError, match="ref_emb must be None: SurrogateLoss does not compare items with each other"):
        make_loss(base=CSQLoss)(u, labels, ref_emb=ref_emb, ref_labels=ref_labels)


def test_wraps_a_loss_of_the_package():
    loss = make_loss(16, base=CSQLoss, dropout=0.0)
    u, labels = torch.randn(6, 16, dtype=torch.float64), torch.arange(6) % 5
    value = loss(u, labels)
    assert list(loss.last_terms) == ["center", "quantization", "target", "posterior"]
    close(sum(loss.last_terms.values()), value)
    close(value, loss.base_loss(u, labels) + sum(loss.last_terms[name] for name in ("target", "posterior")))


def test_state_dict_round_trip():
    first, second = make_loss(20), make_loss(20)
    second.posterior.full_blocks.reset_parameters()
    u, labels = torch.randn(4, 20, dtype=torch.float64), torch.arange(4)
    first.eval()
    second.eval()
    assert first(u, labels) != second(u, labels)
    second.load_state_dict(first.state_dict())
    assert first(u, labels) == second(u, labels)
    assert set(first.state_dict()) >= {"centers", "tie_break", "posterior.last_block.weight_in", "base_loss.factor"}


def test_codebooks_arrays_and_tensors_are_centers():
    book = hadamard_centers(4, 16)
    values = np.asarray(book)
    for centers in (book, values, values.tolist(), values.astype(float), torch.from_numpy(values)):
        loss = SurrogateLoss(None, centers, hidden=4)
        assert (loss.num_classes, loss.bits) == (4, 16)
        assert loss.centers.dtype == torch.int8
        assert np.array_equal(loss.centers.numpy(), values)


def test_autocast_computes_in_float32():
    loss = make_loss(16, base=CSQLoss, dropout=0.0).float()
    u, labels = torch.randn(6, 16).bfloat16(), torch.arange(6) % 5
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value, alternating = loss(u, labels), loss.hash_loss(u, labels)
    assert value.dtype == alternating.dtype == torch.float32
    torch.testing.assert_close(value, loss(u.float(), labels), rtol=0, atol=0)


@pytest.mark.parametrize("multi_hot", [False, True])
def test_compiles_into_one_graph(multi_hot):
    loss = make_loss(12, base=CSQLoss, dropout=0.0)
    u = torch.randn(4, 12, dtype=torch.float64, requires_grad=True)
    labels = torch.arange(4)
    labels = F.one_hot(labels, 5) if multi_hot else labels
    value = torch.compile(lambda u: loss(u, labels), fullgraph=True, backend="aot_eager")(u)
    close(value, loss(u, labels))
    close(gradients(value, [u])[0], gradients(loss(u, labels), [u])[0])


@pytest.mark.parametrize(
    ("centers", "message"),
    [
        (np.ones(16), r"centers must have shape \[num_classes, bits\], got \(16,\)"),
        (np.zeros((4, 16)), r"centers must hold only -1 and \+1"),
        ([[1, 1], [1]], "centers must have rows of one length"),
        (np.ones((4, 12)), r"centers must have shape \[num_classes=4, bits=16\] for this base_loss, got \(4, 12\)"),
        (np.ones((5, 16)), r"centers must have shape \[num_classes=4, bits=16\] for this base_loss, got \(5, 16\)"),
    ],
)
def test_bad_centers_are_named(centers, message):
    with pytest.raises(ValueError, match=message):
        SurrogateLoss(CSQLoss(16, 4), centers)


@pytest.mark.parametrize("dtype", [torch.bool, torch.complex64])
def test_centers_that_are_no_real_numbers_are_named(dtype):
    with pytest.raises(TypeError, match="centers must be real numbers, got"):
        SurrogateLoss(None, torch.ones(4, 16).to(dtype))


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"weight": -1.0}, ValueError, "weight must be at least 0, got -1"),
        ({"update": "both"}, ValueError, "update must be one of joint, alternating, got 'both'"),
        ({"multi_label": "mean"}, ValueError, "multi_label must be one of average, sign, got 'mean'"),
        ({"block_bits": 16}, ValueError, r"block_bits must be in 1\.\.12, got 16"),
        ({"base_loss": torch.nn.MSELoss()}, TypeError, "base_loss must be a HashLoss or None, got MSELoss"),
    ],
)
def test_bad_options_are_named(options, error, message):
    with pytest.raises(error, match=message):
        SurrogateLoss(**{"base_loss": None, "centers": np.ones((4, 16)), **options})


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_embeddings_that_are_not_finite_are_named(value):
    loss = make_loss()
    u = torch.zeros(2, 12)
    u[1, 3] = value
    for call in (loss, loss.hash_loss, lambda u, _: loss.posterior_loss(u)):
        with pytest.raises(ValueError, match=f"u must be finite, got {value}"):
            call(u, torch.tensor([0, 1]))


def test_bad_labels_are_named():
    loss = make_loss()
    u = torch.zeros(2, 12)
    with pytest.raises(ValueError, match=r"labels must be in 0\.\.4, got 5"):
        loss(u, torch.tensor([0, 5]))
    with pytest.raises(ValueError, match="labels given as multi-hot must have 5 columns, got 4"):
        loss.hash_loss(u, torch.zeros(2, 4))


@pytest.mark.parametrize("multi_label", ["average", "sign"])
@pytest.mark.parametrize("update", ["joint", "alternating"])
def test_an_item_without_a_class_has_no_target(multi_label, update):
    """Its codes still train the posterior; the target term is that of the others, over a batch of one more."""
    loss = make_loss(base=None, multi_label=multi_label, update=update).eval()
    u = torch.randn(4, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    labels = torch.tensor([[1, 0, 1, 0, 0], [0, 0, 0, 0, 0], [0, 1, 0, 0, 0], [0, 0, 1, 1, 1]])
    kept = torch.tensor([0, 2, 3])
    loss(u, labels)
    target = loss.last_terms["target"]
    part = u.detach()[kept].requires_grad_()
    expected = loss.hash_loss(part, labels[kept]) * 3 / 4
    torch.testing.assert_close(target, expected.detach(), rtol=1e-12, atol=0)
    gradient = torch.autograd.grad(loss.hash_loss(u, labels), u)[0]
    torch.testing.assert_close(gradient[kept], torch.autograd.grad(expected, part)[0], rtol=1e-10, atol=1e-12)
    assert bool((gradient[1] == 0).all())
    torch.testing.assert_close(torch.autograd.grad(loss(u, labels), u)[0], gradient, rtol=1e-10, atol=1e-12)

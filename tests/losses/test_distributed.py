"""Ranks with a part of a batch each: the loss, the gradients and the state of one process with the whole batch."""

from __future__ import annotations

import pytest
import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from hashkernels import losses
from hashkernels.centers import hadamard_centers
from hashkernels.losses import CSQLoss, DistributedLoss, DPSHLoss, GreedyHashLoss
from hashkernels.surrogate import SurrogateLoss

BITS, NUM_CLASSES, NUM_TRAIN, NUM_RANKS = 16, 5, 30, 3
SIZES = [(4, 0, 5), (1, 7, 1)]  # of the parts, in two steps
BANKS = {"DBDHLoss", "DCHLoss", "DHNLoss", "DPSHLoss", "DSHLoss", "DTSHLoss", "HashNetLoss"}
OPTIONS = {"ECMLoss/classwise": {"classwise": True}, "DPNLoss/votes": {"update_every": 9}}
OPTIONS |= {f"{name}/bank": {"num_train": NUM_TRAIN} for name in BANKS} | {"DSDHLoss": {"num_train": 9}}
CASES = sorted({*losses.__all__, *OPTIONS, "CSQ_D"} - {"DistributedLoss", "HashLoss"})


def make(case):
    torch.manual_seed(0)
    if case == "CSQ_D":
        centers = hadamard_centers(NUM_CLASSES, BITS)
        return SurrogateLoss(CSQLoss(BITS, NUM_CLASSES, centers=centers), centers, dropout=0).double()
    kind = getattr(losses, case.partition("/")[0])
    return kind(BITS, NUM_CLASSES, **OPTIONS.get(case, {})).double()


def whole_batch(step, multi_hot):
    generator = torch.Generator().manual_seed(step)
    u = torch.randn(9, BITS, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, NUM_CLASSES, (9,), generator=generator)
    if multi_hot:
        labels = (torch.rand(9, NUM_CLASSES, generator=generator) < 0.4).float()
    return u, labels, torch.randperm(9, generator=generator)


def steps_of(case, multi_hot, rank=None):
    """Values, gradients of the embeddings and of parameters, terms and state of two steps and a look in evaluation
    mode; those of all items in one process, or of a rank."""
    inner = make(case)
    loss = inner if rank is None else DistributedLoss(inner)
    found = {}
    for step in range(3):
        loss.train(step < 2)
        u, labels, indices = whole_batch(step, multi_hot)
        if rank is not None:
            sizes = SIZES[step % 2]
            part = slice(sum(sizes[:rank]), sum(sizes[: rank + 1]))
            u, labels, indices = u[part], labels[part], indices[part]
        u = u.clone().requires_grad_()
        inner.zero_grad()
        torch.manual_seed(step)  # of what is drawn from a bank
        value = loss(u, labels, indices=indices)
        value.backward()
        found |= {f"value {step}": value.detach(), f"u {step}": u.grad}
        found |= {f"{name} {step}": parameter.grad for name, parameter in inner.named_parameters()}
        found |= {f"{name} {step}": term.double() for name, term in loss.last_terms.items()}
    return found | inner.state_dict()


def train(rank=None):
    """Parameters after three steps of a net and of a loss with a classifier."""
    torch.manual_seed(1 if rank is None else 1 + rank)  # ranks begin with the parameters of rank 0
    net, loss = nn.Linear(6, BITS).double(), GreedyHashLoss(BITS, NUM_CLASSES).double()
    if rank is not None:
        net = DistributedDataParallel(net)
        loss = DistributedDataParallel(DistributedLoss(loss))
    optimiser = torch.optim.SGD([*net.parameters(), *loss.parameters()], lr=0.1)
    for step in range(3):
        generator = torch.Generator().manual_seed(step)
        items, labels = torch.randn(9, 6, generator=generator).double(), torch.arange(9) % NUM_CLASSES
        if rank is not None:
            items, labels = items[3 * rank : 3 * rank + 3], labels[3 * rank : 3 * rank + 3]
        optimiser.zero_grad()
        loss(net(items), labels).backward()
        optimiser.step()
    return [p.detach().clone() for p in (*net.parameters(), *loss.parameters())]


def failures(rank):
    """What each rank hears when rank 1 goes wrong."""
    u, labels, indices = torch.ones(2, BITS), torch.tensor([0, 1]), torch.tensor([3, 4])
    hot = nn.functional.one_hot(labels, NUM_CLASSES)
    wrong = {
        "infinite": {"u": u * torch.inf},
        "labels": {"labels": labels + 4},
        "indices": {"indices": indices[:1]},
        "float indices": {"indices": indices.float()},
        "form": {"labels": hot},
        "dtype": {"u": u.double()},
        "no indices": {"indices": None},
        "list": {"labels": [0, 1]},
    }
    heard = {}
    for name, change in wrong.items():
        arguments = {"u": u, "labels": labels, "indices": indices} | (change if rank == 1 else {})
        try:
            DistributedLoss(DPSHLoss(BITS, NUM_CLASSES, num_train=9))(**arguments)
        except Exception as error:
            heard[name] = [type(error).__name__, str(error)]
    return heard


def work(rank, folder):
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=NUM_RANKS)
    results = {case: [steps_of(case, multi_hot, rank) for multi_hot in (False, True)] for case in CASES}
    results |= {"train": train(rank), "failures": failures(rank)}
    pair = distributed.new_group([0, 2])
    if rank != 1:
        loss = DistributedLoss(DPSHLoss(BITS, NUM_CLASSES, quantization_weight=0), pair)
        results["pair"] = loss(torch.full((1, BITS), 1.0 - rank), torch.tensor([3])).item()
    torch.save(results, folder / f"{rank}.pt")
    distributed.destroy_process_group()


@pytest.fixture(scope="module")
def heard(tmp_path_factory, start_ranks):
    folder = tmp_path_factory.mktemp("ranks")
    start_ranks(work, folder, NUM_RANKS)
    return [torch.load(folder / f"{rank}.pt") for rank in range(NUM_RANKS)]


@pytest.mark.parametrize("multi_hot", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_ranks_find_what_one_process_finds(heard, case, multi_hot):
    expected = steps_of(case, multi_hot)
    found = [said[case][multi_hot] for said in heard]
    for name, value in expected.items():
        if name.startswith("u "):
            parts = torch.cat([said[name] for said in found]) / NUM_RANKS  # as DistributedDataParallel divides
            torch.testing.assert_close(parts, value, rtol=1e-10, atol=1e-12)
            continue
        for said in found:
            torch.testing.assert_close(said[name], value, rtol=1e-10, atol=1e-12)
    assert all(said.keys() == expected.keys() for said in found)


def test_a_net_and_a_classifier_learn_what_they_learn_in_one_process(heard):
    expected = train()
    for said in heard:
        torch.testing.assert_close(said["train"], expected, rtol=1e-10, atol=1e-12)


FAILED = {
    "infinite": ("ValueError", "u must be finite, got inf"),
    "labels": ("ValueError", "labels must be in 0..4, got 5"),
    "indices": ("ValueError", "indices must have one entry for each of 2 items, got 1"),
    "float indices": ("TypeError", "indices must be integers, got float32"),
    "list": ("TypeError", "labels must be a torch.Tensor, got list"),
}


@pytest.mark.parametrize("name", FAILED)
def test_an_error_on_one_rank_is_raised_on_all(heard, name):
    kind, message = FAILED[name]
    said = [part["failures"][name] for part in heard]
    assert said == [[kind, f"rank 1 failed: {message}"], [kind, message], [kind, f"rank 1 failed: {message}"]]


DISAGREED = {
    "form": "labels must be of one kind on every rank, got class ids on rank 0 and multi-hot on rank 1",
    "dtype": "u must be of one kind on every rank, got float32 on rank 0 and float64 on rank 1",
    "no indices": "indices must be of one kind on every rank, got some on rank 0 and none on rank 1",
}


@pytest.mark.parametrize("name", DISAGREED)
def test_ranks_that_disagree_raise_the_same_error(heard, name):
    assert [part["failures"][name] for part in heard] == [["ValueError", DISAGREED[name]]] * NUM_RANKS


def test_a_group_of_some_ranks(heard):
    """Ones and minus ones, of one class: softplus(-8) - (-8)."""
    expected = nn.functional.softplus(torch.tensor(8.0)).item()
    assert [heard[rank]["pair"] for rank in (0, 2)] == pytest.approx([expected] * 2)


def test_what_is_wrapped_and_where():
    with pytest.raises(TypeError, match="loss must be a HashLoss, got Linear"):
        DistributedLoss(nn.Linear(2, 2))
    for group in ("x", False, distributed.GroupMember.NON_GROUP_MEMBER):
        with pytest.raises(TypeError, match="group must be a process group that this rank is in, got"):
            DistributedLoss(DPSHLoss(BITS, NUM_CLASSES), group)
    loss = DistributedLoss(DPSHLoss(BITS, NUM_CLASSES))
    with pytest.raises(RuntimeError, match=r"distributed needs torch\.distributed\.init_process_group first"):
        loss(torch.ones(2, BITS), torch.tensor([0, 1]))

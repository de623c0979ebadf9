"""The count of items after which codes and centers are updated: it is kept on the host, and saved like a buffer."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch._dynamo.utils import counters

from hashkernels.losses import DPNLoss, DSDHLoss

BITS, NUM_CLASSES, NUM_TRAIN, EVERY = 12, 5, 30, 10
UPDATES = {"DSDHLoss": "update_codes", "DPNLoss": "update_centers"}


def make(name, every=EVERY):
    kind, options = {"DSDHLoss": (DSDHLoss, {"num_train": NUM_TRAIN}), "DPNLoss": (DPNLoss, {})}[name]
    return kind(BITS, NUM_CLASSES, update_every=every, **options)


def see(loss, count=4, kind=torch.Tensor):
    u = torch.randn(count, BITS, generator=torch.Generator().manual_seed(count)).as_subclass(kind)
    return loss(u, torch.arange(count) % NUM_CLASSES, indices=torch.arange(count))


@pytest.fixture(params=sorted(UPDATES))
def name(request):
    return request.param


@pytest.fixture
def updates(name, monkeypatch):
    """One entry for each update."""
    made = []
    monkeypatch.setattr({"DSDHLoss": DSDHLoss, "DPNLoss": DPNLoss}[name], UPDATES[name], lambda self: made.append(self))
    return made


def test_a_state_dict_has_it_as_the_buffer_that_it_was(name, updates):
    loss = torch.nn.Sequential(make(name))
    see(loss[0])
    state = loss.state_dict()
    assert torch.equal(state["0.items_seen"], torch.tensor(4))
    assert state["0.items_seen"].dtype == torch.int64
    with torch.device("meta"):  # as the default, for a while
        assert loss[0].items_seen.item() == 4
    state["0.items_seen"] = torch.tensor(7, dtype=torch.int64)  # as a buffer was saved
    for assign in (False, True):
        fresh = torch.nn.Sequential(make(name))
        assert fresh.load_state_dict(state, strict=True, assign=assign) == ([], [])
        assert fresh[0].items_seen.item() == 7
        before = len(updates)
        see(fresh[0], 2)
        assert len(updates) == before
        see(fresh[0], 2)
        assert len(updates) == before + 1
        assert fresh[0].items_seen.item() == 1


def test_a_state_dict_without_it(name):
    loss = make(name)
    see(loss)
    state = loss.state_dict()
    del state["items_seen"]
    with pytest.raises(RuntimeError, match='Missing key\\(s\\) in state_dict: "items_seen"'):
        loss.load_state_dict(state)
    assert loss.load_state_dict(state, strict=False) == (["items_seen"], [])
    assert loss.items_seen.item() == 4


def test_a_batch_of_more_items_than_that_makes_one_update(name, updates):
    """What it is ahead does not make the calls after it update, too."""
    loss = make(name, every=3)
    counts = []
    for count in (8, 8, 1, 1, 1):
        see(loss, count)
        counts.append((len(updates), loss.items_seen.item()))
    assert counts == [(1, 2), (2, 1), (2, 2), (3, 0), (3, 1)]


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda loss: pickle.loads(pickle.dumps(loss))])
def test_a_copy_goes_on_by_itself(name, updates, duplicate):
    loss = make(name)
    see(loss, 6)
    other = duplicate(loss).double()
    see(other, 4)
    assert (len(updates), other.items_seen.item(), loss.items_seen.item()) == (1, 0, 6)


def test_a_call_with_another_state_counts_in_that_state(name, updates):
    loss, other = make(name), make(name)
    see(other, 8)
    u, labels = torch.randn(4, BITS), torch.arange(4)
    torch.func.functional_call(loss, other.state_dict(), (u, labels), {"indices": torch.arange(4)})
    assert (len(updates), loss.items_seen.item(), other.items_seen.item()) == (1, 0, 8)


def test_counting_compiles_nothing_anew(name, request):
    torch._dynamo.reset()
    request.addfinalizer(torch._dynamo.reset)
    loss = make(name)
    compiled = torch.compile(loss, backend="eager")
    frames = []
    for _ in range(9):
        see(compiled)
        frames.append(counters["frames"]["total"])
    assert frames[1:] == frames[1:2] * 8
    assert loss.items_seen.item() == 6  # 36 seen, three updates


def test_a_loss_that_counts_nothing_compiles_into_one_graph(name, request):
    torch._dynamo.reset()
    request.addfinalizer(torch._dynamo.reset)
    loss, compiled = make(name, 0), torch.compile(make(name, 0), fullgraph=True, backend="eager")
    assert see(compiled).item() == see(loss).item()


def test_a_cuda_graph_that_would_never_count_is_refused(name, monkeypatch):
    class OnGPU(torch.Tensor):
        is_cuda = True

    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: True)
    with pytest.raises(RuntimeError, match=r"update_every must be 0 in a CUDA graph, .* got 10"):
        see(make(name), kind=OnGPU)
    see(make(name, 0), kind=OnGPU)
    see(make(name))
    see(make(name).eval(), kind=OnGPU)

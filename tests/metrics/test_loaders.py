"""Models over loaders, the callback, and the torchmetrics class, against ``evaluate`` over all codes at once."""

from __future__ import annotations

import copy
import pickle
import sys
from types import SimpleNamespace

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

import hashkernels as hk
from hashkernels.metrics import HashRetrievalMetric, RetrievalCallback, evaluate_loaders


@pytest.fixture
def data():
    generator = torch.Generator().manual_seed(0)
    queries, database = (torch.randn(count, 6, generator=generator) for count in (11, 60))
    return TensorDataset(queries, torch.arange(11) % 3), TensorDataset(database, torch.arange(60) % 3, torch.arange(60))


@pytest.fixture
def model():
    torch.manual_seed(1)
    return torch.nn.Sequential(torch.nn.Linear(6, 12), torch.nn.Dropout(0.9))


def whole(model, data, **options):
    with torch.no_grad():
        codes = [hk.pack_codes(model[0](part.tensors[0])) for part in data]
    return hk.evaluate(*codes, data[0].tensors[1], data[1].tensors[1], bits=12, **options)


def loaders(data):
    return DataLoader(data[0], 4), DataLoader(data[1], 25)


def test_loaders_equal_everything_at_once(model, data):
    model[1].eval()
    report = evaluate_loaders(model, *loaders(data), k=(5, 40), ties="index")
    assert report.to_dict(per_query=True) == whole(model, data, k=(5, 40), ties="index").to_dict(per_query=True)
    assert model.training
    assert model[0].training
    assert not model[1].training


@pytest.mark.parametrize("labels_too", [True, False])
def test_relevance_stands_for_labels(model, data, labels_too):
    relevance = {query: list(range(query, 60, 7)) for query in range(11)}
    parts = data if labels_too else [TensorDataset(part.tensors[0]) for part in data]
    report = evaluate_loaders(model, *loaders(parts), relevance=relevance, k=20)
    with torch.no_grad():
        codes = [hk.pack_codes(model[0](part.tensors[0])) for part in data]
    expected = hk.evaluate(*codes, relevance=relevance, bits=12, k=20)
    assert report.to_dict(per_query=True) == expected.to_dict(per_query=True)
    with pytest.raises(TypeError, match=r"query_loader must give batches \(items, \.\.\.\), got Tensor"):
        evaluate_loaders(model, [data[0].tensors[0]], [], relevance=relevance)


def test_dropout_is_off_while_encoding(model, data):
    assert evaluate_loaders(model, *loaders(data)).map == whole(model, data).map
    assert model[1].training
    plain = evaluate_loaders(lambda items: model[0](items), *loaders(data))
    assert plain.map == whole(model, data).map


def test_mode_comes_back_after_an_error(model, data):
    with pytest.raises(ValueError, match="query_loader must give at least one batch, got none"):
        evaluate_loaders(model, [], loaders(data)[1])
    wide = torch.randn(3, 13), torch.zeros(3, dtype=torch.int64)
    with pytest.raises(ValueError, match="outputs of the model must have 6 columns like those before, got 13"):
        evaluate_loaders(torch.nn.Identity(), loaders(data)[0], [wide])
    for batch, got in ((wide[:1], "1 part"), (wide[0], "Tensor"), ({"image": wide[0]}, "dict")):
        message = rf"database_loader must give batches \(items, labels, \.\.\.\), got {got}"
        with pytest.raises(TypeError, match=message):
            evaluate_loaders(model, loaders(data)[0], [batch])
    with pytest.raises(TypeError, match="bits must not be given: the outputs of the model say"):
        evaluate_loaders(model, *loaders(data), bits=12)
    with pytest.raises(RuntimeError, match="compute needs a database"):
        evaluate_loaders(model, loaders(data)[0], [])
    assert model[1].training


def test_callback_as_lightning_calls_it(model, data):
    callback = RetrievalCallback(*loaders(data), every=2, prefix="val/")
    logged = {}
    module = torch.nn.Sequential(*model)
    module.log_dict = logged.update
    for epoch in range(3):
        trainer = SimpleNamespace(current_epoch=epoch, sanity_checking=False)
        callback.setup(trainer, module, "fit")
        callback.on_train_batch_end(trainer, module, None, None, 0)
        callback.on_validation_epoch_end(SimpleNamespace(current_epoch=1, sanity_checking=True), module)
        callback.on_validation_epoch_end(trainer, module)
        callback.teardown(trainer, module, "fit")
    expected = whole(model, data)
    assert list(callback.reports) == [1]
    assert logged == {
        "val/map": expected.map,
        "val/map_lo": expected.map_bounds.lo,
        "val/map_hi": expected.map_bounds.hi,
    }
    callback.load_state_dict(callback.state_dict())
    assert callback.state_key == "RetrievalCallback{prefix='val/'}"
    assert not isinstance(callback._legacy_state_key, str)  # which Lightning also looks for on loading a checkpoint
    assert copy.deepcopy(callback).every == 2
    with pytest.raises(AttributeError, match="no attribute 'monitor'"):
        _ = callback.monitor


@pytest.mark.parametrize("packages", [[], ["lightning.pytorch"], ["lightning.pytorch", "pytorch_lightning"]])
def test_callback_is_of_the_class_of_lightning_where_that_is_imported(monkeypatch, packages):
    classes = [type("Callback", (), {"on_fit_end": lambda self, trainer, module: "theirs"}) for _ in packages]
    for name in ("lightning.pytorch", "pytorch_lightning"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    for name, known in zip(packages, classes, strict=True):
        monkeypatch.setitem(sys.modules, name, SimpleNamespace(Callback=known))
    batches = [(torch.eye(4) - 0.5, torch.tensor([0, 1, 0, 1]))]
    callback = RetrievalCallback(batches, batches, every=2, k=1)
    callback(torch.nn.Identity(), 1)
    for same in (callback, copy.copy(callback), copy.deepcopy(callback), pickle.loads(pickle.dumps(callback))):
        assert all(isinstance(same, known) for known in (RetrievalCallback, *classes))
        assert same.on_fit_end(None, None) == ("theirs" if classes else None)
        assert (same.every, same.reports[1].map) == (2, 1.0)


def test_callback_in_a_loop(model, data):
    callback = RetrievalCallback(*loaders(data))
    assert callback(model).map == callback(model, 5).map == whole(model, data).map
    assert list(callback.reports) == [0, 5]
    with pytest.raises(ValueError, match="every must be at least 1, got 0"):
        RetrievalCallback([], [], every=0)


def filled(metric, model, data):
    for role, part in zip(("database", "query"), data[::-1], strict=True):
        for items, labels, *_ in DataLoader(part, 7):
            metric(model[0](items), labels, role)
    return metric


def test_torchmetrics_class_equals_evaluate(model, data):
    metric = filled(HashRetrievalMetric(12, k=(5, 30), ties="index"), model, data)
    expected = whole(model, data, k=(5, 30), ties="index")
    assert metric.compute().item() == expected.map
    assert metric.compute().dtype == torch.float64
    assert metric.report.to_dict(per_query=True) == expected.to_dict(per_query=True)
    again = pickle.loads(pickle.dumps(metric))
    assert type(again) is HashRetrievalMetric
    assert again.compute().item() == copy.deepcopy(metric).compute().item() == expected.map
    metric.reset()
    metric.update(hk.pack_codes(torch.ones(1, 12)), torch.zeros(1, dtype=torch.int64), role="query")
    with pytest.raises(RuntimeError, match="compute needs queries and a database"):
        metric.compute()
    assert [part.shape for part in metric.query_codes] == [(1, 2)]


@pytest.mark.parametrize("packed", [True, False])
def test_torchmetrics_class_keeps_nothing_of_its_caller(data, packed):
    parts = [(hk.pack_codes(part.tensors[0]), part.tensors[1].clone()) for part in data]
    expected = hk.evaluate(parts[0][0], parts[1][0], parts[0][1], parts[1][1], bits=6).map
    metric = HashRetrievalMetric(6)
    for role, part, (codes, labels) in zip(("query", "database"), data, parts, strict=True):
        given = codes if packed else part.tensors[0].clone()
        metric.update(given, labels, role)
        given.zero_()
        labels.zero_()
    assert metric.compute().item() == expected


def test_nan_is_named(data):
    queries, database = loaders(data)
    with pytest.raises(ValueError, match="outputs of the model must not contain NaN"):
        evaluate_loaders(lambda items: items * float("nan"), queries, database)


@pytest.mark.parametrize("method", ["update", "forward"])
def test_torchmetrics_class_in_a_collection(model, data, method):
    from torchmetrics import Metric, MetricCollection

    metric = HashRetrievalMetric(12)
    assert isinstance(metric, Metric)
    assert metric.higher_is_better
    collection = MetricCollection({"map": metric, "map@5": HashRetrievalMetric(12, k=5)})
    feed = collection if method == "forward" else collection.update
    for role, part in zip(("query", "database"), data, strict=True):
        collection.update(model[0](part.tensors[0][:4]), part.tensors[1][:4], role=role)
        feed(model[0](part.tensors[0][4:]), part.tensors[1][4:], role=role)
    found = collection.compute()
    assert found["map"].item() == whole(model, data).map
    assert found["map@5"].item() == whole(model, data, k=5).map


@pytest.mark.parametrize(
    ("work", "error", "message"),
    [
        (lambda: HashRetrievalMetric(12, ties="none"), ValueError, "ties must be one of"),
        (
            lambda: HashRetrievalMetric(12, exclude=3),
            TypeError,
            "^HashRetrievalMetric got an unexpected keyword argument 'exclude'",
        ),
        (lambda: HashRetrievalMetric(12, k=(5, 0)), ValueError, "k must be at least 1, got 0"),
        (lambda: HashRetrievalMetric(12, threads=0), ValueError, r"threads must be in 1\.\.4096, got 0"),
        (
            lambda: batch(torch.ones(2, 3, dtype=torch.uint8), torch.zeros(2).long()),
            ValueError,
            "query codes must have 2 bytes a code for 12 bits, got 3",
        ),
        (
            lambda: batch(torch.full((2, 12), torch.nan), torch.zeros(2).long()),
            ValueError,
            "query codes must not contain NaN",
        ),
        (lambda: HashRetrievalMetric(0), ValueError, r"bits must be in 1\.\.4096, got 0"),
        (lambda: batch(torch.ones(2, 5), torch.zeros(2).long()), ValueError, "query codes must have 12 columns, got 5"),
        (
            lambda: batch(torch.ones(2, 12), torch.zeros(3).long()),
            ValueError,
            "query labels must have one row for each of 2",
        ),
        (lambda: batch(torch.ones(2, 12), torch.zeros(2).long(), "x"), ValueError, "role must be one of query, data"),
    ],
)
def test_torchmetrics_class_names_bad_arguments(work, error, message):
    with pytest.raises(error, match=message):
        work()


def batch(codes, labels, role="query"):
    HashRetrievalMetric(12).update(codes, labels, role)


def test_without_torchmetrics_everything_else_works(python):
    code = (
        "import sys; sys.modules['torchmetrics'] = None\n"
        "from hashkernels import metrics\n"
        "assert metrics.evaluate_loaders\n"
        "try: metrics.HashRetrievalMetric\n"
        "except ImportError as error: print(error)\n"
    )
    done = python.run(code)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "torchmetrics is missing: pip install 'hashkernels[bench]'\n"

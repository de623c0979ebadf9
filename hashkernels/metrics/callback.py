"""Evaluate a model every few epochs, in a loop of one's own or under Lightning."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, Self

from torch import Tensor

from hashkernels._validation import check_int
from hashkernels.metrics.loaders import evaluate_loaders
from hashkernels.metrics.report import RetrievalReport

_LIGHTNING = ("lightning.pytorch", "pytorch_lightning")


class RetrievalCallback:
    """Evaluates a model every few epochs, and keeps the reports.

    In a loop of one's own: ``callback(model)`` after an epoch. Under Lightning: ``Trainer(callbacks=[callback])``,
    where it runs at the end of validation epochs and logs with ``log_dict``. Lightning is not imported: where that has
    been done before, the callback also is a ``Callback`` of Lightning, which releases before 2.6 insist on; in any case
    it answers every hook that it does not use with nothing.

    Args:
        query_loader, database_loader, options: of ``evaluate_loaders``.
        every: epochs from one evaluation to the next.
        prefix: of the logged names: map, map_lo, map_hi.

    Attributes:
        reports: by epoch, from 0.

    Example:
        >>> import torch
        >>> from hashkernels.metrics import RetrievalCallback
        >>> batches = [(torch.eye(4) - 0.5, torch.tensor([0, 1, 0, 1]))]
        >>> callback = RetrievalCallback(batches, batches, every=2, k=1)
        >>> for epoch in range(4):
        ...     _ = callback(torch.nn.Identity())
        >>> {epoch: report.map for epoch, report in callback.reports.items()}
        {1: 1.0, 3: 1.0}
    """

    def __new__(cls, *_: Any, **__: Any) -> Self:
        """A ``Callback`` of Lightning, too, where that has been imported."""
        known: type[Self] = _known_to_lightning(cls)
        return super().__new__(known)

    def __init__(
        self,
        query_loader: Iterable[Any],
        database_loader: Iterable[Any],
        *,
        every: int = 1,
        prefix: str = "retrieval/",
        **options: Any,
    ) -> None:
        self.loaders = query_loader, database_loader
        self.every = check_int("every", every, 1)
        self.prefix = prefix
        self.options = options
        self.reports: dict[int, RetrievalReport] = {}
        self._epochs = 0

    def __call__(self, model: Callable[[Any], Tensor], epoch: int | None = None) -> RetrievalReport | None:
        """Evaluate if it is time to: after the last of each ``every`` epochs.

        Args:
            model: of ``evaluate_loaders``.
            epoch: that has ended, from 0; default one more than at the last call.
        """
        epoch = self._epochs if epoch is None else check_int("epoch", epoch, 0)
        self._epochs = epoch + 1
        if self._epochs % self.every:
            return None
        self.reports[epoch] = evaluate_loaders(model, *self.loaders, **self.options)
        return self.reports[epoch]

    @property
    def state_key(self) -> str:
        """Under which Lightning stores the state in a checkpoint."""
        return f"{type(self).__name__}{{prefix={self.prefix!r}}}"

    @property
    def _legacy_state_key(self) -> type:
        """Under which Lightning also looks for it."""
        return type(self)

    def state_dict(self) -> dict[str, Any]:
        """Nothing: reports are not part of a checkpoint."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Nothing to restore."""

    def setup(self, trainer: Any, module: Any, stage: str) -> None:
        """Nothing to set up."""

    def teardown(self, trainer: Any, module: Any, stage: str) -> None:
        """Nothing to tear down."""

    def on_validation_epoch_end(self, trainer: Any, module: Any) -> None:
        """Lightning's hook: evaluate the module and log."""
        if getattr(trainer, "sanity_checking", False):
            return
        report = self(module, int(trainer.current_epoch))
        if report is not None:
            values = {"map": report.map, "map_lo": report.map_bounds.lo, "map_hi": report.map_bounds.hi}
            module.log_dict({self.prefix + name: value for name, value in values.items()})

    def __reduce__(self) -> tuple[Any, ...]:
        """A class of two libraries has no name by which pickle could find it."""
        return _blank, (getattr(self, "_own_class", type(self)),), self.__dict__

    def __getattr__(self, name: str) -> Any:
        if name.startswith("on_"):
            return _nothing
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")


def _blank(cls: type[RetrievalCallback]) -> RetrievalCallback:
    return cls.__new__(cls)


def _known_to_lightning(cls: type) -> Any:
    """The class as it is, or derived from the ``Callback`` of each package of Lightning that has been imported."""
    callbacks = (getattr(sys.modules.get(name), "Callback", None) for name in _LIGHTNING)
    missing = tuple(base for base in callbacks if base is not None and not issubclass(cls, base))
    return _derived(cls, missing) if missing else cls


@cache
def _derived(cls: type, bases: tuple[type, ...]) -> type:
    return type(cls.__name__, (cls, *bases), {"__module__": cls.__module__, "_own_class": cls})


def _nothing(*_: Any, **__: Any) -> None:
    """A hook that is not used."""

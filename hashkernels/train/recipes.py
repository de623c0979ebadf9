"""Methods by name: which loss, with which settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch

from hashkernels import _validation as check
from hashkernels import losses
from hashkernels.centers import Codebook, hadamard_centers, has_hadamard_matrix, random_centers
from hashkernels.losses import HashLoss
from hashkernels.surrogate import SurrogateLoss

SURROGATE_SUFFIX = "_d"


class Task(NamedTuple):
    """What a loss is built for.

    Attributes:
        bits: code length.
        num_classes: of the labels.
        num_train: number of training items, for losses that keep a bank of them.
        seed: of centers, and of the weights that a loss trains.
    """

    bits: int
    num_classes: int
    num_train: int | None = None
    seed: int = 0


class Recipe(NamedTuple):
    """A method: its name on the command line, its name in tables, and how to build its loss."""

    name: str
    title: str
    build: Callable[[Task], HashLoss]


_RECIPES: dict[str, Recipe] = {}


def register(recipe: Recipe) -> None:
    """Add a method; with it comes ``NAME_d``, the method with the surrogate posterior.

    Raises:
        ValueError: the name is taken, or ends in ``_d``.
    """
    if recipe.name in _RECIPES:
        raise ValueError(f"name must be new, got {recipe.name!r}, which is registered")
    if recipe.name.endswith(SURROGATE_SUFFIX):
        raise ValueError(f"name must not end in {SURROGATE_SUFFIX!r}, which adds the posterior, got {recipe.name!r}")
    _RECIPES[recipe.name] = recipe


def method_names() -> tuple[str, ...]:
    """Names of all methods, each followed by its variant with the surrogate posterior."""
    return tuple(name + suffix for name in _RECIPES for suffix in ("", SURROGATE_SUFFIX))


def method_title(name: str) -> str:
    """What tables call a method.

    Example:
        >>> method_title("csq_d")
        'CSQ_D'
    """
    base, with_posterior = _split_name(name)
    return _RECIPES[base].title + ("_D" if with_posterior else "")


def build_loss(name: str, bits: int, num_classes: int, *, num_train: int | None = None, seed: int = 0) -> HashLoss:
    """The loss of a method, with weights and centers drawn from ``seed``; torch's global random state stays as it was.

    Args:
        name: one of `method_names`.
        num_train: number of training items; needed by the losses that keep a bank of them.

    Raises:
        ValueError: an unknown name, or sizes that the method cannot do.

    Example:
        >>> type(build_loss("ecm_plotkin", 32, 10)).__name__
        'ECMLoss'
    """
    base, with_posterior = _split_name(name)
    task = Task(check.check_bits(bits), check.check_int("num_classes", num_classes, 2), num_train, seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(check.check_int("seed", seed, 0))
        loss = _RECIPES[base].build(task)
        return SurrogateLoss(loss, class_centers(task), seed=seed) if with_posterior else loss


def class_centers(task: Task) -> Codebook:
    """Targets of the center methods: Hadamard rows where ``bits`` has enough of them, else random balanced words."""
    if has_hadamard_matrix(task.bits) and task.num_classes <= 2 * task.bits:
        return hadamard_centers(task.num_classes, task.bits, seed=task.seed)
    return random_centers(task.num_classes, task.bits, seed=task.seed)


def _split_name(name: str) -> tuple[str, bool]:
    check.check_choice("method", name, method_names())
    return name.removesuffix(SURROGATE_SUFFIX), name.endswith(SURROGATE_SUFFIX)


def _register_all() -> None:
    def sized(loss: Callable[..., HashLoss], **options: Any) -> Callable[[Task], HashLoss]:
        return lambda task: loss(task.bits, task.num_classes, **options)

    def seeded(loss: Callable[..., HashLoss]) -> Callable[[Task], HashLoss]:
        return lambda task: loss(task.bits, task.num_classes, seed=task.seed)

    def banked(loss: Callable[..., HashLoss]) -> Callable[[Task], HashLoss]:
        return lambda task: loss(task.bits, task.num_classes, num_train=task.num_train)

    for recipe in (
        Recipe("ecm", "ECM", sized(losses.ECMLoss, margin="ecm")),
        Recipe("ecm_plotkin", "ECM, Plotkin margin", sized(losses.ECMLoss, margin="plotkin")),
        Recipe("ecm_classwise", "ECM, class-wise", sized(losses.ECMLoss, margin="plotkin", classwise=True)),
        Recipe("csq", "CSQ", seeded(losses.CSQLoss)),
        Recipe("hashnet", "HashNet", sized(losses.HashNetLoss)),
        Recipe("dpsh", "DPSH", sized(losses.DPSHLoss)),
        Recipe("dtsh", "DTSH", sized(losses.DTSHLoss)),
        Recipe("dbdh", "DBDH", sized(losses.DBDHLoss)),
        # The one method here that cannot do without a bank: it keeps a code of every training item.
        Recipe("dsdh", "DSDH", banked(losses.DSDHLoss)),
        Recipe("dch", "DCH", sized(losses.DCHLoss)),
        Recipe("dhn", "DHN", sized(losses.DHNLoss)),
        Recipe("dsh", "DSH", sized(losses.DSHLoss)),
        Recipe("greedyhash", "GreedyHash", sized(losses.GreedyHashLoss)),
        Recipe("mihash", "MIHash", sized(losses.MIHashLoss)),
        Recipe("talr", "TALR", sized(losses.TALRLoss)),
        Recipe("dpn", "DPN", seeded(losses.DPNLoss)),
        Recipe("orthohash", "OrthoHash", seeded(losses.OrthoHashLoss)),
    ):
        register(recipe)


_register_all()

"""Methods by name: which loss, with which settings."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch

from hashkernels import _validation as check
from hashkernels import losses
from hashkernels.centers import Codebook, hadamard_centers, has_hadamard_matrix, random_centers
from hashkernels.losses import HashLoss
from hashkernels.surrogate import SurrogateLoss
from hashkernels.train.seeds import seeded

SURROGATE_SUFFIX = "_d"
_LBHASH = "Zhu et al., NeurIPS 2022"
_OF_THE_TASK = ("centers", "num_train", "seed")
_OF_A_BANK = ("drawn", "skip_unfilled")  # options that mean nothing without one
_ECM = "Xu, Wang and Kitani, BMVC 2018"


class Recipe(NamedTuple):
    """A method: a loss with its settings.

    Attributes:
        name: on the command line.
        title: in tables.
        loss: called as ``loss(bits, num_classes, **options)``.
        options: of the loss, where they differ from its defaults.
        needs: what else the loss takes from the task, of ``"num_train"`` and ``"seed"``.
        paper: where the method comes from.
        training: options of `fit` that the method needs where they differ from the defaults.
    """

    name: str
    title: str
    loss: Callable[..., HashLoss]
    options: Mapping[str, Any] = {}
    needs: tuple[str, ...] = ()
    paper: str = ""
    training: Mapping[str, Any] = {}


_RECIPES: dict[str, Recipe] = {}


def register(recipe: Recipe) -> None:
    """Add a method; with it comes ``NAME_d``, the method with the surrogate posterior.

    Raises:
        ValueError: the name is taken, or ends in ``_d``.
        TypeError: no `Recipe`.
    """
    if not isinstance(recipe, Recipe):
        raise TypeError(f"recipe must be a Recipe, got {type(recipe).__name__}")
    if recipe.name in _RECIPES:
        raise ValueError(f"name must be new, got {recipe.name!r}, which is registered")
    if recipe.name.endswith(SURROGATE_SUFFIX):
        raise ValueError(f"name must not end in {SURROGATE_SUFFIX!r}, which adds the posterior, got {recipe.name!r}")
    _RECIPES[recipe.name] = recipe


def method_names() -> tuple[str, ...]:
    """Names of all methods, each followed by its variant with the surrogate posterior."""
    return tuple(name + suffix for name in _RECIPES for suffix in ("", SURROGATE_SUFFIX))


def method_recipe(name: str) -> Recipe:
    """What a method is made of; of a variant with the surrogate posterior, with its own name, title and papers.

    Example:
        >>> method_recipe("csq_d").title, method_recipe("ecm_plotkin").options
        ('CSQ_D', {'margin': 'plotkin'})
    """
    base, with_posterior = _split_name(name)
    recipe = _RECIPES[base]
    if not with_posterior:
        return recipe
    paper = f"{recipe.paper}; {_LBHASH}" if recipe.paper else _LBHASH
    title, comma, variant = recipe.title.partition(",")
    return recipe._replace(name=name, title=f"{title}_D{comma}{variant}", paper=paper)


def method_title(name: str) -> str:
    """What tables call a method.

    Example:
        >>> method_title("csq_d")
        'CSQ_D'
    """
    return method_recipe(name).title


def method_settings(name: str) -> dict[str, Any]:
    """All options of the loss of a method, by name, as the recipe and the loss's own defaults have them.

    Left out: what depends on the task (centers, banks, seeds). None stands for a value that depends on the code length.

    Example:
        >>> method_settings("greedyhash")
        {'quantization_weight': 0.1, 'estimator': 'identity'}
    """
    recipe = method_recipe(name)
    parameters = inspect.signature(recipe.loss).parameters.values()
    defaults = {
        parameter.name: parameter.default for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY
    }
    return {option: value for option, value in {**defaults, **recipe.options}.items() if option not in _OF_THE_TASK}


def build_loss(
    name: str,
    bits: int,
    num_classes: int,
    *,
    num_train: int | None = None,
    seed: int = 0,
    preset: str | None = None,
    **options: Any,
) -> HashLoss:
    """The loss of a method, with weights and centers drawn from ``seed``; torch's global random state stays as it was.

    Args:
        name: one of `method_names`.
        num_train: number of training items, for a bank of them. The loss has one where the method always does (DSDH),
            or where the preset or the options have ``skip_unfilled`` or ``drawn``, which say how a bank is used; any
            other compares the items of a batch, whether this is given or not.
        preset: a name of the loss's ``presets``: its published settings for a data set.
        options: of the loss (of a variant with the surrogate posterior, of its base loss); they go before the preset,
            and the preset before the recipe.

    Raises:
        ValueError: an unknown name or preset, sizes that the method cannot do, or a bank without ``num_train``.
        TypeError: an option that the loss does not have.

    Example:
        >>> type(build_loss("ecm_plotkin", 32, 10)).__name__
        'ECMLoss'
        >>> build_loss("greedyhash", 48, 100, preset="imagenet100").quantization_weight
        1.0
    """
    base, with_posterior = _split_name(name)
    recipe = _RECIPES[base]
    check.check_bits(bits)
    check.check_int("num_classes", num_classes, 2)
    seed = check.check_int("seed", seed, 0, check.MAX_SEED)
    known: dict[str, Any] = {"num_train": num_train, "seed": seed}
    settings = {field: known[field] for field in recipe.needs} | dict(recipe.options)
    if preset is not None:
        settings |= _preset(recipe, preset, bits)
    settings |= options
    asked = [option for option in _OF_A_BANK if option in settings]
    if asked and "num_train" in inspect.signature(recipe.loss).parameters:
        if num_train is None:
            raise ValueError(f"num_train must be given: {asked[0]} of {base} is about a bank of the training items")
        settings["num_train"] = num_train
    with seeded(seed):
        loss = recipe.loss(bits, num_classes, **settings)
        if not with_posterior:
            return loss
        # A base loss with binary centers and the posterior pull to the same ones.
        own = getattr(loss, "centers", None)
        binary = isinstance(own, torch.Tensor) and bool((own.abs() == 1).all())
        return SurrogateLoss(loss, own if binary else class_centers(num_classes, bits, seed), seed=seed)


def class_centers(num_classes: int, bits: int, seed: int) -> Codebook:
    """Targets of the center methods: Hadamard rows where ``bits`` has enough of them, else random balanced words."""
    if has_hadamard_matrix(bits) and num_classes <= 2 * bits:
        return hadamard_centers(num_classes, bits, seed=seed)
    return random_centers(num_classes, bits, seed=seed)


def _split_name(name: str) -> tuple[str, bool]:
    check.check_choice("method", name, method_names())
    return name.removesuffix(SURROGATE_SUFFIX), name.endswith(SURROGATE_SUFFIX)


def _preset(recipe: Recipe, preset: str, bits: int) -> dict[str, Any]:
    if not (isinstance(recipe.loss, type) and issubclass(recipe.loss, HashLoss)):
        raise ValueError(f"preset must be None for {recipe.name}, which has no presets, got {preset!r}")
    return recipe.loss.preset(preset, bits)


for _recipe in (
    Recipe("ecm", "ECM", losses.ECMLoss, paper=_ECM),
    Recipe(
        "ecm_plotkin",
        "ECM, Plotkin margin",
        losses.ECMLoss,
        {"margin": "plotkin"},
        paper=_ECM,
    ),
    Recipe(
        "ecm_classwise",
        "ECM, class-wise",
        losses.ECMLoss,
        {"margin": "plotkin", "classwise": True, "binarize_centers": False, "quantization_weight": 5e-4},
        paper=_ECM,
    ),
    Recipe("csq", "CSQ", losses.CSQLoss, needs=("seed",), paper="Yuan et al., CVPR 2020"),
    Recipe("hashnet", "HashNet", losses.HashNetLoss, paper="Cao, Long, Wang and Yu, ICCV 2017"),
    Recipe("dpsh", "DPSH", losses.DPSHLoss, paper="Li, Wang and Kang, IJCAI 2016"),
    # The settings of common implementations; nets from scratch learn less with the authors' (in docs/methods.md).
    Recipe(
        "dtsh",
        "DTSH",
        losses.DTSHLoss,
        {"margin": 5.0, "scale": 1.0, "reduction": "anchors"},
        paper="Wang, Shi and Kitani, ACCV 2016",
    ),
    Recipe("dbdh", "DBDH", losses.DBDHLoss, paper="Zheng, Zhang and Lu, Neurocomputing 2020"),
    # The one method here that cannot do without a bank: it keeps a code of every training item.
    Recipe("dsdh", "DSDH", losses.DSDHLoss, needs=("num_train",), paper="Li, Sun, He and Tan, NeurIPS 2017"),
    Recipe("dch", "DCH", losses.DCHLoss, paper="Cao, Long, Liu and Wang, CVPR 2018"),
    Recipe("dhn", "DHN", losses.DHNLoss, paper="Zhu, Long, Wang and Cao, AAAI 2016"),
    Recipe("dsh", "DSH", losses.DSHLoss, paper="Liu, Wang, Shan and Chen, CVPR 2016"),
    Recipe("greedyhash", "GreedyHash", losses.GreedyHashLoss, paper="Su, Zhang, Han and Tian, NeurIPS 2018"),
    # A histogram of few items says little: the authors' batches have 250 items.
    Recipe(
        "mihash",
        "MIHash",
        losses.MIHashLoss,
        {"slope": 3.0},
        paper="Cakir, He, Bargal and Sclaroff, ICCV 2017",
        training={"batch_size": 128, "learning_rate": 2e-3},
    ),
    Recipe("talr", "TALR", losses.TALRLoss, paper="He, Cakir, Bargal and Sclaroff, CVPR 2018"),
    Recipe("dpn", "DPN", losses.DPNLoss, needs=("seed",), paper="Fan, Ng, Ju, Zhang and Chan, IJCAI 2020"),
    Recipe("orthohash", "OrthoHash", losses.OrthoHashLoss, needs=("seed",), paper="Hoe et al., NeurIPS 2021"),
):
    register(_recipe)

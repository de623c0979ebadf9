"""Methods by name: each one builds, trains and repeats."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from hashkernels.centers import best_centers
from hashkernels.losses import CSQLoss, ECMLoss
from hashkernels.surrogate import SurrogateLoss
from hashkernels.train import (
    Recipe,
    build_loss,
    build_model,
    fit,
    method_names,
    method_recipe,
    method_title,
    recipes,
    register,
)


@pytest.mark.parametrize("method", method_names())
def test_every_method_trains_an_epoch(method: str) -> None:
    items, labels = torch.randn(40, 6, generator=torch.Generator().manual_seed(0)), torch.arange(40) % 4
    loss = build_loss(method, 16, 4, num_train=40)
    history = fit(build_model((6,), 16), loss, (items, labels), epochs=1, batch_size=20)
    assert history.records[0].distinct_codes > 1


def test_names_settings_and_titles() -> None:
    assert {"ecm", "ecm_plotkin", "csq", "csq_d"} <= set(method_names())
    paper, plotkin, wrapped = (build_loss(name, 32, 10) for name in ("ecm", "ecm_plotkin", "csq_d"))
    assert isinstance(paper, ECMLoss)
    assert paper.alpha == -18
    assert isinstance(plotkin, ECMLoss)
    assert plotkin.alpha == pytest.approx(-32 / 9)
    assert isinstance(wrapped, SurrogateLoss)
    assert isinstance(wrapped.base_loss, CSQLoss)
    # Base loss and posterior pull towards the same centers.
    assert torch.equal(wrapped.base_loss.centers, wrapped.centers)
    assert method_title("csq_d") == "CSQ_D"


def test_seeds_draw_centers_and_weights_and_leave_the_global_random_state() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    first, second, other = (build_loss("csq_d", 32, 10, seed=seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(value, second[name]) for name, value in first.items())
    assert not torch.equal(first["centers"], other["centers"])


def test_more_classes_than_hadamard_rows_fall_back_to_random_centers() -> None:
    assert tuple(build_loss("csq", 12, 100).centers.shape) == (100, 12)


def test_unknown_names_and_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="method must be one of ecm"):
        build_loss("nope", 32, 10)
    with pytest.raises(ValueError, match="num_classes must be at least 2"):
        build_loss("csq", 32, 1)
    with pytest.raises(ValueError, match="num_train must be given"):
        build_loss("dsdh", 32, 10)


def test_register_adds_a_method_and_its_surrogate_variant(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipes, "_RECIPES", dict(recipes._RECIPES))
    register(Recipe("half", "Half", CSQLoss, {"quantization_weight": 0.5}))
    assert {"half", "half_d"} <= set(method_names())
    assert build_loss("half", 16, 4).quantization_weight == 0.5
    for name, message in (("half", "must be new"), ("half_d", "must not end in")):
        with pytest.raises(ValueError, match=message):
            register(Recipe(name, "Half", CSQLoss))


def test_options_go_before_the_preset_and_the_preset_before_the_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipes, "_RECIPES", dict(recipes._RECIPES))
    register(Recipe("half", "Half", CSQLoss, {"quantization_weight": 0.5, "scale": 3.0}))
    loss = build_loss("half", 16, 4, preset="resnet")
    assert (loss.quantization_weight, loss.scale) == (0.05, 3.0)
    assert build_loss("half", 16, 4, preset="resnet", quantization_weight=0.2).quantization_weight == 0.2
    base = build_loss("half_d", 16, 4, scale=1.0).base_loss
    assert base.scale == 1.0
    with pytest.raises(ValueError, match="preset must be one of resnet, alexnet, got 'vgg'"):
        build_loss("half", 16, 4, preset="vgg")
    register(Recipe("made", "Made", lambda bits, num_classes: CSQLoss(bits, num_classes)))
    with pytest.raises(ValueError, match="preset must be None for made, which has no presets"):
        build_loss("made", 16, 4, preset="resnet")


@pytest.mark.parametrize(
    ("method", "asked"),
    [
        ("dpsh", {"preset": "cifar10"}),
        ("dpsh_d", {"preset": "cifar10"}),
        *((name, {"skip_unfilled": True}) for name in ("dpsh", "dbdh", "hashnet", "dch", "dhn", "dsh")),
        ("dtsh", {"drawn": 50}),
    ],
)
def test_a_bank_comes_with_what_is_about_one(method: str, asked: dict[str, Any]) -> None:
    loss = build_loss(method, 16, 4, num_train=40, **asked)
    bank = getattr(loss, "base_loss", loss).bank
    assert bank.num_train == 40
    # As the trainer calls it for every method.
    plain = build_loss(method, 16, 4, num_train=40)
    assert getattr(plain, "base_loss", plain).bank is None
    with pytest.raises(ValueError, match=r"num_train must be given: .* is about a bank of the training items"):
        build_loss(method, 16, 4, **asked)


def test_an_option_about_a_bank_is_unknown_to_a_loss_without() -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'skip_unfilled'"):
        build_loss("csq", 16, 4, num_train=40, skip_unfilled=True)


@pytest.mark.parametrize("method", ["csq_d", "dpn_d", "orthohash_d"])
def test_base_loss_and_posterior_pull_to_the_same_centers(method: str) -> None:
    loss = build_loss(method, 32, 10, seed=3)
    assert torch.equal(loss.centers, loss.base_loss.centers)


def test_seeds_and_recipes_of_another_kind_are_refused() -> None:
    with pytest.raises(ValueError, match=rf"seed must be in 0\.\.{2**64 - 1}, got {2**64}"):
        build_loss("csq", 16, 4, seed=2**64)
    assert build_loss("csq_d", 16, 4, seed=2**64 - 1)
    with pytest.raises(TypeError, match="recipe must be a Recipe, got str"):
        register("x")  # type: ignore[arg-type]


def test_given_centers_are_those_of_the_posterior_too() -> None:
    centers = best_centers(4, 16, seed=5)
    loss = build_loss("csq_d", 16, 4, centers=centers)
    assert torch.equal(loss.centers, loss.base_loss.centers)
    assert np.array_equal(loss.centers.numpy(), np.asarray(centers))


def test_recipes_name_papers_settings_and_schedules() -> None:
    for name in method_names():
        recipe = method_recipe(name)
        assert recipe.name == name
        assert recipe.paper[-4:].isdigit()
        assert build_loss(name, 16, 4, num_train=10, **recipe.options)
    assert method_recipe("mihash").training["batch_size"] == 128
    assert method_recipe("csq_d").paper == "Yuan et al., CVPR 2020; Zhu et al., NeurIPS 2022"

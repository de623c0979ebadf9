"""The list of methods that ``hashkernels train --list`` prints."""

from __future__ import annotations

from typing import Any

from hashkernels.cli.console import emit
from hashkernels.losses import HashLoss
from hashkernels.train import method_names, method_recipe, method_settings


def list_methods(as_json: bool) -> None:
    """Print every method: its loss, paper, settings, presets and schedule."""
    methods = {name: _describe(name) for name in method_names() if not name.endswith("_d")}
    lines = []
    for name, method in methods.items():
        lines += [f"{name} ({name}_d with the surrogate posterior): {method['loss']}; {method['paper']}"]
        lines += [f"    {_options(method['settings'], 'default')}"]
        lines += [
            f"    preset {preset}: {_options(options, 'by size')}" for preset, options in method["presets"].items()
        ]
        if method["training"]:
            lines += [f"    schedule: {_options(method['training'], 'default')}"]
    emit(as_json, {"methods": methods}, "\n".join(lines))


def _describe(name: str) -> dict[str, Any]:
    recipe = method_recipe(name)
    presets = recipe.loss.presets if isinstance(recipe.loss, type) and issubclass(recipe.loss, HashLoss) else {}
    return {
        "title": recipe.title,
        "loss": getattr(recipe.loss, "__name__", "a function"),
        "paper": recipe.paper,
        "settings": method_settings(name),
        "presets": {
            preset: {option: None if callable(value) else value for option, value in options.items()}
            for preset, options in presets.items()
        },
        "training": dict(recipe.training),
    }


def _options(options: dict[str, Any], none: str) -> str:
    return ", ".join(f"{name} {none if value is None else value}" for name, value in options.items())

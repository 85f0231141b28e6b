"""Configurations that the benchmarks train: step1's network, and others around it, on all pixels."""

from typing import Any

from spectral_search.models.families.mlp import MlpSpec
from spectral_search.spec.load import load_spec, packaged_specs_dir
from spectral_search.spec.run import RunSpec, TrialConfig


def step1() -> RunSpec:
    """The stage that the headline is measured on."""
    return _packaged("step1")


def _packaged(stage: str) -> RunSpec:
    # The published stage with its published input, whatever lies in the folder that the benchmark is run from.
    path = packaged_specs_dir() / f"{stage}.yaml"
    return load_spec(str(path), overrides={"data.input.kind": "standardize"}, environ={})


def step1_config(*, hidden: list[int] | None = None, **fit: Any) -> TrialConfig:
    """Step1's base configuration with other widths and some keys of `fit` changed."""
    values: dict[str, Any] = {f"fit.{key}": value for key, value in fit.items()}
    if hidden is not None:
        values["model.hidden"] = hidden
    return step1().with_params(values)


def on_signal(config: TrialConfig) -> TrialConfig:
    """The configuration with the components of the signal as its input, all that there are."""
    given = config.data.input.model_copy(update={"kind": "signal", "components": "auto"})
    return config.model_copy(update={"data": config.data.model_copy(update={"input": given})})


def stage_config(stage: str, **fit: Any) -> TrialConfig:
    """The base configuration of a published stage with some keys of `fit` changed."""
    return _packaged(stage).with_params({f"fit.{key}": value for key, value in fit.items()})


def hidden_of(config: TrialConfig) -> list[int]:
    """Widths of an MLP's hidden layers.

    Raises:
        ValueError: It is no MLP.
    """
    if not isinstance(config.model, MlpSpec):
        raise ValueError(f"a {config.model.kind} has no hidden widths")
    return config.model.hidden


def varied(number: int, config: TrialConfig) -> TrialConfig:
    """The configuration with what step1 searches set apart by member number, as in a search."""
    fit = config.fit.model_copy(
        update={
            "lr": 1e-4 * 1.5 ** (number % 10),
            "weight_decay": (0.0, 1e-4, 1e-2)[number % 3],
            "schedule": ("constant", "cosine")[number % 2],
        }
    )
    model = config.model.model_copy(update={"dropout": (0.0, 0.1, 0.3)[number % 3]})
    return config.model_copy(update={"fit": fit, "model": model})

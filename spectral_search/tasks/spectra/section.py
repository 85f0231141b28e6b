"""The `data` section: where the spectra are, how many are used, and what a network sees of them."""

from collections.abc import Collection, Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field

from spectral_search.spec.base import LARGE, MANY, SMALL, linked_fault
from spectral_search.spec.data_section import DataSection, InputSection
from spectral_search.spec.families import family_of, kinds_without_neighbours
from spectral_search.spec.model_section import ModelSection

InputKind = Literal["standardize", "whiten", "raw_whiten", "flux_error", "flux_inverse_error", "signal", "denoised"]
LEAKY_INPUTS: frozenset[str] = frozenset({"flux_error", "flux_inverse_error"})
SUBSPACE_INPUTS: frozenset[str] = frozenset({"signal", "denoised"})
"""Inputs made of a spectrum's components in the subspace of the signal (docs/signal.md)."""
_TYPICAL_COMPONENTS = 64
"""Stands for `components: auto` where no data has been looked at yet."""


class InputSpec(InputSection):
    """How a noisy spectrum becomes the network's input."""

    kind: InputKind = Field(
        "standardize",
        description="standardize: (noisy - mean) / sqrt(var(flux) + mean(error^2)) per pixel; whiten: (noisy - mean) "
        "/ error; raw_whiten: noisy / error, kept only to measure how it fails; flux_error and flux_inverse_error: "
        "two channels, leaky because the error array is computed from the noise-free flux; signal: the K components in "
        "which noise-free training spectra differ (MLP only); denoised: these, weighted by their signal-to-noise "
        "and put back into pixels",
    )
    components: Annotated[int, Field(ge=1, le=1024)] | Literal["auto"] = Field(
        "auto", description="signal and denoised: K, how many components; auto: all that rise above the noise"
    )
    otherwise: Literal["standardize", "whiten"] | None = Field(
        None,
        description="signal and denoised: what networks see where the training flux is itself noisy or hardly shows "
        "the signal of val; null: such data are refused or warned of. A kind given on the command line stands",
    )
    error_floor: Annotated[float, Field(ge=0.0, lt=1.0)] = Field(
        0.0, description="whitening only: errors below this quantile of the training errors are raised to it"
    )
    clamp: Annotated[float, Field(ge=SMALL, le=LARGE)] | None = Field(None, description="clip the input to +-clamp")
    squash: Literal["none", "asinh", "log1p"] = Field("none", description="sign-preserving compression of the input")
    top_pixels: Annotated[int, Field(ge=1, le=MANY)] | None = Field(
        None, description="keep only the K pixels that LightGBM finds most important (MLP only)"
    )

    @property
    def channels(self) -> int:
        """Channels of the network's input: 2 where the error is given to it, else 1."""
        return 2 if self.kind in LEAKY_INPUTS else 1

    def length(self, values: int) -> int:
        """Values a channel of the network's input for spectra of this many pixels."""
        if self.kind == "signal":
            return min(_TYPICAL_COMPONENTS if self.components == "auto" else self.components, values)
        return values if self.top_pixels is None else min(self.top_pixels, values)

    def cause_of_collapse(self) -> str | None:
        """That of an input which is known for it."""
        if self.kind != "raw_whiten":
            return None
        return (
            "the input raw_whiten is not centred, and what all spectra share drowns the rest; use "
            "data.input.kind=whiten."
        )


class DataSpec(DataSection):
    """Which spectra are used, and how noisy they are."""

    root: str | list[str] | None = Field(
        None, description="data root(s), globs allowed; holds train*/dataset.h5, optionally val*/ and test*/"
    )
    num_train: Annotated[int, Field(ge=1, le=MANY)] | None = Field(
        None, description="stratified subset of the training set"
    )
    num_val: Annotated[int, Field(ge=1, le=MANY)] | None = Field(None, description="stratified subset of the val set")
    val_fraction: Annotated[float, Field(gt=0.0, lt=1.0)] = Field(
        0.1, description="stratified part of train held out when the root has no val set"
    )
    val_draws: Annotated[int, Field(ge=1, le=64)] | Literal["auto"] = Field(
        "auto", description="frozen noise draws of each val spectrum; auto: enough for 10,000 noisy spectra, at most 8"
    )
    noise_level: Annotated[float, Field(ge=0.0, le=1000.0)] = Field(
        1.0, description="noisy = flux + noise_level * error * N(0,1)"
    )
    noise_drawn: Literal["auto", "components", "pixels"] = Field(
        "auto",
        description="signal and denoised: where the training noise is drawn; auto: in components, whose mean and "
        "covariance follow from each spectrum's errors, a small part of the work in pixels",
    )
    allow_mismatch: bool = Field(
        False,
        description="go on with train, val and test that cannot be one data set (units, recorded noise, labels); the "
        "leaderboard says what does not match",
    )
    split_seed: Annotated[int, Field(ge=-(2**63), lt=2**64)] = Field(
        42, description="fixes the split and the subsets, apart from the training seed"
    )
    residency: Literal["auto", "resident", "stream"] = Field(
        "auto", description="keep the spectra in memory or read them again each epoch; auto decides by size"
    )
    stored_as: Literal["auto", "float32", "float16"] = Field(
        "auto",
        description="number format of spectra that are kept in memory; auto takes float16 where float32 does not fit. "
        "Noise and products are computed in formats of their own",
    )
    input: InputSpec = InputSpec()

    SETTING = ("num_train", "noise_level")
    FIXED: ClassVar[Mapping[str, str]] = {"otherwise": "it stands in for all trials; vary data.input.kind"}

    def check_beside(self, model: ModelSection) -> None:
        """Refuse inputs without neighbouring pixels for networks that need them."""
        given, needs_neighbours = self.input, family_of(model.kind).needs_neighbours
        if given.top_pixels is not None and needs_neighbours:
            message = (
                f"data.input.top_pixels leaves no neighbouring pixels for a {model.kind}; use null, or model.kind "
                f"{kinds_without_neighbours()}"
            )
            raise linked_fault(message, "data.input.top_pixels", "model.kind")
        if given.kind == "signal" and needs_neighbours:
            message = (
                f"data.input.kind signal has no neighbouring pixels, which a {model.kind} needs; use denoised, "
                f"or model.kind {kinds_without_neighbours()}"
            )
            raise linked_fault(message, "data.input.kind", "model.kind")
        if given.kind in SUBSPACE_INPUTS and given.top_pixels is not None:
            message = (
                f"data.input.top_pixels chooses among pixels, and {given.kind} has components; use null, or "
                "data.input.kind standardize"
            )
            raise linked_fault(message, "data.input.top_pixels", "data.input.kind")

    def on_another_machine(self) -> Self:
        return self.model_copy(update={"residency": "auto", "stored_as": "auto"})

    @classmethod
    def asked_for(cls, raw: dict[str, Any], keys: Collection[str]) -> None:
        """An input that is asked for stands: nothing may stand in for it."""
        given = raw.get("input")
        if "data.input.kind" in keys and "data.input.otherwise" not in keys and isinstance(given, dict):
            given.pop("otherwise", None)

    @classmethod
    def beside_neighbours(cls, raw: dict[str, Any]) -> None:
        """Such a network sees `denoised`, where a stage of MLPs left the data a choice."""
        given = raw.get("input")
        if isinstance(given, dict) and given.get("kind") == "signal" and given.get("otherwise") is not None:
            given["kind"] = "denoised"

    @classmethod
    def quick(cls, limits: Mapping[str, int]) -> dict[str, int]:
        return {"num_train": limits["train"], "num_val": limits["val"], "val_draws": limits["draws"]}


DATA = DataSpec

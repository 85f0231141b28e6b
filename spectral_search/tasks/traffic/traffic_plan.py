"""The readings of a search as it will use them, see `task.data_plan`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from spectral_search.errors import RequestError
from spectral_search.record.bundle import read_bundle_config
from spectral_search.spec.run import RunSpec, TrialConfig
from spectral_search.strategy.candidate_configs import values
from spectral_search.task.data_plan import CheckNetworks, Sizes, Traits
from spectral_search.task.training import InputShape
from spectral_search.tasks.traffic.readings import Readings, Split, split
from spectral_search.tasks.traffic.section import HORIZON

if TYPE_CHECKING:
    from spectral_search.tasks.traffic.traffic_preparation import TrafficPreparation

_MARK_MINUTES = 5
"""Minutes of a step that metrics at 15, 30 and 60 minutes go by."""


@dataclass(frozen=True)
class FoundTraffic:
    """See `task.data_plan.FoundData`."""

    plan: "TrafficPlan"

    def decided(self, results: Path | None) -> "TrafficPlan":
        return self.plan


@dataclass(frozen=True)
class TrafficPlan:
    """See `task.data_plan.DataPlan`."""

    spec: RunSpec
    parts: Split
    notes: tuple[str, ...] = ()
    mismatches: tuple[str, ...] = ()

    @property
    def readings(self) -> Readings:
        return self.parts.readings

    @property
    def sizes(self) -> Sizes:
        train, val, test = (len(self.parts.windows[part]) for part in ("train", "val", "test"))
        return Sizes(min(train, self.spec.data.windows_per_epoch or train), val, test)  # of an epoch, which costs count

    @property
    def traits(self) -> Traits:
        held = 3 * self.readings.values_TS.nbytes
        targets = self.sizes.val * self.readings.values_TS.shape[1] * HORIZON * 4
        return Traits(
            values=self.readings.values_TS.shape[1],
            train=self.sizes.train,
            kept_bytes=held,
            window_bytes=0,
            streams=False,
            streams_on_ray=False,
            val_bytes=targets,
            store_val_bytes=2 * held,
            cheap=lambda config: True,
            all_cheap=True,
            less="give fewer sensors",
            examples_name="windows",
        )

    def shape(self, config: TrialConfig) -> InputShape:
        return InputShape.of(config.data.input, self.traits.values)

    def reader_note(self) -> str | None:
        return None

    @cached_property
    def _missing(self) -> float:
        return float(np.mean(np.isnan(self.readings.values_TS)))

    def rows(self) -> list[tuple[str, str]]:
        readings, sizes, train = self.readings, self.sizes, len(self.parts.windows["train"])
        drawn = "" if sizes.train == train else f" ({sizes.train:,} of them an epoch, drawn anew in each)"
        steps = f"{len(readings):,} steps of {readings.step_minutes} min from {readings.start}"
        near = "no adjacency" if readings.adjacency_SS is None else "an adjacency"
        return [
            ("windows", f"{train:,} train{drawn}, {sizes.val:,} val, {sizes.test:,} test, by time"),
            ("sensors", f"{self.traits.values:,}, {steps}, {self._missing:.1%} missing, {near}"),
        ]

    def document(self) -> dict[str, Any]:
        sizes = self.sizes
        train = len(self.parts.windows["train"])
        counts = {"train_windows": train, "val_windows": sizes.val, "test_windows": sizes.test}
        return {**counts, "sensors": self.traits.values, "steps": len(self.readings), "missing_share": self._missing}

    def record(self) -> dict[str, Any]:
        return {
            "sha256": self.parts.sha256(),
            "test_windows": self.sizes.test,
            "step_minutes": self.readings.step_minutes,
        }

    def arrays(self) -> Mapping[str, np.ndarray]:
        return {f"{part}_rows": windows.origin_N for part, windows in self.parts.windows.items()}

    def preparation(self, run: Any, told: Callable[[int, int], None]) -> "TrafficPreparation":
        from spectral_search.tasks.traffic.traffic_preparation import TrafficPreparation

        return TrafficPreparation(self, run)


def look_at(spec: RunSpec, readings: Readings, check_networks: CheckNetworks) -> FoundTraffic:
    """Hold a search against the readings.

    Raises:
        RequestError: They are too short, or a network cannot read them, or their windows hold less of the past than a
            teacher reads.
    """
    taught = _steps_of_teacher(spec)
    if spec.data.history is None:
        # The same windows for all trials, however far back each looks; a grid leaves the space as valid as it was.
        domain = spec.space.get("data.input.steps")
        steps = values(spec, "data.input.steps") | set(domain.probes() if domain is not None else ())
        spec = spec.override({"data.history": max(*steps, taught)})
    elif spec.data.history < taught:
        raise RequestError(
            f"data.history ({spec.data.history}) is less than the {taught} steps that the model of fit.distill reads: "
            "raise it, or leave it out."
        )
    plan = TrafficPlan(spec, split(readings, spec.data, spec.data.history), _notes(readings))
    check_networks(spec, plan.shape)
    return FoundTraffic(plan)


def _steps_of_teacher(spec: RunSpec) -> int:
    """How far back the model looks that networks learn from; 0 where there is none."""
    if spec.fit.distill.model is None:
        return 0
    config = read_bundle_config(Path(spec.fit.distill.model))
    return RunSpec.from_dict(config).base.data.input.steps


def _notes(readings: Readings) -> tuple[str, ...]:
    notes = []
    if not readings.timed:
        notes.append(
            "The table has no times: its first row counts as Monday, midnight, which changes no number but what hours "
            "are called; say data.start to name them."
        )
    if readings.step_minutes != _MARK_MINUTES:
        notes.append(
            f"Steps are {readings.step_minutes} minutes: metrics at 15, 30 and 60 min are of the steps 3, 6 and 12."
        )
    return tuple(notes)

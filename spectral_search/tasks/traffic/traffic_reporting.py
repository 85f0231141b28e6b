"""What traffic adds to records and reports of its runs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from spectral_search.drawing.figure import Chapter
from spectral_search.record.evidence import Evidence
from spectral_search.record.methods import Method
from spectral_search.record.reporting import Reads, Reporting
from spectral_search.spec.run import TrialConfig


class TrafficReporting(Reporting):
    """A chapter of forecasts: a day of some sensors, and errors by horizon, sensor and time of day."""

    subtitle = "the next hour of every sensor"
    closing = "Errors are in the unit of the readings."
    stage = "traffic_stage1"
    sizes_stage = "traffic_stage1"
    given = given_exactly = "the past"

    def reads(self, config: TrialConfig) -> Reads:
        return Reads("readings")

    def test_set(self, data: Mapping[str, Any], config: TrialConfig) -> str:
        from spectral_search.tasks.traffic.kept_traffic import test_windows_name

        return test_windows_name(data)

    def baselines(self, root: Path, data: Sequence[Mapping[str, Any]]) -> list[Method]:
        from spectral_search.tasks.traffic.kept_traffic import kept_methods

        found = [method for one in data for method in kept_methods(root, one)]
        return list({(method.name, method.test_set): method for method in found}.values())

    def chapters(self, evidence: Evidence) -> list[Chapter]:
        from spectral_search.tasks.traffic.traffic_figures import day_figure, horizon_figure, sensors_figure

        methods = [method for method in evidence.side_by_side if len(method.target_N)]
        figures = [day_figure(evidence, methods), horizon_figure(methods), sensors_figure(evidence, methods)]
        return [Chapter("Forecasts", "", figures)]


REPORTING = TrafficReporting()

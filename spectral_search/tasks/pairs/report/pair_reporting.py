"""What pairs add to records and reports of their runs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from spectral_search.drawing.figure import Chapter
from spectral_search.record.evidence import Evidence
from spectral_search.record.methods import Method
from spectral_search.record.reporting import Reads, Reporting
from spectral_search.spec.run import TrialConfig
from spectral_search.tasks.pairs.baselines.kept_pairs import kept_methods, test_set_name
from spectral_search.tasks.pairs.definition import TASK


class PairReporting(Reporting):
    """Which pairs are judged wrongly, and of what kind they are."""

    subtitle = "whether two images show the same"
    stage = "pairs_stage1"
    sizes_stage = "pairs_stage1"
    given = "the pixels"
    given_exactly = "the pixels of both images"

    def reads(self, config: TrialConfig) -> Reads:
        return Reads(f"{config.data.size} x {config.data.size} pixels")

    def test_set(self, data: Mapping[str, Any], config: TrialConfig) -> str:
        return test_set_name(data.get("sha256", {}))

    def baselines(self, root: Path, data: Sequence[Mapping[str, Any]]) -> list[Method]:
        found = {}
        for one in data:
            for method in kept_methods(TASK, root, one.get("sha256", {})):
                found[method.test_set, method.name] = method
        return list(found.values())

    def chapters(self, evidence: Evidence) -> list[Chapter]:
        # Drawn by reports alone: matplotlib comes with it.
        from spectral_search.tasks.pairs.report.pair_figures import pair_figures

        return [Chapter("Pairs", "", pair_figures(evidence))]


REPORTING = PairReporting()

"""What spectra add to records and reports of their runs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from spectral_search.drawing.figure import Chapter
from spectral_search.record.durable import digest_of
from spectral_search.record.evidence import Evidence
from spectral_search.record.finding import Finding
from spectral_search.record.manifest import sampled
from spectral_search.record.methods import SAMPLED, Method
from spectral_search.record.reporting import Reads, Reporting
from spectral_search.spec.families import family_of
from spectral_search.spec.run import TrialConfig
from spectral_search.tasks.spectra.definition import TASK
from spectral_search.tasks.spectra.report.baseline_methods import BASELINES
from spectral_search.tasks.spectra.report.kept_baselines import Baselines, list_baselines
from spectral_search.tasks.spectra.report.verdicts import (
    CNN_100K,
    MLP_100K,
    NOISE_LEVEL,
    five_numbers,
    four_verdicts,
    stop_signals,
)
from spectral_search.tasks.spectra.section import LEAKY_INPUTS


class SpectraReporting(Reporting):
    """Verdicts on MLPs and CNNs, and chapters on S/N, bins of labels and residuals."""

    subtitle = "log g from noisy spectra"
    closing = "All errors are in dex."
    expected = {"MLP": MLP_100K, "CNN": CNN_100K}
    stage = "step1"
    sizes_stage = "mvp_mlp1"
    given = "the flux"
    given_exactly = "the noisy flux"
    otherwise = (" or at another noise level", " or at different noise levels")

    def reads(self, config: TrialConfig) -> Reads:
        told_more = family_of(config.model.kind).needs_bin(config.model)
        fair = config.data.input.kind not in LEAKY_INPUTS and not told_more
        return Reads(config.data.input.kind, fair, {NOISE_LEVEL: config.data.noise_level})

    def test_set(self, data: Mapping[str, Any], config: TrialConfig) -> str:
        return _test_set_name(data, config.data.noise_level)

    def baselines(self, root: Path, data: Sequence[Mapping[str, Any]]) -> list[Method]:
        known = {found.paths.folder: found for one in data for found in list_baselines(root, one)}
        return [method for found in known.values() for method in _baseline_methods(found)]

    def numbers(self, evidence: Evidence) -> list[Finding]:
        return five_numbers(evidence.everything, evidence.runs)

    def verdicts(self, evidence: Evidence) -> list[Finding]:
        return four_verdicts(evidence.everything)

    def stops(self, evidence: Evidence) -> list[str]:
        return stop_signals(evidence.everything)

    def chapters(self, evidence: Evidence) -> list[Chapter]:
        # Verdicts are asked for at the end of every search; figures, and matplotlib with them, by reports alone.
        from spectral_search.tasks.spectra.report.spectra_figures import bins_figure, predicted_figure, snr_figure

        methods = evidence.side_by_side
        return [Chapter("Spectra", "", [snr_figure(methods), bins_figure(methods), predicted_figure(methods)])]


def _test_set_name(data: Mapping[str, Any], noise_level: float) -> str:
    """A name that two methods share if they are tested on the same spectra at the same noise level.

    Args:
        data: Of a manifest, or of a document of baselines: its shards and their content.
        noise_level: Factor on the error.
    """
    shards = data.get("shards", {})
    tests = [name for name in sorted(shards) if name.startswith("test")]
    if sampled(shards):
        known = [f"{shards[name].get('sha256')} {shards[name]['spectra']}" for name in tests]
        return SAMPLED + digest_of("\n".join([*known, f"{noise_level:g}"]))[:12]
    content = data.get("content", {}).get("test", {})
    # What else a shard holds is not what was tested on: recorded noise is used at level 1 alone.
    used = [f"{name} {content[name]}" for name in sorted(content) if name != "noisy" or noise_level == 1.0]
    labels = [str(shards[name].get("labels")) for name in tests]
    return digest_of("\n".join([*labels, *used, f"{noise_level:g}"]))[:12]


def _baseline_methods(known: Baselines) -> list[Method]:
    """The baselines of one setting as methods; none where they were measured on val for want of a test set."""
    if known.part != "test":
        return []
    document, noise_level = known.document, float(known.document["settings"]["noise_level"])
    train, test = int(document["spectra"]["train"]), int(document["spectra"]["test"])
    found = []
    for key, entry in known.methods.items():
        table, about = known.predictions(key).set_index("row"), BASELINES[key]
        labels = table[list(TASK.labels)].reindex(range(test))
        found.append(
            Method(
                name=f"{about.family} ({train:,})",
                family=about.family,
                objective=TASK.objective,
                input=about.input,
                train_size=train,
                test_set=_test_set_name(document["data"], noise_level),
                scores={metric.name: float(entry[metric.name]) for metric in TASK.metrics},
                labels=labels,
                target_N=labels[TASK.target].to_numpy(np.float64),
                predicted_N=table[TASK.predicted].reindex(range(test)).to_numpy(np.float64),
                train_seconds=entry.get("seconds"),
                fair=about.fair,
                role=about.role,
                called=about.called,
                facts={NOISE_LEVEL: noise_level, **entry.get("facts", {}), "warnings": entry.get("warnings", [])},
            )
        )
    return found


REPORTING = SpectraReporting()

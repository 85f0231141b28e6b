"""What a task adds to records and reports of its runs, beyond its metrics."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spectral_search.drawing.figure import Chapter
from spectral_search.errors import RequestError
from spectral_search.record.durable import digest_of
from spectral_search.record.finding import Finding
from spectral_search.record.methods import Method
from spectral_search.spec.run import TrialConfig
from spectral_search.task.task import Task

if TYPE_CHECKING:
    from spectral_search.record.evidence import Evidence


@dataclass(frozen=True)
class Reads:
    """What a network reads.

    Attributes:
        input: In a word.
        fair: Whether it is told nothing but what all others are.
        facts: What else a report must know of it.
    """

    input: str = "-"
    fair: bool = True
    facts: dict[str, Any] = field(default_factory=dict)


class Reporting:
    """The base adds nothing, so a task overrides what it has something to say to.

    Attributes:
        subtitle: What is predicted from what, for the head of a page.
        closing: A last sentence of a page's summary.
        expected: Families that a page keeps a place for, with the command that would fill it.
        stage: A stage to begin with, for commands that a page suggests.
        sizes_stage: One that is quick enough to be run at several training sizes.
        given: What networks are given, for sentences about those that are told more.
        given_exactly: The same where there is room.
        otherwise: How else than by other examples tests may differ, of one run among many and of two runs.
    """

    subtitle: str = ""
    closing: str = ""
    expected: Mapping[str, str] = {}
    stage: str = "STAGE"
    sizes_stage: str = "STAGE"
    given: str = "others"
    given_exactly: str = "others"
    otherwise: tuple[str, str] = ("", "")

    def reads(self, config: TrialConfig) -> Reads:
        """What the network of a configuration reads."""
        return Reads()

    def test_set(self, data: Mapping[str, Any], config: TrialConfig) -> str:
        """A name that two runs share if they are tested on the same examples as seen in the same way.

        Args:
            data: Of a manifest: its shards and their content.
            config: The winner's.
        """
        return digest_of(json.dumps(data.get("content", {}).get("test", {}), sort_keys=True))[:12]

    def baselines(self, root: Path, data: Sequence[Mapping[str, Any]]) -> list[Method]:
        """The baselines of data sets that lie in a results root, each once.

        Args:
            root: The results root.
            data: Of the manifests of runs.
        """
        return []

    def numbers(self, evidence: "Evidence") -> list[Finding]:
        """What is measured of the whole."""
        return []

    def verdicts(self, evidence: "Evidence") -> list[Finding]:
        """What is decided by it."""
        return []

    def stops(self, evidence: "Evidence") -> list[str]:
        """What is not worth more work, in plain words."""
        return []

    def chapters(self, evidence: "Evidence") -> list[Chapter]:
        """The task's own parts of a page."""
        return []


def reporting_of(task: Task) -> Reporting:
    """What a task adds.

    Raises:
        RequestError: It brings something else.
    """
    found = task.reporting()
    if found is None:
        return Reporting()
    if not isinstance(found, Reporting):
        raise RequestError(
            f"What task {task.name} brings for reports is none: it must be a Reporting of "
            "spectral_search.record.reporting."
        )
    return found

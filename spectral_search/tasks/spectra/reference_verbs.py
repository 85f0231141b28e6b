"""What networks on spectra are measured against: the verbs that fit baselines and audit a data set."""

from dataclasses import replace
from typing import TYPE_CHECKING, Self

from pydantic import model_validator

from spectral_search.spec.base import linked_fault
from spectral_search.task.verbs import Answer, Audience, Subject, Verb, VerbOptions, option
from spectral_search.tasks.spectra.report.baseline_methods import INPUTS, METHODS

if TYPE_CHECKING:
    from spectral_search.tasks.spectra.baselines.fit_baselines import Question


class BaselinesOptions(VerbOptions):
    """Which baselines are fitted, and what they read."""

    noise_level: float | None = option(None, "Factor on the error [1.0].", ge=0.0, key="data.noise_level")
    only: str | None = option(None, f"Some of {','.join(METHODS)} [all].")
    input: str | None = option(
        None, f"What all but the ceiling read: {' or '.join(INPUTS)} [the run's, else {INPUTS[0]}]."
    )
    again: bool = option(False, "Fit also what is stored already.")

    @property
    def names(self) -> list[str]:
        """The methods of `only`."""
        return [name.strip().replace("-", "_") for name in (self.only or "").split(",") if name.strip()]

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.only is not None and not self.names:
            raise linked_fault("--only names no method: name some, or leave it out for all.", "only")
        if self.input is not None and self.input not in INPUTS:
            raise linked_fault(f"--input is {self.input!r}: baselines read {' or '.join(INPUTS)}.", "input")
        return self


def _fit(subject: Subject, options: BaselinesOptions, audience: Audience) -> Answer:
    question = _question(subject)
    question = replace(question, reads=options.input or question.reads)
    from spectral_search.tasks.spectra.baselines.fit_baselines import chosen_methods, measure
    from spectral_search.tasks.spectra.consistency.parts_check import check_parts
    from spectral_search.tasks.spectra.report.baselines_view import document, render_baselines
    from spectral_search.tasks.spectra.training.exported_models import best_device

    if subject.run is None:  # the data of a run were looked at when it began
        parts = check_parts(question.root, question.spec.data)
        for sentence in parts.told:
            audience.say(sentence)
        question = replace(question, mismatches=parts.mismatches)
    methods, left_out = chosen_methods(question, options.names)
    for sentence in left_out:
        audience.say(sentence)
    found = measure(
        question, subject.results, methods, best_device(), audience.progress, audience.say, again=options.again
    )
    return Answer(document(found), render_baselines(found))


def _look(subject: Subject, options: VerbOptions, audience: Audience) -> Answer:
    from spectral_search.tasks.spectra.baselines.fit_baselines import audit
    from spectral_search.tasks.spectra.report.kept_audit import render_audit

    found = audit(_question(subject), subject.results, audience.progress)
    return Answer(found, render_audit(found))


def _question(subject: Subject) -> "Question":
    from spectral_search.tasks.spectra.baselines.fit_baselines import Question, question_of

    if subject.run is None:
        return question_of(subject.spec)
    from spectral_search.record.bundle import read_safetensors
    from spectral_search.tasks.spectra.section import SUBSPACE_INPUTS
    from spectral_search.tasks.spectra.training.preprocessing import Preprocessing

    file, data = subject.run.paths.preprocessing_safetensors, subject.data
    prep = Preprocessing.from_arrays(read_safetensors(file)[0]) if file.exists() else None
    reads = "signal" if subject.spec.data.input.kind in SUBSPACE_INPUTS else "pixels"
    return Question(subject.spec, data.root, data.splits, prep, tuple(subject.run.mismatches), reads)


BASELINES = Verb(
    "Fit Ridge, LightGBM, an oracle mixture and the ceiling on the spectra of a search; what is done is kept.",
    BaselinesOptions,
    _fit,
)
AUDIT = Verb("Look for leaks, wrong noise, spectra in both train and test, and shards that differ.", VerbOptions, _look)

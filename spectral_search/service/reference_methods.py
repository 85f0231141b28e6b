"""What networks are measured against: baselines on the spectra of a search, and the audit of the spectra themselves."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from spectral_search.errors import RequestError
from spectral_search.record.paths import RunPaths, results_root
from spectral_search.service.default_data import with_data
from spectral_search.service.recorded_run import recorded_data, recorded_spec
from spectral_search.service.run_options import RunOptions
from spectral_search.service.shown import Shown
from spectral_search.spec.load import parse_set
from spectral_search.spec.run import RunSpec

if TYPE_CHECKING:
    from spectral_search.tasks.spectra.baselines.fit_baselines import Question
    from spectral_search.tasks.spectra.report.kept_baselines import Baselines


def baselines(
    options: RunOptions,
    shown: Shown,
    *,
    noise_level: float | None = None,
    like: str | None = None,
    only: Sequence[str] = (),
    again: bool = False,
    reads: str | None = None,
) -> "Baselines":
    """Fit what networks are measured against, on exactly the split, noise and test set of a search, and store it.

    Args:
        options: The data root, `num_train`, overrides of the data section and the results folder.
        shown: Where progress is shown.
        noise_level: Factor on the error, 1 when absent.
        like: A run whose split, noise level and preprocessing are taken.
        only: Some of ridge, lightgbm, oracle_mixture and ceiling; all when empty.
        again: Fit also what is stored already.
        reads: pixels or signal: what all but the ceiling read; when absent what the run reads, else pixels.

    Raises:
        RequestError: The data or the names are wrong, or the results folder cannot be written.
        KeyboardInterrupt: It was interrupted; finished methods are stored.
    """
    from spectral_search.tasks.spectra.report.baseline_methods import INPUTS

    if reads is not None and reads not in INPUTS:
        raise RequestError(f"--input is {reads!r}: baselines read {' or '.join(INPUTS)}.")
    question, root = _question(options, shown, noise_level, like), results_root(options.results)
    question = replace(question, reads=reads or question.reads)
    from spectral_search.tasks.spectra.baselines.fit_baselines import chosen_methods, measure
    from spectral_search.tasks.spectra.consistency.parts_check import check_parts
    from spectral_search.tasks.spectra.training.exported_models import best_device

    if like is None:  # the data of a run were looked at when it began
        parts = check_parts(question.root, question.spec.data)
        for sentence in parts.told:
            shown.say(sentence)
        question = replace(question, mismatches=parts.mismatches)

    methods, left_out = chosen_methods(question, only)
    for sentence in left_out:
        shown.say(sentence)
    return measure(question, root, methods, best_device(), shown.progress, shown.say, again=again)


def audit(options: RunOptions, shown: Shown) -> dict[str, Any]:
    """Look for what makes numbers on a data set misleading, and store what was found.

    Args:
        options: The data root and the results folder.
        shown: Where progress is shown.

    Returns:
        The document that is stored: created_at, spectra, findings (check, level, text, numbers).

    Raises:
        RequestError: The data cannot be used, or the results folder cannot be written.
    """
    question = _question(options, shown, None, None)
    from spectral_search.tasks.spectra.baselines.fit_baselines import audit as look

    return look(question, results_root(options.results), shown.progress)


def _question(options: RunOptions, shown: Shown, noise_level: float | None, like: str | None) -> "Question":
    """The data that baselines are asked about: those of a run, or of a data root with the defaults of a search."""
    from spectral_search.tasks.spectra.baselines.fit_baselines import Question, question_of

    if like is None:
        data = {"num_train": options.num_train, "noise_level": noise_level}
        given = {key: value for key, value in data.items() if value is not None}
        document = {"stage": "baselines", "data": given, "model": {"kind": "mlp"}}
        spec = RunSpec.from_dict(document).override({**options.overrides(), **_data_sets(options.sets)})
        spec, notes = with_data(spec, shown, False)
        for note in notes:
            shown.say(note)
        return question_of(spec)
    if options.num_train is not None or noise_level is not None or options.sets:
        raise RequestError(
            "--like takes split and noise level from a run: leave --num-train, --noise-level and --set out."
        )
    from spectral_search.record.bundle import read_safetensors
    from spectral_search.record.run_records import RunRecord
    from spectral_search.tasks.spectra.section import SUBSPACE_INPUTS
    from spectral_search.tasks.spectra.training.preprocessing import Preprocessing

    record = RunRecord.load(RunPaths(results_root(options.results), like).require())
    found, file = recorded_data(record, options, shown), record.paths.preprocessing_safetensors
    prep = Preprocessing.from_arrays(read_safetensors(file)[0]) if file.exists() else None
    spec = recorded_spec(record, options)
    reads = "signal" if spec.data.input.kind in SUBSPACE_INPUTS else "pixels"
    spectra: Any = found.plan
    return Question(spec, spectra.root, spectra.splits, prep, tuple(record.mismatches), reads)


def _data_sets(sets: Sequence[str]) -> dict[str, Any]:
    """Overrides of the data section, which is all that baselines have of a spec."""
    values = dict(parse_set(text) for text in sets)
    if other := [key for key in values if not key.startswith("data.")]:
        raise RequestError(f"Baselines have no {', '.join(other)}: --set takes keys of data, such as data.num_val.")
    return values

"""The study: what is recorded, and what a process that died in between left to be taken up."""

import gc
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState
from small_search import make_spec

from spectral_search.errors import RequestError
from spectral_search.record.durable import append_line, read_lines
from spectral_search.record.paths import RunPaths
from spectral_search.record.paused import lift_paused, read_paused
from spectral_search.record.stored_trials import read_study
from spectral_search.run.study import LiveTrial, Study
from spectral_search.run.study_storage import open_storage
from spectral_search.spec.run import RunSpec
from spectral_search.strategy.history import History
from spectral_search.strategy.parzen_proposer import ParzenProposer
from spectral_search.task.metric import Metric

Open = Callable[[], Study]


@pytest.fixture
def spec(tmp_path: Path) -> RunSpec:
    return make_spec(
        tmp_path, tmp_path, search={"trials": 12, "pruner": "asha", "min_epochs": 1, "reduction_factor": 3}
    )


@pytest.fixture
def paths(tmp_path: Path) -> RunPaths:
    return RunPaths(tmp_path / "results", "run").create()


@pytest.fixture
def studies() -> Iterator[Callable[[RunSpec, RunPaths], Study]]:
    """Opens studies; their databases are closed after the test."""
    with ExitStack() as opened:
        yield lambda spec, paths: Study(spec, paths, opened.enter_context(open_storage(paths.study_url)), "run")


@pytest.fixture
def reopen(spec: RunSpec, paths: RunPaths, studies: Callable[[RunSpec, RunPaths], Study]) -> Open:
    """Open the study as a new process would."""
    return lambda: studies(spec, paths)


def record(epoch: int, value: float) -> dict[str, Any]:
    return {"epoch": epoch, "val_r2": value, "train_loss": 1.0}


def begin(study: Study) -> LiveTrial:
    trial = study.next_trial()
    assert trial is not None
    return trial


def stored(study: Study, number: int) -> optuna.trial.FrozenTrial:
    return study._study.get_trials()[number]


def values_of(study: Study, number: int) -> tuple[float, ...]:
    """The objective after each epoch, as the history has it."""
    return study.history.trials[number].values


def raw(study: Study, number: int) -> optuna.Trial:
    """The trial as Optuna writes it, to leave it as a process that died between two writes would."""
    return study._live[number][1]


def rows(paths: RunPaths, number: int) -> list[int]:
    return [line["epoch"] for line in read_lines(paths.trial(number).progress_jsonl).records]


def test_a_study_of_an_earlier_version_keeps_its_choices(reopen: Open, spec: RunSpec) -> None:
    study = reopen()
    first = begin(study)
    assert isinstance(stored(study, 0).params["model.dropout"], float)
    study.finish(0, "failed", "x")
    older = Study(spec, study.paths, study._storage, "older")
    params = {**first.params, "model.dropout": str(first.params["model.dropout"])}
    lr = stored(study, 0).distributions["fit.lr"]
    distributions = {"fit.lr": lr, "model.dropout": optuna.distributions.CategoricalDistribution(["0.0", "0.2"])}
    attributes = {"params": first.params}
    older._study.add_trial(
        optuna.trial.create_trial(value=0.5, params=params, distributions=distributions, user_attrs=attributes)
    )
    reopened = Study(spec, study.paths, study._storage, "older")
    second = begin(reopened)
    assert second.params["model.dropout"] in (0.0, 0.2)
    assert stored(reopened, 1).params["model.dropout"] == str(second.params["model.dropout"])


def test_trial_is_on_disk_before_it_is_handed_out(reopen: Open, paths: RunPaths) -> None:
    study = reopen()
    trial = begin(study)
    assert stored(reopen(), 0).state == TrialState.RUNNING
    assert stored(reopen(), 0).user_attrs["params"] == trial.params
    assert paths.trial(0).params_yaml.exists()


def test_complete_trial_has_its_best_value_and_stopped_one_its_last_epoch(reopen: Open) -> None:
    study = reopen()
    first, second = begin(study), begin(study)
    for epoch, value in enumerate([0.1, 0.5, 0.3], start=1):
        assert study.report(first.number, record(epoch, value)) is False
    study.finish(first.number, "complete")
    assert study.report(second.number, record(1, 0.05)) is True
    study.finish(second.number, "stopped")
    assert (stored(study, 0).state, stored(study, 0).value) == (TrialState.COMPLETE, 0.5)
    assert (stored(study, 1).state, values_of(study, 1)) == (TrialState.PRUNED, (0.05,))
    assert stored(study, 0).intermediate_values == {}, "epochs are the log's"


def test_epoch_told_twice_counts_once_and_a_gap_is_refused(reopen: Open, paths: RunPaths) -> None:
    study = reopen()
    trial = begin(study)
    study.report(trial.number, record(1, 0.1))
    assert study.report(trial.number, record(1, 0.9)) is False
    assert rows(paths, 0) == [1]
    assert values_of(study, 0) == (0.1,)
    with pytest.raises(ValueError, match="epoch 3 after epoch 1"):
        study.report(trial.number, record(3, 0.1))


def test_unfinished_trial_comes_back_with_number_params_and_epochs(reopen: Open) -> None:
    study = reopen()
    trial = begin(study)
    study.report(trial.number, record(1, 0.1))
    study.report(trial.number, record(2, 0.2))
    again = begin(reopen())
    assert (again.number, again.params, again.epochs) == (trial.number, trial.params, trial.epochs)


@pytest.mark.parametrize("cut", ["", "\n"])
def test_a_last_line_that_was_cut_is_dropped_and_told_again(reopen: Open, paths: RunPaths, cut: str) -> None:
    study = reopen()
    trial = begin(study)
    study.report(trial.number, record(1, 0.1))
    study.report(trial.number, record(2, 0.2))
    file = paths.trial(0).progress_jsonl
    file.write_bytes(file.read_bytes()[:-9] + cut.encode())
    again = reopen()
    assert begin(again).last_epoch == 1 and values_of(again, 0) == (0.1,)
    again.report(0, record(2, 0.2))
    assert rows(paths, 0) == [1, 2]


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [(lambda lines: [b"\0\0", *lines], "Line 1 of"), (lambda lines: [lines[0], lines[2]], "lacks epoch 2")],
)
def test_a_log_that_is_damaged_before_its_end_is_told(
    reopen: Open, paths: RunPaths, damage: Callable[[list[bytes]], list[bytes]], sentence: str
) -> None:
    study = reopen()
    trial = begin(study)
    for epoch in (1, 2, 3):
        study.report(trial.number, record(epoch, 0.1 * epoch))
    file = paths.trial(0).progress_jsonl
    file.write_bytes(b"".join(line + b"\n" for line in damage(file.read_bytes().splitlines())))
    with pytest.raises(RequestError, match=sentence):
        reopen()


def test_without_a_log_a_trial_tells_its_epochs_again(reopen: Open, paths: RunPaths) -> None:
    study = reopen()
    trial = begin(study)
    study.report(trial.number, record(1, 0.1))
    paths.trial(0).progress_jsonl.unlink()
    assert begin(reopen()).settled == 0


def as_of_the_version_before(study: Study) -> None:
    """Let the study hold the objective after each epoch too, as it did."""
    for number, trial in enumerate(study.history.trials):
        for epoch, value in enumerate(trial.values, start=1):
            raw(study, number).report(value, epoch)


@pytest.mark.parametrize("damage", ["cut", "garbage", "gone", "ahead"])
def test_a_log_of_the_version_before_is_made_whole_from_its_study(reopen: Open, paths: RunPaths, damage: str) -> None:
    study = reopen()
    trial = begin(study)
    for epoch in (1, 2, 3):
        study.report(trial.number, record(epoch, 0.1 * epoch))
    as_of_the_version_before(study)
    file = paths.trial(0).progress_jsonl
    content = file.read_bytes()
    if damage == "gone":
        file.unlink()
    elif damage == "ahead":
        append_line(file, record(4, 0.4))  # it died before the study was told
    else:
        file.write_bytes(content[:-9] if damage == "cut" else b"\0\0\n" + content)
    again = begin(reopen())
    expected = [(1, 0.1), (2, 0.2), (3, 0.3), (4, 0.4)][: 4 if damage == "ahead" else 3]
    assert [(epoch["epoch"], pytest.approx(epoch["val_r2"])) for epoch in again.epochs] == expected
    assert rows(paths, 0) == [epoch for epoch, _ in expected]


def test_several_objectives_are_final_values(spec: RunSpec, paths: RunPaths) -> None:
    """At the epoch at which the first is best; Optuna takes no values of epochs then, and needs none."""
    error, size = Metric("mae", "MAE", higher_is_better=False), Metric("size", "size", higher_is_better=False)
    with open_storage(paths.study_url) as storage:
        study = Study(spec, paths, storage, "several", objectives=[error, size])
        begin(study)
        begin(study)
        for epoch, value in enumerate((0.5, 0.2, 0.3), start=1):
            assert not study.report(0, {"epoch": epoch, "val_mae": value, "val_size": 10.0 * epoch})
        study.finish(0, "complete")
        assert study.report(1, {"epoch": 1, "val_mae": 0.6, "val_size": 1.0})
        study.finish(1, "stopped")
        assert [trial.values for trial in study._study.get_trials()] == [[0.2, 20.0], None]
        assert [direction.name for direction in study._study.directions] == ["MINIMIZE", "MINIMIZE"]


def leave_at_rung(study: Study, values: list[float]) -> None:
    """Trials with these values at the rung; the last one's process dies after the value, before the verdict."""
    for value in values[:-1]:
        trial = begin(study)
        study.finish(trial.number, "stopped" if study.report(trial.number, record(1, value)) else "complete")
    trial = begin(study)
    append_line(study.paths.trial(trial.number).progress_jsonl, record(1, values[-1]))


def told_again(study: Study) -> bool:
    """Hand out the next trial and tell its last epoch again, as executors do: whether it must stop."""
    trial = begin(study)
    assert trial.settled == trial.last_epoch - 1
    return study.report(trial.number, trial.epochs[-1])


@pytest.mark.parametrize(("values", "stops"), [([0.5, 0.4, 0.3], True), ([0.3, 0.4, 0.5], False)])
def test_rung_without_verdict_is_judged_when_told_again(
    reopen: Open, paths: RunPaths, values: list[float], stops: bool
) -> None:
    leave_at_rung(reopen(), values)
    assert told_again(reopen()) is stops
    assert rows(paths, 2) == [1]


def test_verdict_to_stop_without_the_end_is_taken_again(reopen: Open) -> None:
    """Died after `report` said stop and before `finish`: the trial must not go on."""
    study = reopen()
    for value in (0.5, 0.4):
        trial = begin(study)
        stop = study.report(trial.number, record(1, value))
    assert stop is True
    again = reopen()
    assert [told_again(again), told_again(again)] == [False, True]


def test_trials_that_reach_a_rung_together_are_judged_together(reopen: Open) -> None:
    study = reopen()
    trials = [begin(study) for _ in range(6)]
    for trial in trials:
        study.record(trial.number, record(1, 0.1 * trial.number))
    assert [study.judge(trial.number) for trial in trials] == [True, True, True, True, False, False]


def test_verdict_to_go_on_stands_whatever_came_later(reopen: Open) -> None:
    """Survived its rung as the first; judged anew among the others that came later it would be stopped."""
    study = reopen()
    first, second = begin(study), begin(study)
    assert study.report(first.number, record(1, 0.3)) is False
    assert study.report(second.number, record(1, 0.9)) is False
    again = reopen()
    assert [trial.state for trial in again.history.trials] == ["running", "running"]


def test_resumed_trial_does_not_poison_a_rung(spec: RunSpec, paths: RunPaths, reopen: Open) -> None:
    """Ray Tune's restored ASHA puts the value of epoch 5 of a resumed trial into rung 1 (see the module `asha`)."""
    study = reopen()
    trial = begin(study)
    for epoch, value in enumerate([0.1, 0.2, 0.3, 0.8], start=1):
        assert study.report(trial.number, record(epoch, value)) is False
    again = reopen()
    resumed, other = begin(again), begin(again)
    assert resumed.number == 0
    assert again.report(0, record(5, 0.9)) is False
    # 0.15 is better than what trial 0 had at epoch 1, and worse than what it had when it was resumed.
    assert again.report(other.number, record(1, 0.15)) is False


def test_halted_study_records_nothing_more(reopen: Open, paths: RunPaths) -> None:
    study = reopen()
    trial = begin(study)
    study.halt(KeyboardInterrupt())
    for act in (
        lambda: study.report(trial.number, record(1, 0.1)),
        lambda: study.finish(trial.number, "complete"),
        lambda: study.note(trial.number, "seen"),
        study.next_trial,
    ):
        with pytest.raises(KeyboardInterrupt):
            act()
    assert rows(paths, 0) == []
    assert stored(reopen(), 0).state == TrialState.RUNNING


def test_failed_write_halts_the_study(reopen: Open, paths: RunPaths) -> None:
    study = reopen()
    trial = begin(study)
    paths.trial(0).progress_jsonl.mkdir()  # what cannot be appended to
    with pytest.raises(OSError, match="progress"):
        study.report(trial.number, record(1, 0.1))
    with pytest.raises(OSError, match="progress"):
        study.next_trial()
    assert values_of(reopen_without(reopen, paths), 0) == ()


def reopen_without(reopen: Open, paths: RunPaths) -> Study:
    paths.trial(0).progress_jsonl.rmdir()
    return reopen()


def test_checkpoint_to_go_on_from_is_kept_but_for_stopped_trials(reopen: Open, paths: RunPaths) -> None:
    study = reopen()
    kept = {}
    for outcome in ("complete", "stopped", "failed"):
        trial = begin(study)
        study.report(trial.number, record(1, 0.5))
        files = paths.trial(trial.number)
        for file in (files.last_safetensors, files.best_safetensors):
            file.write_bytes(b"x")
        study.finish(trial.number, outcome, "why" if outcome == "failed" else None)
        kept[outcome] = (files.best_safetensors.exists(), files.last_safetensors.exists())
    assert kept == {"complete": (True, True), "stopped": (True, False), "failed": (True, True)}
    files = paths.trial(1)
    files.last_safetensors.write_bytes(b"x")  # died between the state and the removal
    reopen()
    assert not files.last_safetensors.exists()


def test_failed_trial_keeps_its_error_and_notes(reopen: Open, paths: RunPaths) -> None:
    study = reopen()
    trial = begin(study)
    study.note(trial.number, "tried again")
    study.finish(trial.number, "failed", "OSError: no such shard")
    found = stored(reopen(), 0)
    assert (found.state, found.user_attrs["error"]) == (TrialState.FAIL, "OSError: no such shard")
    assert found.user_attrs["notes"] == ["tried again"]
    assert "tried again" in paths.trial(0).log_txt.read_text()


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[list[str]]]:
    """The states of the trials that each proposal was made from."""
    found: list[list[str]] = []
    propose = ParzenProposer.propose

    def spying(self: ParzenProposer, history: History) -> Any:
        found.append([trial.state for trial in history.trials])
        return propose(self, history)

    monkeypatch.setattr(ParzenProposer, "propose", spying)
    yield found


def test_resumed_proposer_sees_every_earlier_trial_told_apart(reopen: Open, seen: list[list[str]]) -> None:
    study = reopen()
    for outcome in ("complete", "stopped", "failed"):
        trial = begin(study)
        study.report(trial.number, record(1, 0.5))
        study.finish(trial.number, outcome)
    expected = ["complete", "stopped", "failed"]
    params = begin(reopen()).params
    assert seen[-1] == expected
    assert params == begin(reopen()).params


@pytest.mark.slow
def test_proposals_after_a_resume_are_those_of_a_search_in_one_go(
    spec: RunSpec, tmp_path: Path, studies: Callable[[RunSpec, RunPaths], Study]
) -> None:
    def proposed(name: str, reopened: bool) -> list[dict[str, Any]]:
        paths = RunPaths(tmp_path / name, "run").create()
        study = studies(spec, paths)
        found = []
        for number in range(spec.search.trials):
            if reopened:
                study = studies(spec, paths)
            trial = begin(study)
            found.append(trial.params)
            stop = study.report(trial.number, record(1, (number * 7 % 12) / 12))
            study.finish(trial.number, "stopped" if stop else "complete")
        assert study.over
        return found

    assert proposed("whole", reopened=False) == proposed("parts", reopened=True)


def fail(study: Study, error: str = "MemoryError: no room") -> LiveTrial:
    trial = begin(study)
    study.finish(trial.number, "failed", error)
    return trial


def dropouts(tmp_path: Path, pause_after: int = 3) -> RunSpec:
    """A grid of six points, those of dropout 0.2 first."""
    search = {"sampler": "grid", "pruner": "none", "pause_after": pause_after}
    return make_spec(
        tmp_path, tmp_path, search=search, grid={"model.dropout": [0.2, 0.0], "fit.lr": [1e-4, 1e-3, 1e-2]}
    )


def test_a_part_where_three_failed_of_one_cause_is_paused_for_good(
    tmp_path: Path, paths: RunPaths, studies: Callable[[RunSpec, RunPaths], Study]
) -> None:
    spec = make_spec(tmp_path, tmp_path, search={"sampler": "random", "pruner": "none", "trials": 30})
    study, told = studies(spec, paths), list[str]()
    study.on_pause = lambda paused: told.append(paused.told)
    for _ in range(16):  # about half of them have the value that fails
        trial = begin(study)
        if trial.params["model.dropout"] == 0.2:
            study.finish(trial.number, "failed", "MemoryError: no room")
        else:
            study.report(trial.number, record(1, 0.5))
            study.finish(trial.number, "complete")
    assert [text.partition(",")[0] for text in told] == ["paused: model.dropout 0.2 gets no more trials"]
    assert sum(trial.state == "failed" for trial in study.history.trials) == 3
    reopened = studies(spec, paths)
    assert [paused.told for paused in reopened.paused] == told
    assert all(begin(reopened).params["model.dropout"] == 0.0 for _ in range(5))
    assert [paused.told for paused in read_paused(paths)] == told, "and once only"
    lift_paused(paths, [99])
    assert studies(spec, paths).paused
    lift_paused(paths, read_paused(paths)[0].trials[:1])
    assert not read_paused(paths)


def test_a_grid_goes_on_beside_what_is_paused_and_ends_with_what_is_left(
    tmp_path: Path, paths: RunPaths, studies: Callable[[RunSpec, RunPaths], Study]
) -> None:
    study = studies(dropouts(tmp_path), paths)
    assert [fail(study, "MemoryError: x").params["model.dropout"] for _ in range(3)] == [0.2] * 3
    assert [fail(study, "ValueError: y").params["model.dropout"] for _ in range(3)] == [0.0] * 3
    assert study.next_trial() is None and study.exhausted and study.stuck is None
    assert len(study.history.trials) == study.planned == 6


def test_where_nothing_trains_at_all_the_search_is_stuck_until_something_does(
    tmp_path: Path, paths: RunPaths, studies: Callable[[RunSpec, RunPaths], Study]
) -> None:
    points = [
        {"fit.lr": [lr], "model.dropout": [drop]} for lr, drop in ((1e-3, 0.2), (2e-3, 0.0), (3e-3, 0.1), (4e-3, 0.2))
    ]
    search = {"sampler": "grid", "pruner": "none"}
    spec = make_spec(tmp_path, tmp_path, search=search, grid=[*points, {"fit.lr": [5e-3], "model.dropout": [0.3]}])
    study = studies(spec, paths)
    hopeful = begin(study)
    for _ in range(3):
        fail(study, "TypeError: 3")
    assert study.next_trial() is None and study.stuck is not None
    assert not study.exhausted, "the one that is on its way may train"
    study.report(hopeful.number, record(1, 0.1))
    assert begin(study).number == 4 and study.stuck is None and not study.paused
    assert not paths.paused_jsonl.exists()


def test_a_key_with_one_value_does_not_hide_that_nothing_trains(
    tmp_path: Path, paths: RunPaths, studies: Callable[..., Study]
) -> None:
    space = {"fit.lr": {"log_uniform": [1e-4, 1e-1]}, "model.dropout": {"choice": [0.2]}}
    study = studies(make_spec(tmp_path, tmp_path, space=space, search={"sampler": "random"}), paths)
    for _ in range(3):
        fail(study, "TypeError: x")
    assert study.next_trial() is None and study.stuck is not None and not paths.paused_jsonl.exists()


def test_with_zero_nothing_is_ever_paused(
    tmp_path: Path, paths: RunPaths, studies: Callable[[RunSpec, RunPaths], Study]
) -> None:
    study = studies(dropouts(tmp_path, pause_after=0), paths)
    assert len([fail(study) for _ in range(6)]) == 6


def test_database_without_its_driver_is_refused_with_what_to_install() -> None:
    refused = pytest.raises(RequestError, match=r"pip install 'psycopg\[binary\]'")
    with refused, open_storage("postgresql+pg8000://somebody@127.0.0.1/studies"):
        pass


def test_no_file_of_a_study_stays_open(paths: RunPaths) -> None:
    """Else its disk could not be unmounted, nor its database server end, before this process does."""
    gc.disable()  # which would close them at some time
    try:
        with open_storage(paths.study_url) as storage:
            storage.get_all_studies()
    finally:
        gc.enable()
    held = [Path(f"/proc/self/fd/{number}") for number in os.listdir("/proc/self/fd")]
    assert not [file.resolve() for file in held if file.exists() and paths.folder in file.resolve().parents]


@pytest.fixture
def halving(tmp_path: Path, paths: RunPaths, studies: Callable[[RunSpec, RunPaths], Study]) -> Open:
    """Five trials, of which three go on after epoch 2 and two after epoch 4."""
    search = {"trials": 5, "pruner": "halving", "min_epochs": 2, "reduction_factor": 2, "finalists": 1}
    spec = make_spec(tmp_path, tmp_path, fit={"epochs": 6, "patience": None}, search=search)
    return lambda: studies(spec, paths)


def to_rung(study: Study, values: dict[int, list[float]]) -> None:
    """Train trials to their next rung, where each has to stop."""
    for number, reports in values.items():
        start = len(values_of(study, number)) + 1
        must_stop = [study.report(number, record(epoch, value)) for epoch, value in enumerate(reports, start)]
        assert must_stop == [False] * (len(reports) - 1) + [True]
        study.stop(number)


FIRST = {0: [0.1, 0.2], 1: [0.9, 0.3], 2: [float("nan"), 0.8], 3: [0.2, 0.3], 4: [float("nan"), float("nan")]}


def states(study: Study) -> str:
    return "".join(trial.state.name[0] for trial in study._study.get_trials())


def test_halving_waits_for_all_and_lets_the_best_go_on(halving: Open) -> None:
    study, heard = halving(), []
    study.listener = lambda event, trial: heard.append((event, trial.number)) if event != "epoch" else None
    for number in range(4):
        begin(study)
        to_rung(study, {number: FIRST[number]})
    begin(study)
    assert study.next_trial() is None and not study.exhausted and not study.over  # trial 4 trains
    assert states(study) == "RRRRR" and study.waiting == 0
    to_rung(study, {4: FIRST[4]})
    assert [begin(study).number for _ in range(3)] == [1, 2, 3]  # the best of two epochs; three of five are the half
    assert study.next_trial() is None and states(study) == "PRRRP"
    assert [event for event in heard if event[1] == 0] == [("started", 0), ("waiting", 0), ("stopped", 0)]
    assert study.judge(1) is False  # told again of the rung that it has passed
    to_rung(study, {1: [0.4, 0.4], 2: [0.3, 0.95], 3: [0.1, 0.1]})
    assert [begin(study).number for _ in range(2)] == [1, 2]
    for number in (1, 2):
        assert study.report(number, record(5, 0.5)) is False
        study.finish(number, "complete")
    assert study.next_trial() is None and study.exhausted and study.over and states(study) == "PCCPP"


@pytest.mark.parametrize("judged", [0, 1, 2, 3, 4, 5])
def test_halving_goes_on_where_a_process_died(halving: Open, judged: int) -> None:
    """It died as it judged the trials of a rung, one by one, or before."""
    study = halving()
    for number in range(5):
        begin(study)
        if number:
            to_rung(study, {number: FIRST[number]})
        else:
            for epoch, value in enumerate(FIRST[0], start=1):
                study.record(0, record(epoch, value))  # not even told that it has to wait

    class DiedError(Exception):
        pass

    ended, passed = [], []
    end, go_on = study._end, study._pass

    def dying(kind: Callable[..., None], kinds: list[int]) -> Callable[..., None]:
        def one(trial: LiveTrial, *rest: Any) -> None:
            if len(ended) + len(passed) == judged:
                raise DiedError
            kinds.append(trial.number)
            kind(trial, *rest)

        return one

    study._end, study._pass = dying(end, ended), dying(go_on, passed)  # type: ignore[method-assign]
    study.stop(0)
    with pytest.raises(DiedError) if judged < 5 else nullcontext():
        study.next_trial()
    again = halving()
    for trial in (begin(again) for _ in range(3)):
        assert trial.number in (1, 2, 3) and (trial.passed, trial.last_epoch) == (2, 2)
        to_rung(again, {trial.number: [0.5, 0.5]})
    assert sorted(begin(again).number for _ in range(2)) == [1, 2]  # those with the best values ever
    assert again.next_trial() is None and states(again) == "PRRPP"


def test_what_fails_beyond_a_rung_keeps_its_place_there(halving: Open) -> None:
    """Its process died when the first of a rung had passed; resumed, that one fails before the others are judged."""
    study = halving()
    for number in range(5):
        begin(study)
        to_rung(study, {number: FIRST[number]})
    study._pass(study._held[2], study._handle(2))
    again = halving()
    assert begin(again).number == 2
    again.finish(2, "failed", "it diverged")
    assert sorted(begin(again).number for _ in range(2)) == [1, 3]
    assert again.next_trial() is None and states(again) == "PRFRP"


def test_a_trial_at_a_rung_waits_for_whoever_reads(halving: Open, paths: RunPaths) -> None:
    study = halving()
    begin(study)
    begin(study)
    for epoch, value in enumerate(FIRST[0], start=1):
        study.record(0, record(epoch, value))
    assert [trial.held for trial in read_study(paths.study_url, "run") or []] == [0, 0]
    study.stop(0)
    assert [trial.held for trial in read_study(paths.study_url, "run") or []] == [2, 0]


def test_who_had_to_wait_and_was_not_told_tells_its_epoch_again_and_waits(halving: Open) -> None:
    study = halving()
    begin(study)
    for epoch, value in enumerate(FIRST[0], start=1):
        study.record(0, record(epoch, value))
    again = halving()
    assert told_again(again) is True
    again.stop(0)
    assert begin(again).number == 1 and list(again._held) == [0]


def test_halving_where_all_go_on_makes_none_wait(tmp_path: Path, paths: RunPaths, studies: Any) -> None:
    search = {"trials": 2, "pruner": "halving", "min_epochs": 2, "finalists": 2}
    study = studies(make_spec(tmp_path, tmp_path, search=search), paths)
    trial = begin(study)
    assert [study.report(trial.number, record(epoch, 0.1)) for epoch in (1, 2, 3)] == [False] * 3


@pytest.fixture
def promoting(tmp_path: Path, paths: RunPaths, studies: Callable[[RunSpec, RunPaths], Study]) -> Open:
    """Six trials; at rungs after epochs 1 and 2 one in two goes on as soon as it is among the best."""
    search = {"trials": 6, "pruner": "promote", "min_epochs": 1, "reduction_factor": 2, "finalists": 1}
    spec = make_spec(tmp_path, tmp_path, fit={"epochs": 4, "patience": None}, search=search)
    return lambda: studies(spec, paths)


def test_promotion_lets_go_on_who_leads_by_now(promoting: Open) -> None:
    study = promoting()
    for number in (0, 1, 2):
        assert begin(study).number == number
    to_rung(study, {0: [0.2]})  # nothing is known yet
    assert study.report(1, record(1, 0.5)) is False  # the best of two goes on at once
    to_rung(study, {2: [0.4]})
    assert begin(study).number == 3  # one of three leads, and has gone on
    to_rung(study, {3: [0.1]})
    assert begin(study).number == 2  # passed over before, among the best two of four now
    assert states(study) == "RRRR" and study.waiting == 2
    assert study._live[2][0].passed == 1


def test_promotion_ends_with_the_finalists_and_ends_the_others(promoting: Open) -> None:
    """One trial after the other, each worse than those before, so that too few lead to fill the later rungs."""
    study, trained = promoting(), []
    while (trial := study.next_trial()) is not None:
        for epoch in range(trial.last_epoch + 1, 5):
            trained.append(trial.number)
            if study.report(trial.number, record(epoch, 0.5 - trial.number / 10)):
                study.stop(trial.number)
                break
        else:
            study.finish(trial.number, "complete")
    assert states(study) == "CCPPPP" and study.exhausted and study.over  # of three at epoch 2, two
    assert trained == [0, 1, 0, 2, 3, 1, 0, 0, 4, 5, 2, 1, 1]


def test_promotion_goes_on_where_a_process_died(promoting: Open) -> None:
    """Who waits waits on, who was promoted goes on, and who was told nothing tells its epoch again and is judged."""
    study = promoting()
    for _ in range(3):
        begin(study)
    to_rung(study, {0: [0.2]})
    study.report(1, record(1, 0.5))
    study.record(2, record(1, 0.4))  # died before the verdict
    again = promoting()
    assert [begin(again).number for _ in range(2)] == [1, 2]
    assert again._live[1][0].passed == 1 and list(again._held) == [0]
    assert again.judge(2) is True
    again.stop(2)
    assert begin(again).number == 3


def test_promotion_at_the_end_waits_for_no_trial_that_is_further_on(promoting: Open) -> None:
    study = promoting()
    for _ in range(6):
        begin(study)
    for number in range(5):
        study.record(number, record(1, 0.5 - number / 10))
    assert [study.judge(number) for number in range(5)] == [False, False, True, True, True]
    for number in (2, 3, 4):
        study.stop(number)
    assert study.next_trial() is None and not study.exhausted  # 5 is on its way to the rung
    assert study.report(5, record(1, 0.0)) is True
    study.stop(5)
    assert begin(study).number == 2  # three of six lead
    assert study.next_trial() is None and states(study) == "RRRPPP" and not study.exhausted


def test_deaths_without_an_epoch_between_them_end_a_trial(reopen: Open) -> None:
    study = reopen()
    first, second = begin(study), begin(study)
    study.record(second.number, record(1, 0.5))
    for death in range(3):
        study = reopen()
        said = study.mourn(first.number, "it was killed.", 2)
        assert said is not None
        assert said.startswith("The process that trained trial 0 died in its epoch 1: it was killed. ")
        assert said.endswith("so the trial has failed." if death == 2 else "It is tried again.")
    assert begin(study).number == second.number, "the search goes on"
    frozen = stored(study, first.number)
    assert frozen.state == TrialState.FAIL
    assert frozen.user_attrs["error"] == "Its process died 3 times in epoch 1 (see trials/0000/log.txt); it was killed."
    assert len(frozen.user_attrs["notes"]) == 3
    assert reopen().mourn(first.number, "it was killed.", 2) is None, "it is over"


def test_a_trial_that_gets_on_between_deaths_goes_on(reopen: Open) -> None:
    begin(reopen())
    for epoch in range(1, 5):
        study = reopen()
        assert (study.mourn(0, "it was killed.", 1) or "").endswith("It is tried again.")
        assert begin(study).number == 0
        study.record(0, record(epoch, 0.5))

import pytest
from made_runs import MakeRun

from spectral_search.cluster.live_page.outlook import epoch_seconds, outlook
from spectral_search.record.durable import append_line
from spectral_search.record.run_records import RunRecord
from spectral_search.spec.run import RunSpec
from spectral_search.strategy.rule import rule_of


def spec_of(record: RunRecord, pruner: str) -> RunSpec:
    return RunSpec.from_dict({**record.spec, "search": {**record.spec["search"], "pruner": pruner}})


def test_trials_to_come_end_as_early_as_those_that_are_over(make_run: MakeRun) -> None:
    record = RunRecord.load(make_run(planned_trials=7))
    # Over after 2, 4, 4 and 2 epochs: 3 on average. The live one has 2 of them left, two more are to come.
    assert outlook(record, spec_of(record, "asha"), 0.0).epochs_planned == 13 + 2 + 2 * 3


def test_where_trials_wait_at_rungs_the_rule_knows(make_run: MakeRun) -> None:
    record = RunRecord.load(make_run(planned_trials=40))
    spec = spec_of(record, "halving")
    whole = rule_of(spec).planned_epochs(40, 4)
    assert outlook(record, spec, 0.0).epochs_planned == whole - 4  # two ended two epochs before the next stop


def test_an_epoch_takes_what_those_of_this_process_took(make_run: MakeRun) -> None:
    paths = make_run()
    now = RunRecord.load(paths).manifest.process_started or 0.0
    for epoch in (2, 3):
        row = {"epoch": epoch, "val_r2": 0.4, "seconds": 10.0, "spectra_per_second": 500.0}
        append_line(paths.trial(4).progress_jsonl, {**row, "at_unix_seconds": now + 10 * epoch})
    record = RunRecord.load(paths)
    assert epoch_seconds(record, now + 40) == pytest.approx(15.0)
    found = outlook(record, spec_of(record, "none"), now + 40)
    assert found.phase == "training" and found.examples_per_second == 500.0
    assert found.left_s == pytest.approx(15.0 * (found.epochs_planned - 15))


def test_a_run_that_is_over_has_no_time_left(make_run: MakeRun) -> None:
    record = RunRecord.load(make_run(trials=4, state="finished"))
    found = outlook(record, spec_of(record, "none"), 0.0)
    assert (found.phase, found.left_s) == ("finished", None)

from pathlib import Path

import pytest
from made_runs import MakeRun

from spectral_search.cluster.live_page.kept_files import GrowingFile, KeptFiles
from spectral_search.errors import RequestError
from spectral_search.record.durable import append_line, write_atomic
from spectral_search.record.run_records import RunRecord


def epochs(file: GrowingFile) -> list[int]:
    return [record["epoch"] for record in file.records]


def test_only_what_is_new_is_read(tmp_path: Path) -> None:
    path = tmp_path / "progress.jsonl"
    file = GrowingFile(path)
    assert not file.refresh() and file.records == []
    append_line(path, {"epoch": 1})
    assert file.refresh()
    first = file.records[0]
    with open(path, "ab") as half:
        half.write(b'{"epoch": 2')
    file.refresh()
    assert epochs(file) == [1]
    append_line(path, {"epoch": 2})
    append_line(path, {"epoch": 3})
    assert file.refresh() and epochs(file) == [1, 2, 3]
    assert file.records[0] is first and not file.refresh()


@pytest.mark.parametrize("in_place", [True, False])
def test_a_file_that_was_written_anew_is_read_from_its_start(tmp_path: Path, in_place: bool) -> None:
    path = tmp_path / "progress.jsonl"
    for epoch in range(1, 4):
        append_line(path, {"epoch": epoch})
    file = GrowingFile(path)
    file.refresh()
    other = b"".join(b'{"epoch": %d, "more": "text"}\n' % epoch for epoch in range(7, 12))
    if in_place:
        with open(path, "r+b") as again:
            again.write(other)
    else:
        write_atomic(path, other)
    assert file.refresh() and epochs(file) == [7, 8, 9, 10, 11]
    path.unlink()
    assert file.refresh() and file.records == []


def test_a_damaged_line_is_named_and_what_was_read_stays(tmp_path: Path) -> None:
    path = tmp_path / "progress.jsonl"
    append_line(path, {"epoch": 1})
    file = GrowingFile(path)
    file.refresh()
    with open(path, "ab") as damaged:
        damaged.write(b'what?\n{"epoch": 3}\n')
    for _ in range(2):
        with pytest.raises(RequestError, match=r"Line 2 of .*progress\.jsonl"):
            file.refresh()
    assert epochs(file) == [1]


def test_a_last_line_that_the_next_writer_cuts_off_is_read_as_it_then_is(tmp_path: Path) -> None:
    path = tmp_path / "progress.jsonl"
    append_line(path, {"epoch": 1})
    file = GrowingFile(path)
    file.refresh()
    first = file.records[0]
    with open(path, "ab") as damaged:
        damaged.write(b"\0\0\0\n")
    assert file.refresh() and epochs(file) == [1]
    for epoch in (2, 3):
        append_line(path, {"epoch": epoch})
    assert file.refresh() and epochs(file) == [1, 2, 3]
    # What was read before was not read again.
    assert file.records[0] is first


def test_a_run_read_bit_by_bit_is_the_run_read_at_once(make_run: MakeRun) -> None:
    paths, files = make_run(), KeptFiles()
    before = RunRecord.load(paths, now=0.0, files=files)
    append_line(paths.trial(4).progress_jsonl, {"epoch": 2, "val_r2": 0.9, "seconds": 2.0})
    after = RunRecord.load(paths, now=0.0, files=files)
    assert after == RunRecord.load(paths, now=0.0)
    assert after.best is not None and after.best.number == 4
    same = [one is other for one, other in zip(before.trials, after.trials, strict=True)]
    assert same == [True, True, True, True, False]


def test_a_trial_that_ends_is_seen_in_the_study(make_run: MakeRun) -> None:
    import optuna
    from optuna.trial import TrialState

    paths, files = make_run(), KeptFiles()
    assert RunRecord.load(paths, files=files).count("running") == 1
    study = optuna.load_study(study_name="the-first-name", storage=paths.study_url)
    study.tell(4, state=TrialState.PRUNED)
    record = RunRecord.load(paths, files=files)
    assert (record.count("running"), record.count("stopped")) == (0, 2)


def test_a_study_that_is_taken_away_is_missed_and_found_again(make_run: MakeRun, tmp_path: Path) -> None:
    paths, files = make_run(), KeptFiles()
    RunRecord.load(paths, files=files)
    paths.study_db.rename(tmp_path / "away.db")
    with pytest.raises(RequestError, match="study.db is missing"):
        RunRecord.load(paths, files=files)
    (tmp_path / "away.db").rename(paths.study_db)
    assert len(RunRecord.load(paths, files=files).trials) == 5

"""Failed trials by cause: what is read from their errors and logs, and what they share."""

import io
import json
from pathlib import Path

import pytest
from made_runs import MakeRun
from rich.console import Console

from spectral_search.record.failure_causes import Failed, cause_of, error_line, failure_groups
from spectral_search.record.leaderboard import render_leaderboard
from spectral_search.record.run_records import RunRecord, run_document
from spectral_search.spec.space_part import SpacePart

OWN_LOG = """\
Traceback (most recent call last):
  File "/x/spectral_search/train/pack.py", line 80, in run
    scores = task.scores(predicted, target)
  File "/home/user/cars.py", line 31, in scores
    return 1 + "a"
TypeError: unsupported operand type(s) for +: 'int' and 'str'
"""
CHAINED_LOG = """\
Traceback (most recent call last):
  File "/x/own.py", line 3, in first
KeyError: 'flux'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "/x/spectral_search/run/shared_pass.py", line 9, in second
spectral_search.errors.RequestError: a train part cannot be made
"""


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (
            "NoRoomError: This vit needs about 9 GB, and 2 GB of 25 GB are free (see trials/0001/log.txt)",
            "out of memory",
        ),
        ("OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB", "out of memory"),
        (
            "RuntimeError: [enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory",
            "out of memory",
        ),
        ("MemoryError: no message", "out of memory"),
        (
            "its process died (signal 9) after 4 attempts (see trials/0003/log.txt); the kernel has ...",
            "killed by the system",
        ),
        ("Its process died 4 times in epoch 2 (see trials/0003/log.txt); it was killed", "killed by the system"),
        ("The training loss became nan in epoch 3 at lr 10: lower fit.lr, or set fit.grad_clip.", "not a finite loss"),
        ("The trial ended without a finite val R2.", "not a finite loss"),
        ("OSError: [Errno 5] Input/output error (see trials/0000/log.txt)", "data unreadable"),
        ("RequestError: /d/dataset.h5: reading rows 0:64 of flux failed", "data unreadable"),
        ("RuntimeError: CUDA error: device-side assert triggered", "the device failed"),
        (
            "ValueError: shape (3, 4) is not (3, 5) (see trials/0002/log.txt)",
            "ValueError: shape (... ...) is not (... ...)",
        ),
        ("", "no reason given"),
    ],
)
def test_causes_are_told_in_plain_words(error: str, cause: str) -> None:
    assert cause_of(error) == cause


def test_what_the_users_own_code_raised_is_theirs() -> None:
    error = "TypeError: unsupported operand type(s) for +: 'int' and 'str' (see trials/0000/log.txt)"
    told = "error in own task: TypeError: unsupported operand type(s) for +: 'int' and 'str'"
    assert cause_of(error, OWN_LOG, "cars.py") == told
    assert cause_of(error, OWN_LOG, "rs.py") == told.removeprefix("error in own task: ")
    assert error_line(error, OWN_LOG).startswith("cars.py:31: TypeError: unsupported operand")


def test_a_process_that_died_did_not_die_of_what_its_log_tells_of_an_earlier_attempt() -> None:
    error = "its process died (signal 9) after 4 attempts (see trials/0000/log.txt)"
    assert cause_of(error, OWN_LOG, "cars.py") == "killed by the system"
    assert error_line(error, OWN_LOG) == "its process died (signal 9) after 4 attempts"


def test_a_loss_that_became_nan_is_not_told_by_the_traceback_of_an_earlier_attempt() -> None:
    error = "The training loss became nan in epoch 3 at lr 10: lower fit.lr"
    assert error_line(f"{error} (see trials/0000/log.txt)", f"{OWN_LOG}{error}\n") == error


def test_memory_is_memory_also_where_own_code_asked_for_it() -> None:
    log = OWN_LOG.replace("TypeError: unsupported", "numpy._core._exceptions._ArrayMemoryError: Unable; unsupported")
    assert cause_of("_ArrayMemoryError: Unable", log, "cars.py") == "out of memory"


def test_the_first_error_of_a_chain_is_the_real_one_and_the_last_attempt_counts() -> None:
    error = "RequestError: a train part cannot be made (see trials/0000/log.txt)"
    assert error_line(error, OWN_LOG + "Tried again after epoch 1: x\n" + CHAINED_LOG) == "own.py:3: KeyError: 'flux'"
    assert cause_of(error, CHAINED_LOG, "own.py") == "error in own task: KeyError: 'flux'"
    assert error_line(error, CHAINED_LOG + "Tried again\n" + OWN_LOG).startswith("cars.py:31: TypeError")


def test_a_log_that_was_cut_or_holds_no_traceback_leaves_the_error_as_it_was_told() -> None:
    error = "ValueError: no good (see trials/0000/log.txt)"
    for log in ("", "some note", OWN_LOG[: OWN_LOG.index("TypeError")]):
        assert error_line(error, log) == "ValueError: no good"


def test_groups_say_how_many_of_how_many_and_where() -> None:
    wide = [Failed(n, {"model.hidden": [384], "fit.lr": 0.1 / (n + 1)}, f"MemoryError: {n} GB") for n in range(12)]
    odd = Failed(13, {"model.hidden": [64], "fit.lr": 0.1}, "ValueError: no good")
    sound = [{"model.hidden": [64], "fit.lr": 0.01}, {"model.hidden": [128], "fit.lr": 0.05}]
    first, second = failure_groups([odd, *wide], sound, 15)
    assert (first.cause, len(first.trials), first.of, first.where) == ("out of memory", 12, 15, "model.hidden [384]")
    assert first.part == SpacePart("model.hidden", "is", [384])
    assert first.told == (
        "12 of 15 trials failed: out of memory, all at model.hidden [384] and no other there; such as trial 0: "
        "MemoryError: 0 GB (see trials/0000/log.txt)"
    )
    assert second.told == "trial 13 failed: ValueError: no good (see trials/0013/log.txt)"
    assert second.where is None
    assert json.loads(json.dumps(first.to_dict()))["condition"] == {
        "key": "model.hidden",
        "relation": "is",
        "value": [384],
    }


def test_where_nothing_trained_no_part_is_to_blame() -> None:
    failed = [Failed(n, {"model.hidden": [384]}, "MemoryError: x") for n in range(3)]
    assert [group.part for group in failure_groups(failed, [], 3)] == [None]


def test_a_run_shows_its_failures_and_keeps_collapsed_trials_apart(make_run: MakeRun) -> None:
    paths = make_run(trials=4, state="finished")
    trial = paths.trial(3)
    trial.log_txt.write_text("note\n" * 20_000 + OWN_LOG)
    record = RunRecord.load(paths)
    (group,) = record.failures
    assert (group.cause, group.trials, group.of) == ("not a finite loss", (3,), 4)
    assert run_document(record)["failures"] == [group.to_dict()]
    console = Console(file=io.StringIO(), width=200)
    console.print(render_leaderboard(record))
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "trial 3 failed: not a finite loss: " in shown and "see trials/0003/log.txt" in shown


def test_a_run_without_failures_has_no_word_of_them(make_run: MakeRun) -> None:
    assert "failures" not in run_document(RunRecord.load(make_run(trials=3, state="interrupted")))


def test_logs_that_cannot_be_read_hide_no_failure(make_run: MakeRun) -> None:
    paths = make_run(trials=4, state="finished")
    log: Path = paths.trial(3).log_txt
    log.mkdir()
    assert RunRecord.load(paths).failures[0].line == "loss became NaN in epoch 2"

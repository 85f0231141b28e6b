"""The leaderboard ranks by the best epoch and says which number is which."""

import io
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace

import pytest
from rich.console import Console, RenderableType

from spectral_search.record.leaderboard import leaderboard, render_leaderboard
from spectral_search.record.manifest import Manifest
from spectral_search.record.paths import RunPaths
from spectral_search.record.run_records import RunRecord, run_document
from spectral_search.task.metric import Metric

MakeRun = Callable[..., RunPaths]


def text_of(renderable: RenderableType, width: int) -> str:
    """What a plain terminal of this width shows."""
    file = io.StringIO()
    Console(file=file, width=width, color_system=None).print(renderable)
    return file.getvalue()


def test_rows_are_ranked_by_the_best_epoch(finished_run: RunPaths) -> None:
    rows = leaderboard(RunRecord.load(finished_run))
    assert [(row.rank, row.trial, row.values["r2"], row.best_epoch, row.epochs) for row in rows] == [
        (1, 1, 0.61, 3, 4),
        (2, 2, 0.55, 4, 4),
        (3, 0, 0.02, 2, 2),
        (4, 3, 0.70, 1, 2),
    ]
    assert rows[0].values["mae_dex"] == pytest.approx(0.5 - 0.61 / 4)
    assert rows[3].error == "loss became NaN in epoch 2"
    assert len(leaderboard(RunRecord.load(finished_run), top=2)) == 2


def test_data_that_do_not_match_are_said(make_run: MakeRun) -> None:
    mixed = make_run(trials=1, data={"shards": {}, "mismatches": ["The flux of val_0 is in another unit."]})
    record = RunRecord.load(mixed)
    assert "data parts do not match: The flux of val_0 is in another unit." in text_of(render_leaderboard(record), 120)
    assert run_document(record)["mismatches"] == ["The flux of val_0 is in another unit."]
    fine = RunRecord.load(make_run("fine", trials=1, data={"shards": {}, "mismatches": []}))
    assert "match" not in text_of(render_leaderboard(fine), 120) and "mismatches" not in run_document(fine)


def test_collapsed_trials_keep_their_state_in_counts_and_are_told_with_the_reason(finished_run: RunPaths) -> None:
    record = RunRecord.load(finished_run)
    assert record.collapsed == [] and "collapsed" not in run_document(record)
    dead = replace(record.trials[0], collapsed="no better than the mean label. Likely cause: fit.lr 10 is too high.")
    record = replace(record, trials=[dead, *record.trials[1:]])
    document, text = run_document(record), text_of(render_leaderboard(record), 120)
    assert document["trials"] == {"complete": 2, "stopped": 1, "failed": 1}
    assert document["collapsed"] == [{"trial": 0, "reason": dead.collapsed}]
    assert "trials: 2 complete, 1 stopped, 1 failed (1 collapsed)" in text
    assert f"trial 0 collapsed: {dead.collapsed}" in " ".join(text.split())
    assert [row.collapsed is not None for row in leaderboard(record)] == [False, False, True, False]
    (row,) = [line for line in text.splitlines() if line.split()[:2] == ["3", "0"]]
    assert "collapsed" in row and "stopped" not in row


@pytest.mark.parametrize("width", [80, 120])
def test_the_rendering_fits_and_names_its_numbers(finished_run: RunPaths, width: int) -> None:
    manifest = Manifest.load(finished_run.manifest_json)
    manifest.test = {"r2": 0.598, "mae_dex": 0.31, "rmse_dex": 0.4}
    manifest.save(finished_run.manifest_json)
    text = text_of(render_leaderboard(RunRecord.load(finished_run)), width)
    print(text)
    lines = text.splitlines()
    assert text.isascii()
    assert max(map(len, lines)) <= width
    assert "val R2, frozen noise: numbers used for selection" in text
    assert "re-test of trial 1: R2 0.6030 (95% interval 0.5880 to 0.6170)" in text
    assert "test: R2 0.5980, MAE 0.3100 dex, RMSE 0.4000 dex" in text
    assert "trial 3 failed: not a finite loss: loss became NaN in epoch 2" in text
    (winner,) = [line for line in lines if line.startswith("1 ")]
    assert winner.split() == ["1", "1", "0.6100", "3/4", "0.3475", "0.4475", "8", "s", "complete", "0.003", "9"]
    (header,) = [line for line in lines if line.startswith("#")]
    assert header.split()[-3:] == ["state", "lr", "kernel_size"]


def test_a_run_with_many_keys_still_fits_in_80_columns(make_run: MakeRun) -> None:
    record = RunRecord.load(make_run())
    record.trials[1].params.update({f"model.some_long_key_{i}": [32, 64, 128] for i in range(6)})
    text = text_of(render_leaderboard(record), 80)
    print(text)
    assert max(map(len, text.splitlines())) <= 80
    lines = text.splitlines()
    place = next(place for place, line in enumerate(lines) if line.startswith("1 "))
    assert lines[place + 1].startswith("    lr=0.003 kernel_size=9 some_long_key_0=[32,64,128]")
    assert len(lines) < 20


def test_metrics_that_do_not_fit_are_left_out_whole(finished_run: RunPaths, monkeypatch: pytest.MonkeyPatch) -> None:
    task = RunRecord.load(finished_run).task
    more = [Metric(f"mae_{step}", f"MAE {step} min", higher_is_better=False) for step in range(15, 150, 15)]
    many = SimpleNamespace(metrics=(*task.metrics, *more), objective=task.objective)
    many.selected_on, many.redraws, many.caveats, many.retested_on = "the val set", True, task.caveats, "fresh noise"
    monkeypatch.setattr(RunRecord, "task", many)
    record = RunRecord.load(finished_run)
    told = {width: text_of(render_leaderboard(record), width).splitlines() for width in (80, 200)}
    (header,) = [line for line in told[80] if line.startswith("#")]
    assert "RMSE dex" in header and header.endswith("MAE 15 min  time  state")
    place = told[80].index(header)
    # Below each row its parameters, and nothing of its numbers.
    assert [line[:1] for line in told[80][place + 1 : place + 9]] == ["1", " ", "2", " ", "3", " ", "4", " "]
    assert told[80][place + 9] == "... and 8 more metrics with --json"
    assert not any("more metric" in line for line in told[200]) and any("MAE 135 min" in line for line in told[200])


def test_only_the_top_is_shown_and_the_rest_is_counted(make_run: MakeRun) -> None:
    text = text_of(render_leaderboard(RunRecord.load(make_run()), top=2), 80)
    assert "... and 3 more trials" in text
    assert "2 complete, 1 stopped, 1 failed, 1 running; 13 epochs" in text


def test_a_run_without_trials_renders(make_run: MakeRun) -> None:
    assert "none yet" in text_of(render_leaderboard(RunRecord.load(make_run(trials=0))), 80)

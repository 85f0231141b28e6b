"""The live view: compact in a terminal, few lines elsewhere."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from spectral_search.record.live_view import (
    BestSoFar,
    Event,
    LiveTrial,
    LiveView,
    SearchView,
    Step,
    plain_line,
    render_step,
    render_view,
    step_line,
    summary_line,
)
from spectral_search.task.registry import task_of

PARAMS = {"fit.lr": 3.21e-3, "model.channels": [32, 64, 128], "model.kernel_size": 15, "model.norm": "batch"}
TASK = task_of("spectra")
VIEW = SearchView(
    name="cnn_stage2",
    task=TASK,
    planned=30,
    counts={"running": 3, "waiting": 2, "complete": 4, "stopped": 8, "failed": 1},
    best=BestSoFar(7, 23, 0.61234, PARAMS),
    epochs_done=412,
    epochs_planned=1150,
    examples_per_second=48234.0,
    elapsed_s=754.0,
    eta_s=1350.0,
    live=tuple(LiveTrial(12 + i, 9 - i, 0.51 + i / 100, 0.52 + i / 100, params=PARAMS) for i in range(3)),
    events=(
        Event("best", 7, epoch=23, value=0.61234, params=PARAMS),
        Event("finished", 9, "stopped", 5, 0.1234),
        Event("finished", 10, "failed", 2, None, "loss became NaN in epoch 2"),
    ),
)


class Clock:
    """A clock that a test sets."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def text_of(view: SearchView, width: int, *, ascii_only: bool = False) -> str:
    """What a terminal of this width shows."""
    file = io.StringIO()
    Console(file=file, width=width, color_system=None).print(render_view(view, ascii_only=ascii_only))
    return file.getvalue()


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_view_fits_and_says_what_matters(width: int) -> None:
    text = text_of(VIEW, width, ascii_only=True)
    print(text)
    assert max(map(len, text.splitlines())) <= width
    assert text.isascii()
    words = " ".join(text.split())
    for part in (
        "13 of 30 trials done",
        "3 running",
        "412/~1150 epochs",
        "48.2k spectra/s",
        "13 min, ~22 min left",
        "0.6123",
    ):
        assert part in words
    assert "trial 10 failed after 2 epochs" in text


def test_a_terminal_of_80_columns_needs_few_lines() -> None:
    assert len(text_of(VIEW, 80).splitlines()) <= 13


def test_the_bar_shows_the_part_that_is_done() -> None:
    assert text_of(replace(VIEW, epochs_done=575), 80, ascii_only=True).count("#") == 12
    assert text_of(replace(VIEW, epochs_done=5000), 80, ascii_only=True).count("#") == 24


def test_an_empty_view_renders() -> None:
    assert "best: none yet" in text_of(SearchView("step1", TASK), 80)


def test_many_live_trials_are_cut_and_counted() -> None:
    live = tuple(LiveTrial(number, 1, lr=1e-3) for number in range(40))
    assert "... and 28 more running" in text_of(replace(VIEW, live=live), 80)


def test_plain_lines() -> None:
    best, stopped, failed = VIEW.events
    assert plain_line(best, TASK.objective) == (
        "new best val R2 0.6123: trial 7, epoch 23  lr=0.00321 channels=[32,64,128] kernel_size=15 norm=batch"
    )
    assert plain_line(stopped, TASK.objective) == "trial 9 stopped after 5 epochs, best val R2 0.1234"
    assert (
        plain_line(failed, TASK.objective)
        == "trial 10 failed after 2 epochs, best val R2 -: loss became NaN in epoch 2"
    )
    note = Event("note", text="Ray dashboard: http://127.0.0.1:8265")
    assert plain_line(note, TASK.objective) == note.text
    assert summary_line(VIEW) == (
        "cnn_stage2: 13/30 trials done, 3 running, 412/~1150 epochs, 48.2k spectra/s, 13 min, ~22 min left, "
        "best val R2 0.6123 (trial 7)"
    )


def test_collapsed_trials_are_counted_and_told_with_the_reason() -> None:
    assert "8 stopped  1 failed  (2 collapsed)" in text_of(replace(VIEW, collapsed=2), 80)
    assert "collapsed" not in text_of(VIEW, 80)
    dead = Event("finished", 9, "collapsed", 12, -0.001, "Likely cause: fit.lr 0.1 is too high.")
    told = "trial 9 collapsed after 12 epochs, best val R2 -0.0010: Likely cause: fit.lr 0.1 is too high."
    assert plain_line(dead, TASK.objective) == told


def test_what_comes_after_the_last_trial_is_told() -> None:
    view = replace(VIEW, retest_s=71.0)
    assert "~22 min left (~71 s of it for the re-test), best" in summary_line(view)
    text = text_of(view, 80, ascii_only=True)
    assert "then the re-test, ~71 s" in text
    assert max(map(len, text.splitlines())) <= 80
    assert len(text.splitlines()) == len(text_of(VIEW, 80).splitlines())


def test_outside_a_terminal_each_event_is_told_once_and_summaries_are_rare() -> None:
    file, clock = io.StringIO(), Clock()
    with LiveView(Console(file=file, width=80), clock=clock) as live:
        for second in range(25):
            clock.now = float(second)
            live.update(replace(VIEW, events=VIEW.events[: second // 5]))
        lines = file.getvalue().splitlines()
    assert lines == [
        plain_line(VIEW.events[0], TASK.objective),
        plain_line(VIEW.events[1], TASK.objective),
        summary_line(VIEW),
        plain_line(VIEW.events[2], TASK.objective),
        summary_line(VIEW),
    ]
    assert file.getvalue().splitlines() == [*lines, summary_line(VIEW)]


def test_plain_lines_hold_no_escapes_and_keep_brackets() -> None:
    file = io.StringIO()
    with LiveView(Console(file=file, width=20), clock=Clock()) as live:
        live.update(VIEW)
    assert "\x1b" not in file.getvalue()
    assert "[32,64,128]" in file.getvalue().splitlines()[0]


def test_a_terminal_is_redrawn_in_place_and_not_for_every_report() -> None:
    file, clock = io.StringIO(), Clock()
    console = Console(file=file, width=80, height=40, force_terminal=True, legacy_windows=False)
    with LiveView(console, clock=clock) as live:
        live.update(VIEW)
        once = len(file.getvalue())
        for _ in range(100):
            clock.now += 0.001
            live.update(VIEW)
        assert len(file.getvalue()) == once
        clock.now += 1.0
        live.update(VIEW)
        assert len(file.getvalue()) > once
    assert "\x1b[2K" in file.getvalue()
    assert file.getvalue().endswith("(trial 7)\n")


def test_an_error_leaves_the_terminal_usable() -> None:
    file = io.StringIO()
    console = Console(file=file, width=80, height=40, force_terminal=True, legacy_windows=False)
    with pytest.raises(KeyboardInterrupt), LiveView(console, clock=Clock()) as live:
        live.update(VIEW)
        raise KeyboardInterrupt
    assert file.getvalue().count("\x1b[?25h") == 1  # the cursor is shown again


def test_a_long_step_is_a_line_now_and_then_where_there_is_no_terminal() -> None:
    file, clock = io.StringIO(), Clock()
    with LiveView(Console(file=file, width=80), clock=clock, summary_every_s=10.0) as view:
        told = view.step("compressing", "spectra")
        for second in range(1, 31):
            clock.now = float(second)
            told(1000 * second, 30_000)
    assert file.getvalue().splitlines() == [
        "compressing: 10,000 of 30,000 spectra, ~20 s left",
        "compressing: 20,000 of 30,000 spectra, ~10 s left",
    ]


def test_a_short_step_is_not_shown() -> None:
    for terminal in (False, True):
        file, clock = io.StringIO(), Clock()
        with LiveView(Console(file=file, width=80, force_terminal=terminal), clock=clock) as view:
            told = view.step("compressing", "spectra")
            clock.now = 0.2
            told(50, 100)
            told(100, 100)
        assert "compressing" not in file.getvalue()


def test_a_long_step_is_a_bar_in_a_terminal_and_leaves_nothing_behind() -> None:
    file, clock = io.StringIO(), Clock()
    console = Console(file=file, width=80, force_terminal=True, color_system=None)
    with LiveView(console, clock=clock) as view:
        told = view.step("compressing", "spectra")
        clock.now = 3.0
        told(250, 1000)
        shown = file.getvalue()
        told(1000, 1000)
    assert "━━━━━━──────────────────  compressing: 250 of 1,000 spectra, ~9 s left" in shown
    assert "compressing" not in file.getvalue()[len(shown) :]
    bar = render_step(Step("compressing", "spectra", 1, 2, 1.0), ascii_only=True)
    assert bar.plain == "############............  compressing: 1 of 2 spectra, ~1 s left"
    assert step_line(Step("compressing", "spectra", 0, 2, 1.0)) == "compressing: 0 of 2 spectra"

"""The live view of a search: a compact table in a terminal, a few plain lines anywhere else."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from spectral_search.record.wording import Fitted, aligned, cropped, duration, params_text, rate, short_value
from spectral_search.task.metric import Metric
from spectral_search.task.task import Task

_STATE_ORDER = ("running", "waiting", "complete", "stopped", "failed")
_STATE_STYLE = {"running": "cyan", "complete": "green", "failed": "red"}
_BAR_CELLS = 24
_LIVE_ROWS = 12
_EVENTS_SHOWN = 3


@dataclass(frozen=True)
class LiveTrial:
    """A trial that is training now."""

    trial: int
    epoch: int
    value: float | None = None
    best_value: float | None = None
    lr: float | None = None
    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class BestSoFar:
    """The best epoch of all trials so far."""

    trial: int
    epoch: int
    value: float
    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Event:
    """Something worth one line.

    Args:
        kind: best: a new best; finished: a trial ended, whatever its state; note: anything else.
        trial: The trial's number, absent for a note.
        state: finished only: complete, stopped, failed or collapsed.
        epoch: Epoch of the best, or of the end.
        value: Objective of the best, or the trial's own best.
        text: The note, or why a trial failed or collapsed.
        params: The trial's parameters.
    """

    kind: Literal["best", "finished", "note"]
    trial: int | None = None
    state: str | None = None
    epoch: int | None = None
    value: float | None = None
    text: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class SearchView:
    """A snapshot of a search.

    Args:
        name: The run.
        task: What it searches on.
        planned: Trials planned.
        counts: Trials by state: waiting, running, complete, stopped, failed.
        collapsed: Those among them that learnt nothing to their end.
        best: The best so far.
        epochs_done: Epochs trained by all trials together.
        epochs_planned: Estimate of what epochs_done will be at the end.
        examples_per_second: Training examples a second, all trials together.
        elapsed_s: Seconds since the search began.
        eta_s: Estimated seconds left, those of the re-test included.
        retest_s: Estimated seconds of the re-test among them.
        live: Trials that train now.
        events: All that happened so far, oldest first; the view tells each once.
    """

    name: str
    task: Task
    planned: int | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    collapsed: int = 0
    best: BestSoFar | None = None
    epochs_done: int = 0
    epochs_planned: int | None = None
    examples_per_second: float | None = None
    elapsed_s: float = 0.0
    eta_s: float | None = None
    retest_s: float | None = None
    live: tuple[LiveTrial, ...] = ()
    events: tuple[Event, ...] = ()


@dataclass(frozen=True)
class Step:
    """Something long before the first epoch.

    Args:
        title: What is done.
        unit: Of what it is counted.
        done: How many are done.
        total: How many there are.
        elapsed_s: Seconds since it began.
    """

    title: str
    unit: str
    done: int
    total: int
    elapsed_s: float

    @property
    def left_s(self) -> float | None:
        """Estimated seconds left; None where there is nothing to tell it from, or it is over."""
        if not 0 < self.done < self.total:
            return None
        return self.elapsed_s * (self.total - self.done) / self.done


def _ended(view: SearchView) -> int:
    """Trials that are over, whatever became of them."""
    return sum(view.counts.get(state, 0) for state in ("complete", "stopped", "failed"))


def render_view(view: SearchView, *, ascii_only: bool = False) -> RenderableType:
    """The view for a terminal; readable at 80 columns.

    Args:
        view: What to show.
        ascii_only: Draw the bar with characters that any encoding has.
    """
    parts: list[RenderableType] = [_headline(view), _progress(view, ascii_only), _states(view), _best_line(view)]
    if view.live:
        parts += [Text(), Fitted(lambda width: _live_table(view, width))]
        if len(view.live) > _LIVE_ROWS:
            parts.append(Text(f"... and {len(view.live) - _LIVE_ROWS} more running", style="dim"))
    # A new best is already on the line above; these are the endings and notes.
    told = [event for event in view.events if event.kind != "best"][-_EVENTS_SHOWN:]
    lines = [plain_line(event, view.task.objective) for event in told]
    if lines:
        parts += [Text(), Fitted(lambda width: [Text(cropped(line, width), style="dim") for line in lines])]
    return Group(*parts)


def _headline(view: SearchView) -> Text:
    planned = "" if view.planned is None else f" of {view.planned}"
    left = "" if view.eta_s is None else f", ~{duration(view.eta_s)} left"
    line = Text(view.name, style="bold")
    return line.append(f"  {_ended(view)}{planned} trials done  {duration(view.elapsed_s)}{left}", style="not bold")


def _states(view: SearchView) -> Text:
    line = Text()
    for state in _STATE_ORDER:
        if view.counts.get(state):
            line.append("  " if line else "").append(f"{view.counts[state]} {state}", _STATE_STYLE.get(state, "dim"))
    if view.collapsed:
        line.append(f"  ({view.collapsed} collapsed)", "yellow")
    if view.retest_s is not None:
        line.append(f"  then the re-test, ~{duration(view.retest_s)}", style="dim")
    return line


def _progress(view: SearchView, ascii_only: bool) -> Text:
    line = Text()
    if view.epochs_planned:
        line = _bar(view.epochs_done / view.epochs_planned, ascii_only)
    return line.append("  ".join(_amounts(view)))


def _bar(part: float, ascii_only: bool) -> Text:
    full, rest = ("#", ".") if ascii_only else ("━", "─")
    filled = round(_BAR_CELLS * min(1.0, part))
    return Text().append(full * filled, style="cyan").append(rest * (_BAR_CELLS - filled), style="dim").append("  ")


def _amounts(view: SearchView) -> list[str]:
    about = f"/~{view.epochs_planned}" if view.epochs_planned else ""
    amounts = [f"{view.epochs_done}{about} epochs"]
    if view.examples_per_second is not None:
        amounts.append(f"{rate(view.examples_per_second)} {view.task.examples}/s")
    return amounts


def _best_line(view: SearchView) -> Text:
    if view.best is None:
        return Text("best: none yet", style="dim")
    objective = view.task.objective
    line = Text(f"best val {objective.label} ").append(objective.told(view.best.value), style="bold green")
    return line.append(f"  trial {view.best.trial}, epoch {view.best.epoch}  {params_text(view.best.params)}".rstrip())


def _live_table(view: SearchView, width: int) -> list[Text]:
    objective = view.task.objective
    rows = [["trial", "epoch", f"val {objective.headed}", "best", "params"]]
    for trial in view.live[:_LIVE_ROWS]:
        text = params_text(trial.params)
        if not text and trial.lr is not None:
            text = f"lr={short_value(trial.lr)}"
        values = [objective.number(trial.value), objective.number(trial.best_value)]
        rows.append([str(trial.trial), str(trial.epoch), *values, text])
    lines = aligned(rows, left=frozenset({4}))
    return [Text(cropped(line, width), style="" if place else "dim") for place, line in enumerate(lines)]


def plain_line(event: Event, objective: Metric) -> str:
    """One line about an event, its value being of an objective."""
    if event.kind == "note":
        return event.text
    value = f"best val {objective.label} {objective.told(event.value)}"
    params = f"  {params_text(event.params)}" if event.params else ""
    if event.kind == "best":
        return f"new {value}: trial {event.trial}, epoch {event.epoch}{params}"
    reason = f": {event.text}" if event.text else ""
    spent = "1 epoch" if event.epoch == 1 else f"{event.epoch or 0} epochs"
    return f"trial {event.trial} {event.state} after {spent}, {value}{params}{reason}"


def step_line(step: Step) -> str:
    """How far a step has come, on one line."""
    left = "" if step.left_s is None else f", ~{duration(step.left_s)} left"
    return f"{step.title}: {step.done:,} of {step.total:,} {step.unit}{left}"


def render_step(step: Step, *, ascii_only: bool = False) -> Text:
    """A step for a terminal: a bar and its line."""
    return _bar(step.done / max(1, step.total), ascii_only).append(step_line(step))


def summary_line(view: SearchView) -> str:
    """The whole search on one line."""
    planned = "" if view.planned is None else f"/{view.planned}"
    best, objective = "", view.task.objective
    if view.best is not None:
        best = f", best val {objective.label} {objective.told(view.best.value)} (trial {view.best.trial})"
    left = "" if view.eta_s is None else f", ~{duration(view.eta_s)} left"
    if view.retest_s is not None:
        left += f" (~{duration(view.retest_s)} of it for the re-test)"
    running = view.counts.get("running", 0)
    amounts = ", ".join([*_amounts(view), duration(view.elapsed_s)])
    return f"{view.name}: {_ended(view)}{planned} trials done, {running} running, {amounts}{left}{best}"


class LiveView:
    """Shows a search while it runs: redrawn in place in a terminal, else a line an event and a summary now and then.

    Args:
        console: Where to show it; a Console on stderr where stdout is to hold one JSON document.
        clock: Seconds of a clock that only goes forward.
        summary_every_s: Seconds between two summary lines outside a terminal.
        redraw_every_s: Fewest seconds between two drawings in a terminal.
    """

    def __init__(
        self,
        console: Console,
        *,
        clock: Callable[[], float] = time.monotonic,
        summary_every_s: float = 10.0,
        redraw_every_s: float = 0.25,
    ) -> None:
        self._console = console
        self._clock = clock
        self._summary_every_s = summary_every_s
        self._redraw_every_s = redraw_every_s
        self._live: Live | None = None
        self._events_told = 0
        self._last_shown_s = -float("inf")
        self._last: SearchView | None = None

    def __enter__(self) -> "LiveView":
        if self._console.is_terminal:
            # Redrawn by update alone: a refresh thread would go on drawing an old state while a trial holds the GIL.
            self._live = Live(console=self._console, auto_refresh=False, transient=True, vertical_overflow="crop")
            self._live.start()
        else:
            # A log needs no summary of a search that has only begun; events are told at once all the same.
            self._last_shown_s = self._clock()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None
        # The table vanishes, so that the leaderboard has the screen; one line of it stays in the scroll-back.
        if self._last is not None:
            self._line(summary_line(self._last))

    def update(self, view: SearchView) -> None:
        """Show a newer snapshot; cheap enough to call at every report."""
        self._last = view
        fresh, self._events_told = view.events[self._events_told :], len(view.events)
        due = self._clock() - self._last_shown_s
        if self._live is not None:
            if fresh or due >= self._redraw_every_s:
                self._live.update(render_view(view, ascii_only=self._ascii_only), refresh=True)
                self._last_shown_s = self._clock()
            return
        for event in fresh:
            self._line(plain_line(event, view.task.objective))
        if due >= self._summary_every_s:
            self._line(summary_line(view))
            self._last_shown_s = self._clock()

    def step(self, title: str, unit: str) -> Callable[[int, int], None]:
        """Shows a long step, until a search is shown or all is done.

        Args:
            title: What is done.
            unit: What is counted.

        Returns:
            To be called with how many are done, and how many there are; cheap enough to call for each block. What is
            done within the time between two drawings or two lines is not shown at all.
        """
        started_s = self._clock()

        def told(done: int, total: int) -> None:
            now = self._clock()
            step = Step(title, unit, done, total, now - started_s)
            if self._live is not None:
                if done >= total:
                    self._live.update(Text(), refresh=True)
                elif now - max(started_s, self._last_shown_s) >= self._redraw_every_s:
                    self._live.update(render_step(step, ascii_only=self._ascii_only), refresh=True)
                    self._last_shown_s = now
            elif done < total and now - max(started_s, self._last_shown_s) >= self._summary_every_s:
                self._line(step_line(step))
                self._last_shown_s = now

        return told

    @property
    def _ascii_only(self) -> bool:
        return not (self._console.encoding or "").lower().startswith("utf")

    def _line(self, text: str) -> None:
        # Soft-wrapped and without markup: a log line stays one line, and [7,9] stays [7,9].
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

"""A plan for a terminal."""

from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from spectral_search.record.wording import params_text, short_value, size
from spectral_search.run.memory_plan import MemoryPlan
from spectral_search.run.plan import Plan
from spectral_search.spec.domain import Domain
from spectral_search.strategy.rule import rule_of
from spectral_search.task.registry import task_of

_GRID_ROWS = 200
_LONGEST_CHOICE = 72


def render_plan(plan: Plan) -> RenderableType:
    """What would run, on what, at what cost; readable at 80 columns."""
    spec = plan.spec
    varied = " before anything is varied" if spec.space or spec.grid else ""
    rows = [
        ("stage", f"{spec.stage}: {spec.description.strip()}".rstrip(": ")),
        *plan.data.rows(),
        ("network", f"{spec.model.kind}, {plan.parameters({}):,} parameters{varied}"),
        ("search", _search_text(plan)),
        ("cost", _cost_text(plan)),
        ("re-test", _retest_text(plan)),
        ("device", plan.slots.device),
        *([("memory", _memory_text(plan.memory))] if plan.memory is not None else []),
    ]
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in rows:
        table.add_row(name, Text(text))
    parts: list[RenderableType] = [table]
    parts += [Text(), _grid_table(plan) if spec.search.exhaustive else _space_table(plan)]
    parts += [
        Text(f"\nnote: {note}" if not index else f"note: {note}", style="yellow")
        for index, note in enumerate(plan.notes)
    ]
    return Group(*parts)


def _cost_text(plan: Plan) -> str:
    epochs, most = plan.epochs, plan.most_epochs
    told = f"{epochs:,} epochs in all, {plan.example_epochs:,} {plan.data.traits.examples_name} x epochs"
    if most == epochs:
        return f"at most {told}"
    return f"about {told}; more where later trials lead again and again, {most:,} epochs at most"


def _memory_text(memory: MemoryPlan) -> str:
    told = f"about {size(memory.largest_bytes)} to train the largest network"
    if memory.process_bytes:  # of 0 nothing is asked
        told += f", {size(memory.process_bytes)} of its machine for a process that does"
    return told if memory.free_bytes is None else f"{told}, {size(memory.free_bytes)} free"


def _search_text(plan: Plan) -> str:
    search, epochs = plan.spec.search, plan.spec.fit.epochs
    if plan.trials == 1:
        return f"one trial of at most {epochs} epochs"
    rule = rule_of(plan.spec).told(plan.trials, epochs) or "no trial is stopped for another"
    after = search.pause_after
    paused = f"; {after} failures of one cause close that part of the space" if 0 < after < plan.trials else ""
    return f"{plan.trials} trials by {search.sampler}, at most {epochs} epochs each; {rule}{paused}"


def _retest_text(plan: Plan) -> str:
    """What comes after the last trial, and how much of the time it takes."""
    found = plan.retest
    task, best = task_of(plan.spec.task), "trial" if found["finalists"] == 1 else found["finalists"]
    times = f"{found['draws']} draws of " if task.redraws else ""
    told = f"then the best {best} on {times}{task.retested_on}"
    if found["copies"]:
        times = f"{found['copies']} time{'s' if found['copies'] > 1 else ''}"
        told += f", trained anew {times} with other seeds in at most {found['epochs']:,} epochs"
        if found["copy_epochs"] < plan.longest:
            told += f" (stopped after {found['copy_epochs']} of {plan.longest}: search.retest_share)"
    without = "; without: --set search.retest_seeds=1" if found["copies"] else ""
    return f"{told}; about {found['share_of_time']:.0%} of the time{without}"


def _grid_table(plan: Plan) -> RenderableType:
    points = plan.spec.grid_points()
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("trial", justify="right")
    table.add_column("parameters", justify="right")
    table.add_column("values", overflow="fold")
    for number, point in enumerate(points[:_GRID_ROWS]):
        table.add_row(str(number), f"{plan.parameters(point):,}", Text(params_text(point) or "as in the spec"))
    if len(points) > _GRID_ROWS:
        table.add_row("...", "", f"and {len(points) - _GRID_ROWS} more")
    return table


def _space_table(plan: Plan) -> RenderableType:
    if not plan.spec.space:
        return Text("The space is empty: the spec's own values are the one trial.", style="dim")
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    conditional = any(domain.when for domain in plan.spec.space.values())
    for name in ("searched", "domain", *(["only when"] if conditional else [])):
        table.add_column(name, overflow="fold")
    for key, domain in plan.spec.space.items():
        when = "; ".join(f"{name} is {_alternatives(allowed)}" for name, allowed in (domain.when or {}).items())
        table.add_row(Text(key), Text(_domain_text(domain)), *([Text(when)] if conditional else []))
    return table


def _domain_text(domain: Domain) -> str:
    if domain.choices is not None:
        return _alternatives(domain.choices)
    whole = ", whole numbers" if domain.is_int else ""
    return f"{short_value(domain.low)} to {short_value(domain.high)}{whole}{', log scale' if domain.is_log else ''}"


def _alternatives(values: list[Any]) -> str:
    *most, last = [short_value(value, _LONGEST_CHOICE) for value in values]
    return f"{', '.join(most)} or {last}" if most else last

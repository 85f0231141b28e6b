"""A plan for a terminal."""

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from spectral_search.results.wording import params_text
from spectral_search.search.plan import Plan

GRID_ROWS = 200


def render_plan(plan: Plan) -> RenderableType:
    """What would run, on what, at what cost; readable at 80 columns."""
    spec, splits = plan.spec, plan.splits
    test = f", {len(splits.test):,} test" if splits.test is not None else ", no test set"
    rows = [
        ("stage", f"{spec.stage}: {spec.description.strip()}"),
        ("spectra", f"{len(splits.train):,} train, {len(splits.val):,} val{test}, {plan.root.pixels} pixels"),
        ("network", f"{spec.model.kind}, {plan.parameters({}):,} parameters before anything is varied"),
        ("search", _search_text(plan)),
        ("cost", f"at most {plan.trials * spec.fit.epochs:,} epochs, {plan.spectra_epochs:,} spectra x epochs"),
        ("device", plan.slots.device),
    ]
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in rows:
        table.add_row(name, Text(text))
    parts: list[RenderableType] = [table]
    parts += [Text(), _grid_table(plan) if spec.search.sampler == "grid" else _space_table(plan)]
    parts += [Text(f"note: {note}", style="yellow") for note in plan.notes]
    return Group(*parts)


def _search_text(plan: Plan) -> str:
    search = plan.spec.search
    rule = (
        f"ASHA from epoch {search.min_epochs}, one in {search.reduction_factor} goes on"
        if search.pruner == "asha"
        else "no trial is stopped for another"
    )
    return f"{plan.trials} trials by {search.sampler}, at most {plan.spec.fit.epochs} epochs each; {rule}"


def _grid_table(plan: Plan) -> RenderableType:
    points = plan.spec.grid_points()
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("trial", justify="right")
    table.add_column("parameters", justify="right")
    table.add_column("values", overflow="fold")
    for number, point in enumerate(points[:GRID_ROWS]):
        table.add_row(str(number), f"{plan.parameters(point):,}", Text(params_text(point) or "as in the spec"))
    if len(points) > GRID_ROWS:
        table.add_row("...", "", f"and {len(points) - GRID_ROWS} more")
    return table


def _space_table(plan: Plan) -> RenderableType:
    if not plan.spec.space:
        return Text("The space is empty: the spec's own values are the one trial.", style="dim")
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for name in ("searched", "domain", "only when"):
        table.add_column(name, overflow="fold")
    for key, domain in plan.spec.space.items():
        values = domain.choices if domain.choices is not None else [domain.low, domain.high]
        when = ", ".join(f"{name} in {allowed}" for name, allowed in (domain.when or {}).items())
        table.add_row(Text(key), Text(f"{domain.kind} {values}"), Text(when))
    return table

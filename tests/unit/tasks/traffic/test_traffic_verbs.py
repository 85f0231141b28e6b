"""What the verbs of traffic show."""

from io import StringIO

from rich.console import Console

from spectral_search.tasks.traffic.traffic_metrics import METRICS
from spectral_search.tasks.traffic.traffic_verbs import _baselines_table


def test_a_table_of_baselines_fits_a_terminal_with_whole_columns() -> None:
    scores = {metric.name: 2.345 for metric in METRICS} | {"low": 2.123, "high": 3.567, "seconds": 3.2}
    document = {"train_windows": 1388, "methods": {"last_value": scores, "ridge": scores}}
    told = {}
    for width in (80, 120):
        console = Console(width=width, file=StringIO(), color_system=None)
        console.print(_baselines_table(document, 381))
        told[width] = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert told[80][1].split("  ")[-1] == "MAE at 60 min" and told[120][1].endswith("seconds")
    assert [line.split()[0] for line in told[80][2:]] == ["last", "Ridge", "..."]
    assert "2.123 to 3.567" in told[80][2] and told[80][-1] == "... and 1 more column with --json"

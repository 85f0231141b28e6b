"""What may be wrong with readings: dead and stuck sensors, missing parts, values that cannot be, leaks across time.

Shape suffixes: T steps of time, S sensors.
"""

from itertools import pairwise
from typing import Any

import numpy as np

from spectral_search.tasks.traffic.readings import Split
from spectral_search.tasks.traffic.section import HORIZON

_STUCK_HOURS, _MISSING_SHARE = 6.0, 0.25
"""The same reading for longer, more of a part missing."""
_SHOWN = 10


def audit_readings(parts: Split) -> dict[str, dict[str, Any]]:
    """Findings by name: whether each is a fault, what was found, and which sensors it concerns."""
    readings = parts.readings
    values_TS, dead = readings.values_TS, readings.dead_sensors
    stuck = [readings.sensors[sensor] for sensor in np.flatnonzero(_longest_runs(values_TS) >= _steps(readings))]
    negative = int((values_TS < 0).sum())
    shares = {part: float(np.isnan(values_TS[slice(*rows)]).mean()) for part, rows in parts.rows.items()}
    told_shares = ", ".join(f"{share:.1%} of {part}" for part, share in shares.items())
    twins = _twins(values_TS, readings.sensors)
    return {
        "dead sensors": _finding(bool(dead), f"{len(dead)} sensors are missing nearly always", dead),
        "stuck sensors": _finding(
            bool(stuck), f"{len(stuck)} sensors read the same for {_STUCK_HOURS:g} hours or more", stuck
        ),
        "twin sensors": _finding(bool(twins), f"{len(twins)} pairs of sensors read the same at all times", twins),
        "missing": _finding(max(shares.values()) > _MISSING_SHARE, f"missing are {told_shares}"),
        "negative readings": _finding(negative > 0, f"{negative:,} readings are below 0"),
        "windows over borders": _over_borders(parts),
        "copied time": _copied(parts),
    }


def _finding(fault: bool, told: str, sensors: list[str] | None = None) -> dict[str, Any]:
    return {"fault": fault, "told": told, "sensors": (sensors or [])[:_SHOWN]}


def _steps(readings: Any) -> int:
    return int(_STUCK_HOURS * 60 / readings.step_minutes)


def _longest_runs(values_TS: np.ndarray) -> np.ndarray:
    """The longest run of one and the same reading of each sensor, in steps."""
    longest_S = run_S = np.ones(values_TS.shape[1], np.int64)
    for before_S, now_S in pairwise(values_TS):  # what is missing equals nothing
        run_S = np.where(now_S == before_S, run_S + 1, 1)
        longest_S = np.maximum(longest_S, run_S)
    return longest_S


def _twins(values_TS: np.ndarray, sensors: tuple[str, ...]) -> list[str]:
    seen: dict[bytes, str] = {}
    found = []
    for name, values_T in zip(sensors, values_TS.T, strict=True):
        if np.isnan(values_T).all():
            continue
        key = np.ascontiguousarray(values_T).tobytes()
        found += [f"{seen[key]} and {name}"] if key in seen else []
        seen.setdefault(key, name)
    return found


def _over_borders(parts: Split) -> dict[str, Any]:
    """Windows that predict rows of another part: none, unless the split is wrong."""
    over = 0
    for part, windows in parts.windows.items():
        start, end = parts.rows[part]
        over += int(((windows.origin_N < start) | (windows.origin_N + HORIZON > end)).sum())
    return _finding(over > 0, f"{over:,} windows predict time of another part")


def _copied(parts: Split) -> dict[str, Any]:
    """Hours of val or test that stand in train word for word: time that was copied, or a table put together twice."""
    values_TS = parts.readings.values_TS
    known = {_hour(values_TS, row) for row in range(parts.rows["train"][1] - HORIZON + 1)}
    later = range(parts.rows["val"][0], len(values_TS) - HORIZON + 1, HORIZON)
    copied = sum(_hour(values_TS, row) in known and np.isfinite(values_TS[row]).any() for row in later)
    return _finding(copied > 0, f"{copied:,} hours of val and test stand in train as well")


def _hour(values_TS: np.ndarray, row: int) -> bytes:
    return values_TS[row : row + HORIZON].tobytes()

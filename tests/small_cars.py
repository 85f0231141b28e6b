"""Data for the task of tiny_task.py, made in a moment."""

from pathlib import Path

import numpy as np

TASK = Path(__file__).with_name("tiny_task.py")


def write_cars(file: Path) -> None:
    """Cars whose power follows from eight numbers of theirs, but for some luck."""
    rng = np.random.default_rng(0)
    weight_F, arrays = rng.normal(size=8), {}
    for part, count in (("train", 600), ("val", 200), ("test", 200)):
        x_NF = rng.normal(size=(count, 8))
        y_N = 100 + 20 * (x_NF @ weight_F + np.sin(2 * x_NF[:, 0]) + 0.1 * rng.normal(size=count))
        arrays |= {f"x_{part}": x_NF, f"y_{part}": y_N}
    np.savez(file, **arrays)

"""Peer: a sequential grid, every point trained to its last epoch, on all cores; the spectra are loaded once."""

from itertools import islice, product
from typing import Any

from benchmarks.peers.peer_recipe import dated, load_arrays, main, trained


def search(config: dict[str, Any]) -> dict[str, Any]:
    """The whole grid, or as many of its points as there are trials."""
    arrays, recipe, grid = load_arrays(config["root"]), config["recipe"], config["grid"]
    points = [dict(zip(grid, values, strict=True)) for values in islice(product(*grid.values()), config["trials"])]
    curves = [list(dated(trained(arrays, recipe, point))) for point in points]
    reached = [epoch for curve in curves for epoch in curve]
    return {
        "best": max(val_r2 for _, val_r2 in reached),
        "reached": reached,
        "epochs_trained": sum(len(curve) for curve in curves),
        "trials": len(curves),
    }


if __name__ == "__main__":
    main(search)

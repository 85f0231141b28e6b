"""Writes the learning curves of a finished grid run as a CSV for `spectral-search bench efficiency`.

    spectral-search run tests/benchmarks/curves_mlp.yaml --data-root ROOT --sampler grid --set search.pruner=none \
        --results FOLDER --name curves_mlp
    python tests/benchmarks/record_curves.py FOLDER/curves_mlp tests/benchmarks/curves_mlp.csv
"""

import argparse
from pathlib import Path

import numpy as np

from spectral_search.bench.curves import write_curves
from spectral_search.results.paths import RunPaths
from spectral_search.results.records import RunRecord


def main() -> None:
    """Reads the command line and writes the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder of a finished run")
    parser.add_argument("table", type=Path, help="CSV to write")
    arguments = parser.parse_args()
    record = RunRecord.load(RunPaths(arguments.run.parent, arguments.run.name))
    curves = [[epoch["val_r2"] for epoch in trial.epochs] for trial in record.trials]
    write_curves(arguments.table, [trial.params for trial in record.trials], np.array(curves))


if __name__ == "__main__":
    main()

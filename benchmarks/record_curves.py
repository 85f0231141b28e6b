"""Records the learning curves of a grid as a CSV and its spec, for `spectral-search bench efficiency`.

    python -m benchmarks.record_curves --data-root ROOT --results FOLDER [--input signal]

runs the grid of curves_mlp.yaml with no trial stopped and writes curves_mlp.csv beside it in benchmarks/curves; with
--input the networks are given that input, and curves_mlp_INPUT.csv and .yaml are written. A run that is in FOLDER
already is gone on with, or only read when it is over.
"""

import argparse
import subprocess
from pathlib import Path

import numpy as np
import yaml

from benchmarks.recorded_curves import FOLDER, write_curves
from benchmarks.timed_searches import OURS, environment
from spectral_search.record.paths import RunPaths
from spectral_search.record.run_records import RunRecord

GRID = FOLDER / "curves_mlp.yaml"


def spec_of(kind: str | None, folder: Path = FOLDER) -> Path:
    """The spec of the curves with an input: the grid's own, or a copy of it that names the input."""
    if kind is None:
        return GRID
    document = yaml.safe_load(GRID.read_text())
    document["description"] = f"{document['description']} Input {kind}."
    document["data"]["input"] = {"kind": kind}
    file = folder / f"{GRID.stem}_{kind}.yaml"
    file.write_text(yaml.safe_dump(document, sort_keys=False))
    return file


def command(spec: Path, data_root: str, results: Path) -> list[str]:
    """The command that trains the whole grid, or goes on with it; none when it is over."""
    paths = RunPaths(results, spec.stem)
    if paths.exists():
        over = RunRecord.load(paths).manifest.state == "finished"
        return [] if over else [*OURS, "resume", spec.stem, "--results", str(results)]
    sets = ("search.pruner=none", "search.retest_seeds=1")
    options = ["--data-root", data_root, "--sampler", "grid", "--results", str(results), "--name", spec.stem]
    return [*OURS, "run", str(spec), *options, *(f"--set={text}" for text in sets)]


def main() -> None:
    """Reads the command line, trains the grid and writes its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", required=True, help="spectra to train on")
    parser.add_argument("--results", type=Path, required=True, help="where the run lies or will lie")
    parser.add_argument("--input", help="kind of input, standardize when absent")
    arguments = parser.parse_args()
    spec = spec_of(arguments.input)
    if to_run := command(spec, arguments.data_root, arguments.results):
        subprocess.run(to_run, env=environment(), check=True)
    record = RunRecord.load(RunPaths(arguments.results, spec.stem))
    curves = [[epoch["val_r2"] for epoch in trial.epochs] for trial in record.trials]
    write_curves(spec.with_suffix(".csv"), [trial.params for trial in record.trials], np.array(curves))


if __name__ == "__main__":
    main()

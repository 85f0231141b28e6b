"""Small searches of every kind, and whether two versions of the program find the same numbers in them, bit for bit.

    python benchmarks/equal_runs.py record FOLDER [--package DIR] [--only NAME ...]
    python benchmarks/equal_runs.py compare FOLDER OTHER

`record` runs them by the command line of the checkout in DIR (this one when absent) and writes one JSON document a
search; the simulated spectra are made once, beside them. `compare` tells what differs: trials, their epochs,
re-test, test, exported weights and predictions. Times and places are no results and are left out. Numbers are a
machine's own, so both versions must have run on the same one.
"""

import argparse
import csv
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

_PROGRAM = """
try:
    from spectral_search.cli.main import main
except ModuleNotFoundError:  # a version whose command line is one module
    from spectral_search.cli import main
main()
"""
_TIMES = ("seconds", "spectra_per_second", "examples_per_second", "at_unix_seconds", "wall_seconds", "train_time")
_BASE: dict[str, Any] = {
    "fit": {"epochs": 4, "batch_size": 64, "lr": 3e-3, "schedule": "cosine", "grad_clip": 1.0},
    "space": {"fit.lr": {"log_uniform": [1e-3, 1e-2]}, "fit.weight_decay": {"log_uniform": [1e-4, 1e-1]}},
    "search": {
        "trials": 4,
        "sampler": "random",
        "pruner": "halving",
        "min_epochs": 2,
        "reduction_factor": 2,
        "finalists": 2,
        "retest_draws": 2,
        "retest_seeds": 2,
    },
    "resources": {"gpus": []},
}
_MODELS: dict[str, dict[str, Any]] = {
    "mlp": {"kind": "mlp", "hidden": [32, 16], "dropout": 0.1, "activation": "gelu"},
    "mlp_norm": {"kind": "mlp", "hidden": [32, 16], "norm": "batch", "residual": True},
    "cnn": {"kind": "cnn", "channels": [4, 8], "kernel_size": 5, "norm": "batch", "average_to": 8},
    "res_cnn": {"kind": "res_cnn", "stem_channels": 4, "channels": 8, "blocks": 2, "head": [8]},
    "vit": {"kind": "vit", "width": 16, "heads": 2, "layers": 1, "patch": 32, "tokeniser": "sliding_window"},
    "moe_oracle": {"kind": "moe_cnn", "gate": "oracle", "channels": [4], "kernel_size": 5},
    "moe_learned": {"kind": "moe_cnn", "gate": "learned", "channels": [4], "kernel_size": 5},
}
_SEARCHES: dict[str, dict[str, Any]] = {
    **{f"{name}-inline": {"model": model} for name, model in _MODELS.items()},
    "mlp-shared": {"model": _MODELS["mlp"], "executor": "shared"},
    "mlp-separate": {"model": _MODELS["mlp"], "executor": "separate"},
    "cnn-separate": {"model": _MODELS["cnn"], "executor": "separate"},
    "signal-inline": {"model": _MODELS["mlp"], "input": {"kind": "signal"}},
    "signal-shared": {"model": _MODELS["mlp"], "input": {"kind": "signal"}, "executor": "shared"},
    "denoised-inline": {"model": _MODELS["cnn"], "input": {"kind": "denoised"}},
    "whiten-inline": {"model": _MODELS["mlp"], "input": {"kind": "whiten", "clamp": 5.0, "squash": "asinh"}},
    "leaky-inline": {"model": _MODELS["cnn"], "input": {"kind": "flux_error"}},
    "top-inline": {"model": _MODELS["mlp"], "input": {"kind": "standardize", "top_pixels": 64}},
    "ridge-inline": {"model": _MODELS["mlp"], "fit": {"target": "ridge_residual"}},
    "huber-inline": {"model": _MODELS["mlp"], "fit": {"loss": "huber", "schedule": "plateau", "plateau_patience": 1}},
    "one-cycle-inline": {"model": _MODELS["mlp"], "fit": {"loss": "l1", "schedule": "one_cycle"}},
    "stream-inline": {"model": _MODELS["mlp"], "data": {"residency": "stream"}},
    "stream-shared": {"model": _MODELS["mlp"], "data": {"residency": "stream"}, "executor": "shared"},
    "half-inline": {"model": _MODELS["mlp"], "data": {"stored_as": "float16"}},
    "parzen-inline": {
        "model": _MODELS["mlp"],
        "input": {"kind": "signal"},
        "search": {"sampler": "parzen", "pruner": "promote", "trials": 12, "startup_trials": 4},
    },
    "tpe-inline": {
        "model": _MODELS["mlp"],
        "search": {"sampler": "tpe", "pruner": "asha", "trials": 6, "startup_trials": 3},
    },
    "gp-inline": {
        "model": _MODELS["mlp"],
        "search": {"sampler": "gp", "pruner": "none", "trials": 5, "startup_trials": 3},
    },
    "grid-inline": {
        "model": _MODELS["mlp"],
        "search": {"sampler": "grid"},
        "grid": {"fit.lr": [1e-3, 1e-2], "fit.weight_decay": [0.0, 0.1]},
    },
    "killed-inline": {"model": _MODELS["cnn"], "kill_after": 5},
    "killed-shared": {"model": _MODELS["mlp"], "executor": "shared", "kill_after": 5},
}
"""What a search adds to _BASE; executor inline when absent; `kill_after` so many epochs of all trials it is resumed."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True, dest="command")
    recorder = commands.add_parser("record")
    recorder.add_argument("folder", type=Path)
    recorder.add_argument("--package", type=Path, default=Path(__file__).resolve().parents[1])
    recorder.add_argument("--only", nargs="*", default=list(_SEARCHES), choices=list(_SEARCHES))
    comparer = commands.add_parser("compare")
    comparer.add_argument("folder", type=Path)
    comparer.add_argument("other", type=Path)
    asked = parser.parse_args()
    if asked.command == "record":
        return _record(asked.folder.resolve(), asked.package.resolve(), asked.only)
    return _compare(asked.folder, asked.other)


def _record(folder: Path, package: Path, names: list[str]) -> int:
    """Run searches and write what each found."""
    folder.mkdir(parents=True, exist_ok=True)
    data = folder.parent / "equal-runs-data"
    if not data.exists():
        sizes = ["--train", "480", "--val", "160", "--test", "160", "--pixels", "256", "--shards", "2"]
        subprocess.run(_command("simulate", str(data), *sizes), env=_environment(package, folder), check=True)
    for name in names:
        started = time.perf_counter()
        document = _run(name, _SEARCHES[name], folder, data, package)
        (folder / f"{name}.json").write_text(json.dumps(document, indent=1, sort_keys=True))
        print(f"{name}: {time.perf_counter() - started:.1f} s", flush=True)
    return 0


def _compare(folder: Path, other: Path) -> int:
    """Tell what differs between two records; 1 where anything does."""
    names = sorted({path.stem for path in folder.glob("*.json")} & {path.stem for path in other.glob("*.json")})
    faults = 0
    for name in names:
        one, two = (_timeless(json.loads((place / f"{name}.json").read_text())) for place in (folder, other))
        found = list(_differences(one, two))
        faults += len(found)
        for line in found[:8]:
            print(f"{name}: {line}")
    print(f"{len(names)} searches compared, {faults} differences")
    return int(faults > 0 or not names)


def _timeless(document: dict[str, Any]) -> dict[str, Any]:
    """A record whose report's tables have no column of times."""
    for name, lines in document["report"].items():
        header, *rows = csv.reader(lines)
        kept = [place for place, column in enumerate(header) if column not in _TIMES]
        document["report"][name] = [[row[place] for place in kept] for row in (header, *rows)]
    return document


def _differences(one: Any, two: Any, where: str = "") -> Any:
    """Lines that name each place where two documents differ."""
    if isinstance(one, dict) and isinstance(two, dict):
        for key in sorted(one.keys() | two.keys()):
            yield from _differences(one.get(key), two.get(key), f"{where}.{key}" if where else key)
    elif isinstance(one, list) and isinstance(two, list) and len(one) == len(two):
        for place, (a, b) in enumerate(zip(one, two, strict=True)):
            yield from _differences(a, b, f"{where}[{place}]")
    elif one != two and not (one != one and two != two):
        yield f"{where}: {one!r} and {two!r}"


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-c", _PROGRAM, *arguments]


def _environment(package: Path, folder: Path) -> dict[str, str]:
    caches = {"SPECTRAL_SEARCH_CACHE": str(folder / "cache"), "XDG_CACHE_HOME": str(folder / "home-cache")}
    return {**os.environ, "PYTHONPATH": str(package), **caches}


def _spec(name: str, search: dict[str, Any], data: Path) -> dict[str, Any]:
    document = json.loads(json.dumps(_BASE))
    document["stage"] = name
    document["data"] = {"root": str(data), "input": search.get("input", {"kind": "standardize"})}
    for section in ("data", "fit", "search"):
        document[section] |= search.get(section, {})
    document["model"] = search["model"]
    if "grid" in search:
        document["grid"] = search["grid"]
    if document["search"]["pruner"] in ("promote", "none"):
        del document["search"]["min_epochs"], document["search"]["reduction_factor"]
    return document


def _run(name: str, search: dict[str, Any], folder: Path, data: Path, package: Path) -> dict[str, Any]:
    spec = folder / f"{name}.yaml"
    spec.write_text(json.dumps(_spec(name, search, data)))
    results, environment = folder / "results", _environment(package, folder)
    executor, log = search.get("executor", "inline"), folder / f"{name}.log"
    begin = _command("run", str(spec), "--name", name, "--results", str(results), "--executor", executor)
    if executor == "inline" and "parzen" not in name:
        begin += ["--concurrent", "4"]
    elif executor == "inline":
        begin += ["--concurrent", "1"]
    with open(log, "w") as told:
        if "kill_after" in search:
            _killed(begin, results / name, search["kill_after"], environment, told)
            begin = _command("resume", name, "--results", str(results))
        subprocess.run(begin, env=environment, stdout=told, stderr=told, check=True)
    document = _facts(results / name)
    tables = folder / f"{name}-report"
    report = _command("report", name, "--results", str(results), "-o", str(tables / "report.html"))
    with open(log, "a") as told:
        tables.mkdir(exist_ok=True)
        subprocess.run(report, env=environment, stdout=told, stderr=told, check=True)
        for part in ("val", "test"):
            ask = _command("evaluate", name, "--results", str(results), "--data", str(data), "--part", part, "--json")
            made = subprocess.run(ask, env=environment, stdout=subprocess.PIPE, stderr=told, check=True)
            document[f"evaluate_{part}"] = _plain(json.loads(made.stdout), ("path",))
    document["report"] = {path.name: path.read_text().splitlines() for path in sorted(tables.rglob("*.csv"))}
    return document


def _killed(command: list[str], run: Path, epochs: int, environment: dict[str, str], told: Any) -> None:
    """Begin a search and end its process without a word once its trials have recorded so many epochs together."""
    process = subprocess.Popen(command, env=environment, stdout=told, stderr=told, start_new_session=True)
    while process.poll() is None:
        lines = sum(path.read_text().count("\n") for path in run.glob("trials/*/progress.jsonl"))
        if lines >= epochs:
            process.send_signal(signal.SIGKILL)
            process.wait()
            time.sleep(5.0)  # Ray's processes see that their driver is gone
            return
        time.sleep(0.02)
    raise SystemExit(f"the search was over before {epochs} epochs could be seen; see its log")


def _facts(run: Path) -> dict[str, Any]:
    """What a run found, from its files."""
    trials = {}
    for folder in sorted(run.glob("trials/*")):
        lines = [json.loads(line) for line in (folder / "progress.jsonl").read_text().splitlines()]
        trials[folder.name] = {"params": (folder / "params.yaml").read_text(), "epochs": [_plain(row) for row in lines]}
    manifest = json.loads((run / "manifest.json").read_text())
    found: dict[str, Any] = {"trials": trials, **{key: manifest.get(key) for key in ("best", "retest", "test")}}
    found["metrics"] = _plain(json.loads((run / "best" / "metrics.json").read_text()))
    for path in sorted(run.rglob("*.safetensors")):
        if "checkpoint" not in path.parts:
            found[f"arrays {path.relative_to(run)}"] = _arrays(path)
    for path in sorted(run.glob("predictions/*.parquet")):
        found[f"table {path.name}"] = _table(path)
    return found


def _plain(values: dict[str, Any], leave: tuple[str, ...] = ()) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key not in (*_TIMES, *leave)}


def _arrays(path: Path) -> dict[str, str]:
    from safetensors.numpy import load_file

    return {name: _sha256(values) for name, values in load_file(path).items()}


def _table(path: Path) -> dict[str, str]:
    import pandas as pd

    table = pd.read_parquet(path)
    return {name: _sha256(table[name].to_numpy().astype(str)) for name in sorted(table.columns)}


def _sha256(values: np.ndarray) -> str:
    return hashlib.sha256(repr((values.dtype.str, values.shape)).encode() + values.tobytes()).hexdigest()[:16]


if __name__ == "__main__":
    sys.exit(main())

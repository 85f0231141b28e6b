"""Imports go one way, every third-party import is declared, and header-only work never loads torch or ray."""

import ast
import subprocess
import sys
import tomllib
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from small_search import make_data, make_spec

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "spectral_search"

MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "places": set(),
    "terminal": set(),
    "spec": set(),
    "drawing": {"spec"},
    "task": {"spec"},
    "models": {"spec", "task"},
    "strategy": {"spec", "task"},
    "record": {"spec", "task", "drawing"},
    "train": {"spec", "task", "models", "strategy", "record"},
    "tasks": {"spec", "task", "drawing", "models", "strategy", "record", "train"},
    "run": {"spec", "task", "models", "strategy", "record", "train", "terminal"},
    "report": {"spec", "task", "drawing", "models", "strategy", "record", "train", "run"},
    "cluster": {"spec", "task", "drawing", "models", "strategy", "record", "train", "run"},
    "service": {"spec", "task", "models", "strategy", "record", "train", "run", "report", "cluster"},
    "cli": {"spec", "task", "record", "run", "report", "cluster", "service", "terminal"},
    "__main__": {"cli"},
}
"""What each layer may import of the others; in one line: spec, task, {models, strategy, record}, train, tasks, run.

How figures are drawn lies below them all: reports draw some, and the chapters of tasks others.
"""
LIGHT = ("errors", "places", "terminal", "spec", "task", "cli")
HEAVY = {"torch", "ray", "optuna"}
MUST_NOT_LOAD: dict[str, set[str]] = {
    **{layer: HEAVY for layer in MAY_IMPORT if layer.startswith(LIGHT)},
    "models": {"ray", "optuna"},
    "train": {"ray", "optuna"},
    "strategy": {"torch", "ray"},
    "drawing": HEAVY,
    "record": {"torch", "ray"},
    "report": {"torch", "ray"},
    "tasks": {"ray", "optuna"},
}
WITHOUT_TORCH = {
    *(f"models/{name}.py" for name in ("input_fit", "layer_numbers", "pair_section", "parameter_count", "step_memory")),
    *(f"models/families/{path.name}" for path in (PACKAGE / "models" / "families").glob("*.py")),
    *(f"train/{name}.py" for name in ("capacity", "cpu_formats", "free_memory", "memory_wording")),
    *(f"train/{name}.py" for name in ("technique_faults", "teacher_files")),
}
EXEMPT = {
    "tasks/spectra/shards/ray_blocks.py": {"ray"},
    "task/training.py": {"torch"},  # for type checkers alone
    "task/preparation.py": {"torch"},  # likewise
}
# pydantic pins pydantic_core to one exact version and re-exports only a part of it; tables writes blosc with blosc2.
BROUGHT_BY = {"pydantic_core": "pydantic", "blosc2": "tables"}

MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def layer_of(path: Path) -> str:
    """The package, or the module beside the packages, that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@cache
def imported(source: str) -> frozenset[str]:
    """Dotted names of everything a module imports, at its top, inside functions, and by import_module("...")."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=aliases):
                names |= {alias.name for alias in aliases}
            case ast.ImportFrom(module="spectral_search", names=aliases):
                names |= {f"spectral_search.{alias.name}" for alias in aliases}
            case ast.ImportFrom(module=str(module), level=0):
                names.add(module)
            case ast.ImportFrom(level=level) if level:
                names.add("." * level)
            case ast.Call(func=ast.Attribute(attr="import_module"), args=[ast.Constant(value=str(name)), *_]):
                names.add(name)
    return frozenset(names)


def faults_of(layer: str, relative: str, source: str) -> list[str]:
    """What a module imports against the rules."""
    faults = []
    for name in sorted(imported(source)):
        top, _, rest = name.partition(".")
        target = rest.partition(".")[0]
        if name.startswith("."):
            faults.append("a relative import")
        elif top == "spectral_search":
            if target not in {layer, "errors", "places", "__version__"} | MAY_IMPORT[layer]:
                faults.append(name)
        elif top in MUST_NOT_LOAD.get(layer, set()) - EXEMPT.get(relative, set()) or (
            top == "torch" and relative in WITHOUT_TORCH
        ):
            faults.append(name)
    return faults


def test_imports_go_one_way() -> None:
    by_name = {path.relative_to(PACKAGE).as_posix(): path for path in MODULES}
    found = {name: faults_of(layer_of(path), name, path.read_text()) for name, path in by_name.items()}
    assert {name: faults for name, faults in found.items() if faults} == {}


@pytest.mark.parametrize(
    ("layer", "source", "fault"),
    [
        ("models", "from spectral_search.train.trainer import Trainer", "spectral_search.train.trainer"),
        ("record", "def f():\n    from spectral_search import tasks", "spectral_search.tasks"),
        ("train", "def f():\n    import ray.tune", "ray.tune"),
        ("train", "import spectral_search.tasks.spectra", "spectral_search.tasks.spectra"),
        ("spec", "import importlib\nimportlib.import_module('torch.nn')", "torch.nn"),
        ("cli", "from spectral_search.train.trainer import Trainer", "spectral_search.train.trainer"),
        ("report", "from spectral_search.service import runs", "spectral_search.service"),
        ("spec", "from . import base", "a relative import"),
    ],
)
def test_the_rules_catch(layer: str, source: str, fault: str) -> None:
    assert faults_of(layer, f"{layer}/example.py", source) == [fault]


def loaded_of(names: set[str], code: str) -> list[str]:
    """Which of some modules a process has loaded after it ran the code."""
    told = f"{code}\nimport sys\nprint(*sorted({names!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", told], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


HEADERS = (
    "spec.load",
    "tasks.spectra.definition",
    "tasks.spectra.shards.shard_inspection",
    "models.parameter_count",
    "models.step_memory",
    "models.input_fit",
    "run.plan",
    "cli.main",
    "service",
    "service.plans",
)
"""Modules of work that reads headers alone."""


def test_header_only_work_loads_neither_torch_nor_ray() -> None:
    """One process imports them one after the other, and says which of them brings what."""
    code = (
        "import importlib, sys\nheavy, seen = {'torch', 'ray', 'optuna', 'lightgbm', 'matplotlib'}, set()\n"
        f"for module in {HEADERS}:\n"
        "    importlib.import_module(f'spectral_search.{module}')\n"
        "    for name in sorted((heavy & set(sys.modules)) - seen):\n"
        "        print(f'{module}:{name}')\n"
        "    seen |= heavy & set(sys.modules)"
    )
    assert loaded_of(set(), code) == []


def test_the_command_line_itself_loads_no_specs() -> None:
    """They take as long as all else that `--help` or `status` wait for."""
    assert loaded_of({"pydantic", "spectral_search.spec.base"}, "import spectral_search.cli.main") == []


def test_families_are_known_without_torch() -> None:
    code = "from spectral_search.spec.families import families\nassert families()"
    assert loaded_of({"torch", "ray", "optuna"}, code) == []


def test_a_plan_asks_proposers_without_optuna() -> None:
    code = (
        "from spectral_search.spec.name_registry import PROPOSERS\n[PROPOSERS.find(name) for name in PROPOSERS.names]"
    )
    assert loaded_of({"torch", "ray", "optuna"}, code) == []


def test_the_cache_is_listed_without_torch_ray_or_pandas() -> None:
    code = (
        "from spectral_search.run.cache_view import render_cache\nfrom spectral_search import service\n"
        "render_cache(service.cache())"
    )
    assert loaded_of({"torch", "ray", "optuna", "pandas", "matplotlib"}, code) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "module",
    ["run_parts", *(f"parts.{name}" for name in ("compressing_speed", "training_steps", "pack_epochs", "gpu_epochs"))],
)
def test_benchmarks_of_training_load_no_ray(module: str) -> None:
    assert loaded_of({"ray", "optuna"}, f"import benchmarks.{module}") == []


def test_training_works_without_ray_and_optuna() -> None:
    code = (
        "import pkgutil, importlib, spectral_search.train as train\n"
        "[importlib.import_module(f'spectral_search.train.{m.name}') for m in pkgutil.iter_modules(train.__path__)]"
    )
    assert loaded_of({"ray", "optuna"}, code) == []


def test_a_shared_pass_loads_neither_tables_nor_a_sampler() -> None:
    """Its imports are what the first epoch of a search waits for; pandas alone would be a quarter of them."""
    code = "from spectral_search.run import pass_server, ray_job, shared_pass"
    assert loaded_of({"pandas", "pyarrow", "sklearn", "sqlalchemy", "optuna"}, code) == []


def test_package_fronts_import_nothing() -> None:
    """But for the service's, which finds a verb in its module once it is asked for, and for what MKL is told."""
    allowed = {"service": {"importlib", "typing"}, "spectral_search": {"os"}}
    fronts = sorted(PACKAGE.glob("**/__init__.py"))
    wrong = {path: imported(path.read_text()) - allowed.get(path.parent.name, set()) for path in fronts}
    assert {path.parent.name: names for path, names in wrong.items() if names} == {}


def test_the_command_line_shows_what_runs_give_and_leaves_the_rest_to_the_service() -> None:
    taken = {name for path in (PACKAGE / "cli").glob("*.py") for name in imported(path.read_text())}
    of_run = {name for name in taken if name.startswith("spectral_search.run.")}
    assert of_run and all(name.endswith("_view") for name in of_run)


def test_every_third_party_import_is_declared_and_used() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [line for name, lines in project["optional-dependencies"].items() if name != "test" for line in lines]
    declared = {canonicalize_name(Requirement(line).name) for line in project["dependencies"] + extras}
    tops = {name.partition(".")[0] for path in MODULES for name in imported(path.read_text())}
    tops -= {
        "spectral_search",
        "benchmarks",
        "_typeshed",
        *sys.stdlib_module_names,
    }  # _typeshed is there for type checkers alone
    providers = packages_distributions()
    used = {canonicalize_name(BROUGHT_BY.get(top, providers[top][0])) for top in tops}
    assert used <= declared
    # Found by name only: pandas by way of PyTables, Optuna's GP sampler by way of scipy, SQLAlchemy's driver, plotly's
    # script for browsers.
    assert declared - used <= {"tables", "scipy", "psycopg", "plotly", "mlflow-skinny", "tensorboardx", "wandb"}


def test_everything_direct_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pins = dict(
        line.split("==") for line in (ROOT / "requirements.txt").read_text().splitlines() if not line.startswith("#")
    )
    pins = {canonicalize_name(name): version for name, version in pins.items()}
    for line in project["dependencies"] + project["optional-dependencies"]["test"]:
        wanted = Requirement(line)
        assert pins[canonicalize_name(wanted.name)] in wanted.specifier, line
    assert not [name for name in pins if name.startswith(("nvidia-cu", "cuda", "triton"))]
    assert all(version.replace(".", "").replace("b", "").isdigit() for version in pins.values())


def test_nothing_but_the_verb_bench_needs_the_benchmarks() -> None:
    users = {path.name for path in MODULES if any(name.startswith("benchmarks") for name in imported(path.read_text()))}
    assert users == {"benchmark.py"}


def test_every_package_is_shipped() -> None:
    shipped = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    there = [".".join(path.parent.relative_to(ROOT).parts) for path in PACKAGE.rglob("__init__.py")]
    assert sorted(shipped) == sorted(["spectral_search.tune_specs", *there])


@pytest.mark.slow
@pytest.mark.parametrize("words", [("--dry-run",), ("--executor", "inline")])
def test_a_search_of_spectra_loads_nothing_of_other_tasks(words: tuple[str, ...], tmp_path: Path) -> None:
    """Nor a network that only these have; their sections of specs are there, for one document of a spec knows all."""
    make_spec(tmp_path, make_data(tmp_path / "data"), fit={"epochs": 2}, search={"trials": 2})
    asked = ["run", str(tmp_path / "small.yaml"), *words, "--results", str(tmp_path / "results"), "--json"]
    code = (
        "import sys, contextlib, io\nfrom spectral_search.cli.main import main\n"
        f"sys.argv = ['spectral-search', *{asked!r}]\nended = None\n"
        "with contextlib.redirect_stdout(io.StringIO()):\n"
        "    try:\n        main()\n    except SystemExit as end:\n        ended = end.code\n"
        "assert ended == 0, ended\n"
        f"others = {tuple(f'spectral_search.tasks.{name}' for name in ('pairs', 'traffic'))!r}\n"
        "for name in list(sys.modules):\n"
        "    if name.startswith((*others, 'PIL.', 'sklearn.')):\n"
        "        sys.modules['another task'] = sys"
    )
    networks = {f"spectral_search.models.{name}_network" for name in ("pair", "siamese_cnn", "siamese_efficient")}
    networks |= {f"spectral_search.models.{name}_network" for name in ("space_time", "shared_mlp")}
    assert loaded_of({"another task", *networks}, code) == []


def test_one_task_loads_nothing_of_another() -> None:
    code = (
        "from spectral_search.task.registry import task_of\nfrom spectral_search.spec.load import load_spec\n"
        "load_spec('step1')\ntask = task_of('spectra')\ntask.reporting()\ntask.verbs()"
    )
    assert (
        loaded_of({"spectral_search.tasks.pairs", "spectral_search.tasks.traffic", "PIL.Image", "sklearn"}, code) == []
    )

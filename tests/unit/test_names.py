"""Names: no module is called like another, a test lies where its module does, and what is public is used elsewhere."""

import ast
import json
from collections import Counter
from functools import cache
from pathlib import Path

from spectral_search import service

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "tests" / "unit"
MODULES = sorted(
    path
    for folder in ("spectral_search", "benchmarks")
    for path in (ROOT / folder).rglob("*.py")
    if "__" not in path.name
)
RUN_BY_NAME = {
    *("main", "measure", "search"),  # the command line's and a script's own, a part of the benchmark, and a peer
    *("AUGMENTATION", "LOSS", "SCHEDULE", "WEIGHT_AVERAGE"),  # techniques, by their registry
    *("DATA", "FAMILY", "LOGGER", "PAUSE", "PROPOSER", "RULE"),  # what else a registry finds by the name of its module
}
ELSEWHERE = {
    "models/test_networks.py",  # what the published networks of all families have in common
    "test_cluster_recipes.py",  # docs/clusters.md
    "service/test_front.py",  # the names of the package itself
    "test_docs.py",
    "test_imports.py",
    "test_names.py",
    "test_science_words.py",
    "spec/test_technique_keys.py",  # what a spec says of techniques
    "train/techniques/test_documented_techniques.py",  # what docs/extending.md says of them
    "strategy/test_extending.py",  # what docs/extending.md says of proposers and rules
    "train/techniques/test_techniques_in_training.py",  # of all techniques, in a trainer
}
"""Tests that are about no single module."""


@cache
def tree_of(path: Path) -> ast.Module:
    """Of a module, or of the code cells of a notebook."""
    if path.suffix == ".ipynb":
        cells = json.loads(path.read_text())["cells"]
        return ast.parse("\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"))
    return ast.parse(path.read_text())


def dotted(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def functions_and_constants(path: Path) -> set[str]:
    """Those of a module that are public: no underscore before them."""
    names: set[str] = set()
    for node in tree_of(path).body:
        match node:
            case ast.FunctionDef(name=name) | ast.AnnAssign(target=ast.Name(id=name)):
                names.add(name)
            case ast.Assign(targets=targets):
                names |= {part.id for target in targets for part in ast.walk(target) if isinstance(part, ast.Name)}
    return {name for name in names if not name.startswith("_") and not is_type(name)}


def is_type(name: str) -> bool:
    """By how it is written: Words, or one letter."""
    return (name[0].isupper() and not name.isupper()) or len(name) == 1


def unused(public: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """Pairs of a module and a name of it that no file imports, or reads as an attribute of the module."""
    used = {(module, name) for name, module in service._MODULE_OF.items()}
    for path in [*MODULES, *(ROOT / "tests").rglob("*.py"), *(ROOT / "notebooks").glob("*.ipynb")]:
        modules: set[str] = set()
        attributes: set[str] = set()
        for node in ast.walk(tree_of(path)):
            match node:
                case ast.ImportFrom(module=str(module), names=aliases):
                    used |= {(module, alias.name) for alias in aliases}
                    modules |= {f"{module}.{alias.name}" for alias in aliases}
                case ast.Import(names=aliases):
                    modules |= {alias.name for alias in aliases}
                case ast.Attribute(attr=name):
                    attributes.add(name)
                case ast.Constant(value=str(text)):  # as monkeypatch takes it: a name, or module and name
                    attributes.add(text)
                    used.add((text.rpartition(".")[0], text.rpartition(".")[2]))
                    used.add((text.partition(":")[0], text.partition(":")[2]))  # as families name their networks
        used |= {(module, name) for module, name in public if module in modules and name in attributes}
    return public - used


def subject_of(path: Path) -> str:
    """What sets modules of one name apart: each verb's command line and a task's side of the seam are second ones."""
    match path.relative_to(ROOT / "spectral_search").parts if path.is_relative_to(ROOT / "spectral_search") else ():
        case ("cli", name) if (ROOT / "spectral_search" / "service" / name).is_file():
            return "cli"
        case ("tasks", task, *_, name) if (ROOT / "spectral_search" / "task" / name).is_file():
            return task
        case ("tasks", task, "definition.py" | "section.py"):  # by which every task is found
            return task
    return ""


def test_no_module_is_called_like_another() -> None:
    """Unless both do the same thing for different things."""
    count = Counter((path.name, subject_of(path)) for path in MODULES)
    assert [name for (name, _), times in count.items() if times > 1] == []


def test_verbs_lie_in_modules_of_one_name_in_service_and_cli() -> None:
    package = ROOT / "spectral_search"
    of_service, of_cli = ({path.stem for path in (package / name).glob("*.py")} for name in ("service", "cli"))
    assert of_cli - of_service == {"main", "shared", "streams", "derived_help", "stages"}  # stages are the specs' own


def test_a_test_lies_where_its_module_does() -> None:
    astray = set()
    for file in UNIT.rglob("test_*.py"):
        place = file.relative_to(UNIT)
        module = place.with_name(place.name.removeprefix("test_"))
        if not any((root / module).is_file() for root in (ROOT, ROOT / "spectral_search")):
            astray.add(place.as_posix())
    assert astray - ELSEWHERE == set()


def test_what_notebooks_import_is_there() -> None:
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        for node in ast.walk(tree_of(path)):
            match node:
                case ast.ImportFrom(module=str(module), names=aliases) if module.startswith("spectral_search."):
                    file = (ROOT / module.replace(".", "/")).with_suffix(".py")
                    names = {alias.name for alias in aliases}
                    assert not file.is_file() or names <= bound(file), f"{path.name} imports {names} of {module}"


def bound(path: Path) -> set[str]:
    """Names that a module defines or imports at its top."""
    names: set[str] = set()
    for node in tree_of(path).body:
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name) | ast.AnnAssign(target=ast.Name(id=name)):
                names.add(name)
            case ast.Assign(targets=targets):
                names |= {part.id for target in targets for part in ast.walk(target) if isinstance(part, ast.Name)}
            case ast.ImportFrom(names=aliases) | ast.Import(names=aliases):
                names |= {alias.asname or alias.name for alias in aliases}
    return names


def test_what_is_public_is_used_elsewhere() -> None:
    """But for types, which public functions give or take, and what is run by name."""
    public = {
        (dotted(path), name) for path in MODULES for name in functions_and_constants(path) if name not in RUN_BY_NAME
    }
    assert unused(public) == set()

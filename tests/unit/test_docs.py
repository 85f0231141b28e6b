"""The README and the docs: links lead somewhere, and the commands they show exist with the options they show."""

import re
import shlex
from pathlib import Path

import pytest
from typer.main import get_command

from spectral_search.cli.main import app
from spectral_search.cli.task_verbs import OfTask
from spectral_search.spec.load import find_spec
from spectral_search.spec.task_modules import task_names

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
COMMANDS = get_command(app).commands


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_relative_links_lead_to_files(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text())
    missing = [target for target in targets if "://" not in target and not (page.parent / target).exists()]
    assert not missing


def shown_commands() -> list[str]:
    """Every line of a code block that runs spectral-search, without its comment."""
    lines = [line.strip() for page in PAGES for line in page.read_text().splitlines() if line.startswith("    ")]
    return sorted(
        {line.split("spectral-search ", 1)[1] for line in lines if re.search(r"(^|\s)spectral-search \w", line)}
    )


@pytest.mark.parametrize("line", shown_commands())
def test_shown_commands_exist(line: str) -> None:
    name, *words = shlex.split(line, comments=True)
    assert name in COMMANDS
    command = COMMANDS[name].of(()) if isinstance(COMMANDS[name], OfTask) else COMMANDS[name]
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    assert {word.split("=")[0] for word in words if re.match(r"-+[a-z]", word)} <= known
    if name == "run" and words[0] != "my_stage.yaml":
        assert find_spec(words[0])


def test_no_placeholder_is_left() -> None:
    assert not [page.name for page in PAGES if "@@" in page.read_text()]


def test_files_on_the_walks_exist() -> None:
    named = re.findall(r"`([\w/*]+/[\w*]+(?:\.py)?|\w+\.py)`", (ROOT / "docs" / "architecture.md").read_text())
    assert len(named) > 20
    folders = (ROOT, ROOT / "spectral_search", ROOT / "spectral_search" / "tasks" / "spectra")
    names = {path.name for path in (ROOT / "spectral_search").rglob("*.py")}
    assert not [name for name in named if name not in names and not any(list(folder.glob(name)) for folder in folders)]


def test_the_readme_and_the_architecture_name_every_task() -> None:
    for page in ("README.md", "docs/architecture.md"):
        assert not [name for name in task_names() if name not in (ROOT / page).read_text()]

"""The code of a page of docs, by section, and as the package that it would be."""

import re
import tomllib
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"


def code_of(page: str, section: str, language: str) -> list[str]:
    """The blocks of a language in a section."""
    text = (DOCS / page).read_text()
    found = re.search(rf"^## {re.escape(section)}$(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found is not None, f"{page} has no section {section}"
    return re.findall(rf"^```{language}\n(.*?)^```$", found[1], re.MULTILINE | re.DOTALL)


def install(page: str, section: str, folder: Path) -> None:
    """Write the files that a section shows, and its entry points, as an installed package has them."""
    for block in code_of(page, section, "python"):
        named = re.match(r"# file: (\w+\.py)\n", block)
        if named is not None:
            (folder / named[1]).write_text(block[named.end() :])
    lines = []
    for block in code_of(page, section, "toml"):
        for group, points in tomllib.loads(block)["project"]["entry-points"].items():
            lines += [f"[{group}]", *(f"{name} = {place}" for name, place in points.items())]
    name = section.replace(" ", "_")
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")

"""No word of a science stands outside its task: the core knows objectives, metrics, examples and scores."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "spectral_search"
APART = ("tasks/",)
"""Where science belongs."""
OWN_NAME = re.compile(r"spectral[-_]search", re.IGNORECASE)
WORDS = re.compile(
    r"(?<![a-z])("
    r"log[ _]?g|surface gravity|flux(es)?|r2|r²|t[ _]?eff|m_h|\[m/h\]|a_m|c_m|metallicity|dex|spectr(um|a|al)|snr|s/n"
    r"|stellar|stars?|astronom\w*|wavelengths?|angstroms?|redshifts?|kelvin"
    r")(?![a-z0-9])",
    re.IGNORECASE,
)
MODULES = sorted(
    path
    for path in PACKAGE.rglob("*.py")
    if path != PACKAGE / "__init__.py" and not path.relative_to(PACKAGE).as_posix().startswith(APART)
)


def said(source: str) -> list[str]:
    """Every identifier and every string of a module, docstrings included; comments are no part of the program."""
    texts: list[str] = []
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Constant(value=str(text)) | ast.Constant(value=bytes() as text):
                texts.append(text if isinstance(text, str) else text.decode("latin-1"))
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name):
                texts.append(name)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                texts.append(name)
            case ast.keyword(arg=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                texts.append(name)
            case ast.ImportFrom(module=module):
                texts.append(module or "")
            case ast.alias(name=name, asname=asname):
                texts += [name, asname or ""]
    return texts


def science(source: str) -> list[str]:
    """The words of a science that a module has."""
    return [found[0] for text in said(source) for found in WORDS.finditer(OWN_NAME.sub("", text))]


def test_science_stands_in_its_task_alone() -> None:
    found = {path.relative_to(PACKAGE).as_posix(): science(path.read_text()) for path in MODULES}
    assert {name: words for name, words in found.items() if words} == {}


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("log_g_N = 1", ["log_g"]),
        ("f'val R² {x.val_r2:.3f} of log g'", ["r2", "R²", "log g"]),
        ('def f(flux_NL):\n    """Of spectra."""', ["flux", "Of spectra."[3:10]]),
        ("f(snr=1, T_eff=2, M_H='[M/H] in dex')", ["snr", "T_eff", "M_H", "[M/H]", "dex"]),
        ("import spectral_search.tasks.spectra", ["spectra"]),
        ("start = index = num_heads = 'spectral-search run: startup, m_head, r21'", []),
        ("from spectral_search.spec import run  # flux", []),
    ],
)
def test_the_words_are_found(source: str, words: list[str]) -> None:
    assert sorted(science(source)) == sorted(words)

"""Families of networks are found by the kind that a spec names: those of the package and those that others install."""

import sys
from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
import torch
from documented_code import code_of

from spectral_search.errors import RequestError
from spectral_search.models.build import build_model
from spectral_search.models.parameter_count import count_parameters
from spectral_search.models.step_memory import step_bytes
from spectral_search.spec import families as registry
from spectral_search.spec.families import GROUP, families, family_of
from spectral_search.spec.keys import _all_leaves, _trial_leaves, kinds_with
from spectral_search.spec.run import RunSpec

MODULE = """
from typing import Literal

from spectral_search.spec.family import Colour, Family
from spectral_search.spec.model_section import ModelSection, Width


class MeansSpec(ModelSection):
    kind: Literal["means"]
    parts: Width = 4


class Means(Family[MeansSpec]):
    section = MeansSpec
    label = "means"
    colour = Colour("#336699", "#99ccff")
    network = f"{__name__}:build"
    make_smaller = "make model.parts smaller"

    def input_faults(self, section, shape):
        return [] if section.parts <= shape.pixels else [f"model.parts is more than {shape.pixels} pixels; use fewer"]

    def parameters(self, section, shape):
        return section.parts * shape.channels + 1

    def forward_operations(self, section, shape):
        return section.parts * shape.channels

    def step_bytes(self, section, shape, element):
        return section.parts * shape.channels * element


def build(section, shape):
    from torch import nn

    head = nn.Linear(section.parts * shape.channels, 1)
    return nn.Sequential(nn.AdaptiveAvgPool1d(section.parts), nn.Flatten(), head, nn.Flatten(0))


FAMILY = Means()
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Lets a module stand as the entry point `others`, as an installed package would bring it."""
    caches = (families, _trial_leaves, _all_leaves)

    def bring(source: str, name: str = "FAMILY") -> None:
        (tmp_path / "brought_family.py").write_text(source)
        point = EntryPoint("others", f"brought_family:{name}", GROUP)
        monkeypatch.setattr(registry, "entry_points", lambda group: [point] if group == GROUP else [])
        for cached in caches:
            cached.cache_clear()

    monkeypatch.syspath_prepend(tmp_path)
    yield bring
    sys.modules.pop("brought_family", None)
    monkeypatch.undo()
    for cached in caches:
        cached.cache_clear()


def test_those_of_the_package_are_found_by_their_modules() -> None:
    names = sorted(path.stem for path in registry.FOLDER.glob("*.py") if path.stem != "__init__")
    assert list(families())[: len(names)] == names
    assert all(family_of(name).kind == name for name in names)


def test_an_unknown_kind_is_refused_with_the_nearest() -> None:
    with pytest.raises(
        RequestError, match=r"model\.kind must be one of cnn, mlp, .*found res_cn; did you mean res_cnn\?"
    ):
        family_of("res_cn")
    with pytest.raises(RequestError, match=r"found transformer$"):
        family_of("transformer")


def test_one_module_of_another_package_is_a_family(install: Callable[..., None]) -> None:
    assert kinds_with("model.parts") == []
    install(MODULE)
    spec = RunSpec.from_dict({"stage": "some", "model": {"kind": "means", "parts": 8}})
    assert spec.override({"model.parts": 16}).to_dict()["model"] == {"kind": "means", "parts": 16}
    assert kinds_with("model.parts") == ["means"] and list(families())[-1] == "means"
    model = build_model(spec.model, pixels=32, channels=2)
    assert model(torch.randn(3, 2, 32)).shape == (3,)
    assert sum(weight.numel() for weight in model.parameters()) == count_parameters(spec.model, pixels=32, channels=2)
    assert step_bytes(spec.model, pixels=32, channels=2, batch=3) == 3 * 8 * 2 * 4
    with pytest.raises(RequestError, match=r"more than 4 pixels; use fewer"):
        build_model(spec.model, pixels=4)
    with pytest.raises(RequestError, match=r"model\.parts must be a whole number"):
        spec.override({"model.parts": 0})


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ("FAMILY = 3", r"brings 3; it must be"),
        ("", r"others \(brought_family:FAMILY\) does not load"),
        ("import nothing_of_the_kind", r"does not load: No module named 'nothing_of_the_kind'"),
        (MODULE.replace('"means"', '"cnn"'), r"Two families of networks are called cnn"),
    ],
)
def test_what_is_no_family_is_refused(install: Callable[..., None], source: str, fault: str) -> None:
    install(source)
    with pytest.raises(RequestError, match=fault):
        families()


def test_the_docs_show_the_family_that_is_brought() -> None:
    (shown,) = code_of("extending.md", "A model family", "python")
    assert shown.removeprefix("# file: brought_family.py\n").strip() == MODULE.strip()

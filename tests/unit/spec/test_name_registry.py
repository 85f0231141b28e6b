"""Names of proposers and rules: known without what they stand for, and never one for another."""

import subprocess
import sys

import pytest

from spectral_search.errors import RequestError
from spectral_search.spec.name_registry import PROPOSERS, RULES, Registry
from spectral_search.strategy.asha_rule import Asha


def test_a_name_is_the_beginning_of_its_modules() -> None:
    assert RULES.find("asha") is Asha
    assert "asha" not in PROPOSERS.names and "tpe" not in RULES.names


def test_names_are_known_without_what_they_stand_for() -> None:
    code = (
        "import sys; from spectral_search.spec.name_registry import PROPOSERS, RULES; PROPOSERS.names; RULES.names;"
        "print([name for name in sys.modules if 'strategy' in name or name == 'optuna'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("registry", [PROPOSERS, RULES], ids=lambda registry: registry.kind)
@pytest.mark.parametrize("name", ["", "TPE", "tpe_proposer", "../rule", "zzz"])
def test_what_is_no_name_is_refused(registry: Registry, name: str) -> None:
    with pytest.raises(RequestError, match=f"There is no {registry.kind} .* There are: "):
        registry.find(name)

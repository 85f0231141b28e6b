"""Which seeds a config is trained with."""

import pytest

from spectral_search.errors import RequestError
from spectral_search.spec.seeds import wanted_seeds


@pytest.mark.parametrize(
    ("text", "seeds"),
    [("3", [7, 8, 9]), ("42,2023, 5", [42, 2023, 5]), ("42,", [42]), ("1", [7]), ("0,", [0])],
)
def test_seeds_are_counted_or_named(text: str, seeds: list[int]) -> None:
    assert wanted_seeds(text, 7) == seeds


def test_counting_goes_on_from_the_last_seed_with_the_first() -> None:
    assert wanted_seeds("2", 2**31 - 1) == [2**31 - 1, 0]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("42,x", "found '42,x'"),
        ("", "found ''"),
        (",", "found ','"),
        ("-1", "found '-1'"),
        ("1.5,2", "found '1.5,2'"),
        ("0", "not between 1 and 1,000"),
        ("2023", "write `2023,` for the seed itself"),
        ("1,42,42,1", "names 1, 42 more than once"),
        ("1,3000000000", "names 3000000000, and the largest seed is 2,147,483,647"),
    ],
)
def test_what_names_no_seeds_is_refused_in_a_sentence(text: str, told: str) -> None:
    with pytest.raises(RequestError) as refused:
        wanted_seeds(text, 7)
    assert len(refused.value.faults) == 1 and told in refused.value.faults[0]

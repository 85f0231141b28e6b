"""Proposals by densities of those that led and of the others."""

import math

import numpy as np

from spectral_search.spec.domain import Domain
from spectral_search.strategy.parzen import Seen, most_promising

LR = Domain(kind="log_uniform", low=1e-4, high=1e-1)
KIND = Domain(kind="choice", choices=["constant", "cosine"])
CANDIDATES = [{"lr": lr} for lr in (2e-4, 2e-3, 2e-2)]


def seen_at(rungs_and_values: dict[float, tuple[int, float]]) -> list[Seen]:
    return [Seen({"lr": lr}, rungs, value) for lr, (rungs, value) in rungs_and_values.items()]


def test_a_candidate_near_the_leaders_is_chosen() -> None:
    seen = seen_at({1e-4: (1, 0.1), 1.5e-4: (1, 0.0), 1.8e-2: (1, 0.8), 2.2e-2: (1, 0.7), 1e-3: (1, 0.2)})
    assert most_promising({"lr": LR}, seen, CANDIDATES) == 2


def test_what_got_further_leads_whatever_its_value_and_what_failed_comes_last() -> None:
    seen = seen_at({1.8e-4: (2, 0.1), 2.2e-4: (2, 0.1), 2e-2: (1, 0.9), 2e-3: (-1, math.inf)})
    assert most_promising({"lr": LR}, seen, CANDIDATES) == 0
    failed = seen_at({1.8e-4: (-1, 0.0), 2.2e-4: (-1, 0.0), 1.9e-2: (0, -math.inf), 2.1e-2: (0, -math.inf)})
    assert most_promising({"lr": LR}, failed, CANDIDATES) == 2


def test_the_scale_is_that_of_the_domain() -> None:
    """On a linear scale 2e-4 and 2e-3 would be the same point."""
    seen = seen_at({1.8e-4: (1, 0.9), 2.2e-4: (1, 0.8), 1.5e-3: (1, 0.1), 2.5e-3: (1, 0.0)})
    assert most_promising({"lr": LR}, seen, CANDIDATES) == 0


def test_choices_count_by_how_often_they_led() -> None:
    domains = {"lr": LR, "kind": KIND}
    seen = [Seen({"lr": 1e-3, "kind": "cosine"}, 1, 0.5 + i) for i in range(2)]
    seen += [Seen({"lr": 1e-3, "kind": "constant"}, 1, 0.1) for _ in range(5)]
    assert most_promising(domains, seen, [{"lr": 1e-3, "kind": kind} for kind in KIND.choices or []]) == 1


def test_a_key_that_does_not_apply_says_nothing() -> None:
    domains = {"kind": KIND, "lr": LR}
    seen = [
        Seen({"kind": "cosine"}, 1, 0.9),
        Seen({"kind": "cosine"}, 1, 0.8),
        Seen({"kind": "constant", "lr": 2e-3}, 1),
    ]
    assert most_promising(domains, seen, [{"kind": "constant", "lr": 2e-2}, {"kind": "cosine"}]) == 1


def test_it_finds_the_best_of_a_smooth_function_sooner_than_chance() -> None:
    domains = {f"x{i}": Domain(kind="uniform", low=0.0, high=1.0) for i in range(4)}
    rng, best = np.random.default_rng(0), []
    for learns in (True, False):
        found = []
        for _ in range(5):
            seen: list[Seen] = []
            for _ in range(60):
                points = [dict(zip(domains, map(float, rng.random(4)), strict=True)) for _ in range(100)]
                chosen = points[most_promising(domains, seen, points) if learns and len(seen) > 8 else 0]
                seen.append(Seen(chosen, 1, -sum((value - 0.3) ** 2 for value in chosen.values())))
            found.append(max(trial.value for trial in seen))
        best.append(float(np.mean(found)))
    assert best[0] > best[1] / 3  # a third of the distance, squared

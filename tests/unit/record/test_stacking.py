"""Trees over what several models predict, fitted by folds of which none sees its own examples."""

import numpy as np
import pytest

from spectral_search.errors import RequestError
from spectral_search.record.stacking import FOLDS, Kind, Trees, fitted, folds

NUMBERS = Kind(classes=False)


def stacked(predicted_KDN: np.ndarray, target_N: np.ndarray, group_NG: np.ndarray | None = None) -> np.ndarray:
    """What a stack says of val out of fold."""
    made = folds(len(target_N), group_NG, 1)
    return fitted(predicted_KDN, target_N, NUMBERS, made, 1).out_of_fold(predicted_KDN, made)


def error(predicted_DN: np.ndarray, target_N: np.ndarray) -> float:
    return float(np.abs(predicted_DN - target_N).mean())


def test_every_example_is_held_out_once_and_learnt_from_in_all_other_folds() -> None:
    made = folds(103, None, 1)
    assert len(made) == FOLDS
    assert np.array_equal(np.sum([held_N for _, held_N in made], axis=0), np.ones(103))
    assert all(np.array_equal(learns_N, ~held_N) for learns_N, held_N in made)


def test_no_fold_learns_from_what_shares_a_group_with_an_example_that_it_holds_out() -> None:
    group_N2 = np.random.default_rng(0).integers(0, 40, (300, 2))
    made = folds(300, group_N2, 1)
    for learns_N, held_N in made:
        firsts = group_N2[held_N, 0]
        assert learns_N.any() and not np.isin(group_N2[learns_N], firsts).any()
    assert np.array_equal(np.sum([held_N for _, held_N in made], axis=0), np.ones(300))


def test_a_model_that_knows_its_val_examples_by_heart_gains_nothing_out_of_fold() -> None:
    """Its prediction names the example and says nothing of the target: trees that saw it would know the answer."""
    rng = np.random.default_rng(0)
    target_N = rng.choice([-1.0, 1.0], 400)
    name_N = rng.permutation(400) / 1e6  # a key that says nothing of others
    predicted_KDN = np.stack([name_N, np.zeros(400)])[:, None]
    made = folds(400, None, 1)
    trees = fitted(predicted_KDN, target_N, NUMBERS, made, 1)
    own = [trees._added(fold, predicted_KDN[:, :, learns_N]) for fold, (learns_N, _) in enumerate(made)]
    known = np.mean([error(added, target_N[learns_N]) for added, (learns_N, _) in zip(own, made, strict=True)])
    assert known < 0.87  # what it learnt, it learnt by heart
    assert error(trees.out_of_fold(predicted_KDN, made), target_N) > 0.93


def test_draws_of_an_example_and_examples_of_a_group_are_held_out_together() -> None:
    """Ten of each: trees that saw nine siblings would know the tenth."""
    rng = np.random.default_rng(0)
    target_N, name_N = rng.choice([-1.0, 1.0], 60), rng.permutation(60) / 60
    draws_KDN = np.broadcast_to(name_N, (2, 10, 60))
    assert error(stacked(draws_KDN, target_N), target_N) > 0.9
    siblings_KDN, target_M = np.repeat(draws_KDN[:, :1], 10, axis=2), np.repeat(target_N, 10)
    alone = error(stacked(siblings_KDN, target_M), target_M)
    together = error(stacked(siblings_KDN, target_M, np.repeat(np.arange(60), 10)[:, None]), target_M)
    assert alone < 0.7 < 0.9 < together


def test_a_stack_finds_out_whom_to_believe_where() -> None:
    rng = np.random.default_rng(0)
    target_N = rng.normal(size=2000)
    left_N = target_N < 0
    first_N = target_N + rng.normal(size=2000) * np.where(left_N, 0.1, 1.0)
    second_N = target_N + rng.normal(size=2000) * np.where(left_N, 1.0, 0.1)
    predicted_KDN = np.stack([first_N, second_N])[:, None]
    mean = error(predicted_KDN.mean(0), target_N)
    assert error(stacked(predicted_KDN, target_N), target_N) < 0.9 * mean


def test_targets_that_are_not_known_are_learnt_from_nowhere_and_outputs_are_rows() -> None:
    rng = np.random.default_rng(0)
    target_NO = rng.normal(size=(60, 4))
    predicted_KDNO = (target_NO + 0.3 * rng.normal(size=(3, 60, 4)))[:, None]
    target_NO[rng.random((60, 4)) < 0.3] = np.nan
    made = folds(60, None, 1)
    trees = fitted(predicted_KDNO, target_NO, NUMBERS, made, 1)
    assert trees.out_of_fold(predicted_KDNO, made).shape == (1, 60, 4)
    assert np.isfinite(trees.combined(predicted_KDNO)).all()


def test_trees_that_were_written_and_read_say_the_same() -> None:
    rng = np.random.default_rng(0)
    target_N = rng.normal(size=200)
    predicted_KDN = (target_N + rng.normal(size=(2, 200)))[:, None]
    trees = fitted(predicted_KDN, target_N, NUMBERS, folds(200, None, 1), 1)
    again = Trees(trees.kind, tuple(text.encode().decode() for text in trees.texts))
    assert np.array_equal(trees.combined(predicted_KDN), again.combined(predicted_KDN))


@pytest.mark.parametrize("logits", [True, False])
def test_classes_are_classified_in_the_form_of_their_predictions(logits: bool) -> None:
    rng = np.random.default_rng(0)
    target_N = rng.integers(0, 2, 500).astype(float)
    logit_KDN = (2 * target_N - 1 + rng.normal(size=(3, 500)))[:, None]
    kind = Kind.of(target_N, logits)
    assert kind == Kind(True, logits)
    predicted_KDN = logit_KDN if logits else 1 / (1 + np.exp(-logit_KDN))
    np.testing.assert_allclose(kind.outward(kind.inward(predicted_KDN)), predicted_KDN, atol=1e-3)
    made = folds(500, None, 1)
    trees = fitted(predicted_KDN, target_N, kind, made, 1)
    assert "objective=binary" in trees.texts[0]
    said_N = trees.out_of_fold(predicted_KDN, made)[0]
    middle = 0.0 if logits else 0.5
    assert np.mean((said_N > middle) == target_N) > np.mean((predicted_KDN[0, 0] > middle) == target_N)
    assert logits or (0 < said_N.min() and said_N.max() < 1)


def test_the_majority_decides_and_a_draw_is_neither() -> None:
    kind = Kind(True, True)
    vote = kind.vote(np.array([[2.0, -1.0, 1.0], [1.0, -1.0, -9.0]]))
    assert vote[0] == pytest.approx(-vote[1]) and vote[0] > 0 == vote[2]


def test_numbers_are_no_classes() -> None:
    assert not Kind.of(np.array([0.0, 1.0, 2.0]), True).classes
    assert not Kind.of(np.array([1.0, 1.0]), True).classes
    assert Kind.of(np.array([0.0, 1.0, np.nan]), True) == Kind(True, True)


def test_too_few_groups_are_refused() -> None:
    with pytest.raises(RequestError, match="5 folds need as many examples or groups of them, and val has 4"):
        folds(100, np.arange(100)[:, None] % 4, 1)
    everywhere_N2 = np.stack([np.arange(50), np.zeros(50, int)], axis=1)
    with pytest.raises(RequestError, match="leave a fold nothing"):
        folds(50, everywhere_N2 * [1, 0], 1)

"""Every proposer: a function of seed and history, blind to how it got there, and no point twice."""

import json
import warnings
from dataclasses import replace

import optuna
import pytest
from made_histories import FINITE, GRID, HIGHER, LOWER, MIXED, history_of, mirrored, proposed, spec_of, trained

from spectral_search.errors import RequestError
from spectral_search.spec.name_registry import PROPOSERS
from spectral_search.spec.run import RunSpec
from spectral_search.spec.space_part import WHOLE, PausedPart, SpacePart
from spectral_search.strategy import grid_proposer
from spectral_search.strategy.candidate_configs import candidates
from spectral_search.strategy.grid_proposer import GridProposer
from spectral_search.strategy.history import History, State, Trial
from spectral_search.strategy.new_point import NewPoints
from spectral_search.strategy.proposer import Proposer, proposer_of
from spectral_search.strategy.space_points import Params, planned_trials, searched_domains

COUNT = 6
NAMES = PROPOSERS.names
LEARNING = sorted({*NAMES} - {"grid", "random"})


def spec_for(name: str) -> RunSpec:
    return spec_of({}, name, grid=GRID) if name == "grid" else spec_of(MIXED, name)


def made(name: str) -> Proposer:
    return proposer_of(spec_for(name), HIGHER)


@pytest.fixture(scope="module", params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def trials(name: str) -> list[Trial]:
    with warnings.catch_warnings():
        warnings.simplefilter("error", optuna.exceptions.ExperimentalWarning)
        return proposed(made(name), COUNT)


def test_there_are_the_ones_that_specs_name() -> None:
    assert {"grid", "gp", "parzen", "random", "tpe"} <= {*NAMES}


def test_the_same_seed_and_history_give_the_same_proposals(name: str, trials: list[Trial]) -> None:
    assert proposed(made(name), COUNT) == trials


def test_a_search_cut_off_anywhere_goes_on_as_the_uninterrupted_one(name: str, trials: list[Trial]) -> None:
    """Each number by a proposer of its own, which knows nothing but the history."""
    for number in (0, 1, len(trials) - 1):
        assert made(name).propose(history_of(trials[:number])) == trials[number].params


def test_proposing_changes_nothing(name: str, trials: list[Trial]) -> None:
    proposer, history = made(name), history_of(trials[:5])
    before = json.dumps([vars(trial) for trial in history.trials])
    first = proposer.propose(history)
    proposer.propose(history_of(trials[:2]))
    assert proposer.propose(history) == first
    assert json.dumps([vars(trial) for trial in history.trials]) == before


def test_the_same_search_measured_the_other_way_round_goes_the_same_way(name: str, trials: list[Trial]) -> None:
    other = proposer_of(spec_for(name), LOWER)
    for number in (0, COUNT):
        history = history_of(trials[:number])
        assert other.propose(mirrored(history)) == made(name).propose(history)


@pytest.mark.parametrize("name", LEARNING)
def test_the_direction_counts(name: str) -> None:
    """The best and the worst of a search change places: another point is promising."""
    spec = spec_of({"fit.lr": {"log_uniform": [1e-4, 1e-1]}}, name)
    rates = [10 ** (-4 + 0.3 * number) for number in range(11)]
    trials = [Trial(number, {"fit.lr": lr}, 20, (lr,) * 20, "complete") for number, lr in enumerate(rates)]
    up, down = (proposer_of(spec, metric).propose(history_of(trials)) for metric in (HIGHER, LOWER))
    assert up is not None and down is not None and up["fit.lr"] > down["fit.lr"]


@pytest.mark.parametrize("state", ["running", "stopped", "failed"])
def test_any_end_of_a_trial_is_taken(name: str, trials: list[Trial], state: State) -> None:
    values: list[tuple[float, ...]] = [(), (float("nan"),), (float("-inf"), float("nan")), (-1e6,) * 20]
    odd = [replace(trial, state=state, values=known) for trial, known in zip(trials, values, strict=False)]
    for metric in (HIGHER, replace(LOWER, worst=float("-inf"))):
        params = proposer_of(spec_for(name), metric).propose(history_of(odd + trials[len(odd) :]))
        assert params not in [trial.params for trial in trials]


@pytest.mark.parametrize("name", sorted({*NAMES} - {"grid"}))
def test_a_finite_space_is_tried_once_each_and_then_ends(name: str) -> None:
    trials = proposed(proposer_of(spec_of(FINITE, name), HIGHER), 99)
    assert len(trials) == 4 == len({json.dumps(trial.params, sort_keys=True) for trial in trials})
    for trial in trials:
        assert ("model.hidden" in trial.params) == (trial.params["model.kind"] == "mlp")
        assert ("model.kernel_size" in trial.params) == (trial.params["model.kind"] == "cnn")


def test_no_point_comes_twice_and_none_where_nothing_more_is_tried(name: str, trials: list[Trial]) -> None:
    """With failed trials among those before, over a resume, and with a value and a threshold paused."""
    spec = spec_for(name)
    rate = SpacePart("fit.lr", "from", 5e-3)
    hidden = SpacePart("model.hidden", "is", [8])
    history = replace(history_of(trials[:1]), paused=[PausedPart(part, "x", (0,)) for part in (rate, hidden)])
    found = list(history.trials)
    while len(found) < COUNT and (params := proposer_of(spec, HIGHER).propose(replace(history, trials=found))):
        assert not rate.holds(params) and not hidden.holds(params)
        found.append(replace(trained(len(found), params), state="failed"))
    points = [json.dumps(trial.params, sort_keys=True) for trial in found]
    assert len(set(points)) == len(points) > 1


def test_where_all_of_the_space_is_paused_nothing_is_proposed(name: str, trials: list[Trial]) -> None:
    history = replace(history_of(trials[:2]), paused=[PausedPart(WHOLE, "x", (0, 1))])
    assert made(name).propose(history) is None


class Stubborn(GridProposer):
    """Proposes the first point for ever."""

    exhaustive = False

    def propose(self, history: History) -> Params | None:
        return {"model.kind": "mlp", "model.hidden": [8]}


def test_a_proposer_that_repeats_itself_is_answered_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PROPOSERS._added, "stubborn", Stubborn)
    points, found = NewPoints(spec_of(FINITE, "stubborn"), HIGHER), list[Trial]()
    while (params := points.propose(history_of(found))) is not None:
        found.append(trained(len(found), params))
    assert len({json.dumps(trial.params, sort_keys=True) for trial in found}) == len(found) == 4


@pytest.mark.parametrize("name", sorted({*NAMES} - {"grid"}))
def test_an_empty_space_is_one_trial(name: str) -> None:
    assert [trial.params for trial in proposed(proposer_of(spec_of({}, name), HIGHER), 99)] == [{}]


def test_a_grid_is_its_points_in_order() -> None:
    spec = spec_for("grid")
    assert [trial.params for trial in proposed(proposer_of(spec, HIGHER), 99)] == spec.grid_points()


def test_a_proposal_of_a_grid_makes_no_key_of_its_points_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    proposer = GridProposer(spec_for("grid"), HIGHER)
    monkeypatch.setattr(grid_proposer, "point_key", None)
    assert proposer.propose(history_of([])) is not None


def test_an_unknown_name_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(RequestError, match="search.sampler must be one of gp, grid, .* found 'tpee'; did you mean tpe"):
        spec_of(MIXED, "tpee")
    with pytest.raises(RequestError, match="no proposer 'tpee'. Did you mean tpe.*gp, grid, parzen, random, tpe"):
        PROPOSERS.find("tpee")


class Backwards(GridProposer):
    """The points of the grid, the last one first."""

    def propose(self, history: History) -> Params | None:
        left = len(self._points) - len(history.trials)
        return self._points[left - 1] if left else None


def test_a_proposer_says_itself_that_it_tries_a_grid(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [name for name in NAMES if PROPOSERS.find(name).exhaustive] == ["grid"]
    monkeypatch.setitem(PROPOSERS._added, "backwards", Backwards)
    grid = spec_for("grid")
    spec = grid.model_copy(update={"search": grid.search.model_copy(update={"sampler": "backwards", "trials": 1})})
    points = grid.grid_points()
    assert planned_trials(spec) == len(points) > 1 and len(candidates(spec)) == len(points)
    assert [trial.params for trial in proposed(proposer_of(spec, HIGHER), 99)] == points[::-1]
    assert spec.fixed(points[0]).search.sampler == "random"


def test_an_unknown_name_is_no_space_that_is_searched() -> None:
    spec = spec_for("random")
    unknown = spec.model_copy(update={"search": spec.search.model_copy(update={"sampler": "tpee"})})
    for ask in (planned_trials, searched_domains, candidates):
        with pytest.raises(RequestError, match="no proposer 'tpee'"):
            ask(unknown)

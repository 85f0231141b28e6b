"""Runs fetched from their copies: where they lie then, where they go on being copied to, what is refused."""

from pathlib import Path

import pytest
from small_store import SmallStore

from spectral_search.errors import RequestError
from spectral_search.record.manifest import Manifest
from spectral_search.record.paths import RunPaths
from spectral_search.record.stored_run import StoredRun
from spectral_search.run.run_copier import RunCopier
from spectral_search.service.resubmissions import resubmit
from spectral_search.service.run_options import RunOptions
from spectral_search.service.shown import silent
from spectral_search.service.stored_runs import fetched_run


@pytest.fixture
def url(used_store: SmallStore, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """The copy of a run, where the URL says where its store is."""
    used_store.make_bucket("stored")
    paths = RunPaths(tmp_path / "runs", "one").create()
    Manifest(name="one", stage="small", study_name="one").save(paths.manifest_json)
    host = used_store.environment["AWS_ENDPOINT_URL"].removeprefix("http://")
    url = f"s3://stored/{request.node.name}/one?endpoint_override={host}&scheme=http"
    RunCopier(StoredRun(url, "a test"), paths, lambda text: None, 60.0).round()
    return url


def test_a_fetched_run_goes_on_being_copied_to_where_it_came_from(url: str, tmp_path: Path) -> None:
    options = RunOptions(results=str(tmp_path / "other"))
    name, found = fetched_run(url, options, silent())
    assert name == "one" and RunPaths(tmp_path / "other", name).exists()
    assert found.copy_to == url.replace("/one?", "?")
    assert fetched_run(name, options, silent()) == (name, options)
    _, found = fetched_run(url, RunOptions(results=str(tmp_path / "third"), copy_to="none"), silent())
    assert found.copy_to == "none"


def test_a_run_is_not_fetched_over_what_is_there(url: str, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"/one is there already, .*: `resume one` .*; or give .* --results[.]"):
        fetched_run(url, RunOptions(results=str(tmp_path / "runs")), silent())


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ("stored/nothing", "s3://stored/nothing holds no copied run"),
        ("no-such-bucket/one", "There is no bucket no-such-b"),
    ],
)
def test_a_typing_error_is_told(place: str, told: str, used_store: SmallStore, tmp_path: Path) -> None:
    used_store.make_bucket("stored")
    with pytest.raises(RequestError, match=told):
        fetched_run(f"s3://{place}", RunOptions(results=str(tmp_path / "other")), silent())
    assert not list(tmp_path.glob("*"))


def test_what_is_said_of_a_copy_finds_it_again(url: str, used_store: SmallStore) -> None:
    stored = StoredRun(url, "a test")
    stored.require_of(None)
    told = stored.store.read_small("about.txt")
    assert told is not None and f"spectral-search resume '{url}'" in told.decode()


def test_a_copy_is_not_handed_over_to_a_cluster() -> None:
    with pytest.raises(RequestError, match="fetched to where it goes on: join the cluster by --address HOST:PORT"):
        resubmit("s3://bucket/one", RunOptions(address="http://127.0.0.1:1"), silent())

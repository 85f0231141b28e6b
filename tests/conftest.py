"""Sets up what every test relies on: helper modules that can be imported, threads that do not spin, no work twice."""

import functools
import gc
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from small_store import SmallStore

os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # as the command line does, for the tests in this process
# What tests remember of their data is of no use in the user's own cache.
os.environ.pop("SPECTRAL_SEARCH_CACHE", None)
os.environ["XDG_CACHE_HOME"] = str(Path(tempfile.gettempdir()) / f"spectral-search-tests-{os.getuid()}")
sys.path.insert(0, str(Path(__file__).parent))
# The many processes that tests start read what the first has compiled; the workers' tests likewise.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    """As many tests run at a time as there are cores, and threads of torch would wait for each other's: small networks
    took twice the CPU time. What is to hold on several threads sets them itself."""
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(1)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what takes as long as one lets it, unless `-m` asks for it."""
    if "soak" not in config.option.markexpr:
        left_out = [item for item in items if item.get_closest_marker("soak")]
        items[:] = [item for item in items if item not in left_out]
        config.hook.pytest_deselected(items=left_out)


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[SmallStore]":
    """A server of objects; `used_store` also sets the environment in which it is reached."""
    from small_store import SmallStore

    started = SmallStore(tmp_path_factory.mktemp("buckets"))
    yield started
    started.stop()


@pytest.fixture
def used_store(store: "SmallStore", tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> "Iterator[SmallStore]":
    """The server, with a cache of the test's own."""
    monkeypatch.setenv("SPECTRAL_SEARCH_CACHE", str(tmp_path / "cache"))
    with store.used():
        yield store


def pytest_collection_finish(session: pytest.Session) -> None:
    """Once all modules of tests, and all that they import, are there."""
    gc.collect()
    gc.freeze()  # none of it is garbage any more: a collection looks at what the tests themselves have made
    if "optuna" in sys.modules:
        from alembic.util import pyfiles

        # A study that is opened runs every file of its schema's history twice: here each file once a process. The one
        # that is no history but brings the database to it (env.py) is run each time.
        load = pyfiles.load_module_py
        once = functools.cache(load)
        pyfiles.load_module_py = lambda name, path: (load if Path(path).name == "env.py" else once)(name, path)

"""Sets up what every test relies on: helper modules that can be imported, threads that do not spin."""

import os
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # as the command line does, for the tests in this process
# What tests remember of their data is of no use in the user's own cache.
os.environ.pop("SPECTRAL_SEARCH_CACHE", None)
os.environ["XDG_CACHE_HOME"] = str(Path(tempfile.gettempdir()) / f"spectral-search-tests-{os.getuid()}")
sys.path.insert(0, str(Path(__file__).parent))

"""Sets up what every test relies on: helper modules that can be imported, threads that do not spin."""

import os
import sys
from pathlib import Path

os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # as the command line does, for the tests in this process
sys.path.insert(0, str(Path(__file__).parent))

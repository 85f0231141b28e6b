"""Products that go on while the process forks, as they do while Ray starts."""

import subprocess
import sys

FORKING = """
import os, subprocess, threading
import numpy as np
from spectral_search.search.forks import products_survive_forks

def multiply():
    for _ in range(60):
        big_NN @ big_NN

big_NN = np.ones((400, 400))
with products_survive_forks():
    thread = threading.Thread(target=multiply, daemon=True)
    thread.start()
    while thread.is_alive():
        # With something to do before it executes, Python forks as Ray does; without, it would call vfork.
        subprocess.run(["true"], preexec_fn=lambda: None, check=True)
"""


def test_a_product_in_another_thread_outlives_a_fork() -> None:
    """Without the limit it hangs wherever there are two cores."""
    subprocess.run([sys.executable, "-c", FORKING], check=True, timeout=60)

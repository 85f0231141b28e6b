# make run    environment, a simulated data set on first use, then a small staged search
# make test   lint and all tests          make fast   all tests but the slow ones
# make lint   ruff and mypy               make clean  remove the environment and what was built (never results)
# make soak   searches whose processes are killed, for half an hour (MINUTES=3: for three minutes)

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
# Exists once the environment holds what these two files ask for: a second make installs nothing.
STAMP := $(VENV)/installed.stamp
# Most tests wait for processes that start. More than a few at a time would let them run out of patience.
PARALLEL := --numprocesses logical --maxprocesses 4 --dist worksteal

MINUTES := 30

.PHONY: run test fast lint soak install clean

run: $(STAMP)
	$(BIN)/spectral-search run cnn_stage1a --quick

test: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/python -m pytest $(PARALLEL)

fast: $(STAMP)
	$(BIN)/python -m pytest $(PARALLEL) -m "not slow"

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

soak: $(STAMP)
	SOAK_MINUTES=$(MINUTES) $(BIN)/python -m pytest -m soak tests/end_to_end/test_soak.py

install: $(STAMP)

$(STAMP): requirements.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "no python3 found; set PYTHON=/path/to/python3.11"; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "$(PYTHON) is older than Python 3.11; set PYTHON=/path/to/python3.11"; exit 1; }
	"$(PYTHON)" -m venv $(VENV)
	$(BIN)/pip install --quiet --requirement requirements.txt
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache
	find spectral_search benchmarks tests -name __pycache__ -type d -prune -exec rm -rf {} +

# make demo    move real data through a whole stack, show it, stop
# make up      keep a stack running in the foreground (home: ~/.ingestion)
# make test    install what the tests need, run all of them
# make lint    ruff, mypy, import rules
# make bench   measure, and write benchmarks/RESULTS.md
# make clean   remove the environment and everything generated
#
# PYTHON=python3.12 selects another interpreter, ARGS="..." goes to the program that is run.

PYTHON ?= $(shell sh scripts/find_python.sh)
VENV ?= .venv
BIN = $(VENV)/bin
PIP = $(BIN)/python -m pip --disable-pip-version-check --no-input
ARGS ?=

.PHONY: demo up test lint bench lock clean

demo: $(VENV)/.demo
	$(BIN)/python -m examples.flights_demo $(ARGS)

up: $(VENV)/.demo
	$(BIN)/ingestion up $(ARGS)

test: $(VENV)/.test
	sh scripts/install_test_servers.sh
	$(BIN)/python scripts/install_bigquery_emulator.py
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile $(ARGS)

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.demo
	$(BIN)/python -m benchmarks $(ARGS)

lock: $(VENV)/.test
	sh scripts/lock_requirements.sh

clean:
	rm -rf $(VENV) .venv-bigquery build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3 ..." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "On Debian: apt-get install python3-venv" >&2; exit 1; }

# All of the pinned set at once; every file is checked against its hash, so nothing is left to resolve.
# Compiling to bytecode afterwards uses all cores; pip itself would use one.
$(VENV)/.demo: requirements/demo.txt pyproject.toml | $(BIN)/python
	$(PIP) install --quiet --require-hashes --no-deps --no-compile -r requirements/demo.txt
	$(PIP) install --quiet --no-deps --editable .
	-@$(BIN)/python -m compileall -q -j 0 $(VENV)/lib
	@touch $@

$(VENV)/.test: requirements/test.txt pyproject.toml | $(BIN)/python
	$(PIP) install --quiet --require-hashes --no-deps --no-compile -r requirements/test.txt
	$(PIP) install --quiet --no-deps --editable .
	-@$(BIN)/python -m compileall -q -j 0 $(VENV)/lib
	@touch $@

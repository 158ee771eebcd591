#: vmaild: many independent mail domains on one machine
#:
#:   make run      set everything up and serve a demo, in the foreground, until Ctrl-C
#:   make test     set everything up, check the code and run all tests
#:   make check    lint, format, types, direction of imports
#:   make bench    measure: speed, memory, scale
#:   make screenshots   take the pictures of docs/web.md anew
#:   make lock     resolve the dependencies anew and pin them in requirements/
#:   make clean    remove what these made: .venv, .cache, demo, coverage
#:
#: PYTHON=/path/to/python3.12 selects another interpreter, 3.11 or newer; ROOT=folder, where the demo is.

PYTHON ?= python3
ROOT   ?= demo
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip -qq --disable-pip-version-check

COVERAGE := $(BIN)/coverage

.DEFAULT_GOAL := help
.PHONY: help run test check pytest bytecode screenshots bench lock clean
.DELETE_ON_ERROR:

help:
	@sed -n 's/^#: \{0,1\}//p' $(firstword $(MAKEFILE_LIST))

run: $(VENV)/run bytecode
	@$(BIN)/vmail --root $(ROOT) init --demo
	@exec $(BIN)/vmail --root $(ROOT) serve

test: $(VENV)/dev
	@tools/debian-packages tests
	@$(MAKE) --no-print-directory check pytest

check: $(VENV)/dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

# The processes that tests start are measured, too: see tool.coverage in pyproject.toml. More at a time than there
# are cores, since many wait for the time limits of a peer. What pytest makes of a module is kept for the next run.
# Which tests stay together, as they share a server, and which come first, says tests/order.py.
pytest: $(VENV)/dev bytecode
	@rm -rf .coverage && mkdir .coverage
	@PYTHONDONTWRITEBYTECODE= $(COVERAGE) run -m pytest -n 4 $(PYTEST_ARGS); status=$$?; \
	$(COVERAGE) combine --quiet && \
	$(COVERAGE) report >.coverage/report.txt && \
	$(COVERAGE) json --quiet -o - | $(BIN)/python tools/coverage_floor.py 85 60 && \
	echo "coverage $$($(COVERAGE) report --format=total) %, by module in .coverage/report.txt" && \
	exit $$status

screenshots: $(VENV)/dev bytecode
	@$(BIN)/python -m tests.e2e.screenshots

bench: $(VENV)/dev bytecode
	@$(BIN)/python bench/run.py

# A delivery agent that compiles itself anew for each message would be slow, and the environment may forbid
# Python to leave compiled files behind; stale ones are recognised and made again.
bytecode: $(VENV)/run
	@$(BIN)/python -m compileall -q src

lock:
	uv pip compile --quiet $(LOCK_OPTIONS) pyproject.toml --group build -o requirements/run.txt
	uv pip compile --quiet $(LOCK_OPTIONS) pyproject.toml --group build --group dev -o requirements/dev.txt

LOCK_OPTIONS := --upgrade --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-emit-find-links --no-header --no-annotate

clean:
	rm -rf $(VENV) .cache demo .coverage .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The virtual environment grows by need: what the demo runs with, then what the tests need. Each stamp is newer
# than all that it was made from.

$(VENV)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	{ echo "$(PYTHON) is missing or older than Python 3.11: make PYTHON=/path/to/python3.11 ..." >&2; exit 1; }
	@tools/debian-packages venv "$(PYTHON)"
	@echo "Creating $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/run: requirements/run.txt pyproject.toml src/vmaild/__init__.py $(wildcard scripts/*) | $(VENV)/python
	@echo "Installing what vmaild needs"
	@$(PIP) install --require-hashes -r requirements/run.txt
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/dev: requirements/dev.txt $(VENV)/run
	@echo "Installing what its tests need"
	@$(PIP) install --require-hashes -r requirements/dev.txt
	@touch $@

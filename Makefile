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

# What has nothing to do with one another goes on at the same time: Debian's packages and Python's, the check of
# the code, which has to wait for them, and the first tests. Only one of them is told of as it goes; the other says what is wrong when it is done.
test: $(VENV)/python
	@tools/debian-packages tests & debian=$$!; \
	$(MAKE) --no-print-directory $(VENV)/dev; status=$$?; wait $$debian && exit $$status
	@mkdir -p .cache; { nice -n 10 $(MAKE) --no-print-directory check >.cache/check 2>&1; status=$$?; \
	cat .cache/check; exit $$status; } & checked=$$!; \
	$(MAKE) --no-print-directory pytest; status=$$?; wait $$checked && exit $$status

check: $(VENV)/dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

# The processes that tests start are measured, too: see tool.coverage in pyproject.toml. More at a time than there
# are cores, since many wait for the time limits of a peer. What pytest makes of a module is kept: tests are collected
# once before, or else each process would make it anew.
# Which tests stay together, as they share a server, and which come first, says tests/order.py.
pytest: $(VENV)/dev bytecode
	@rm -rf .coverage && mkdir .coverage
	@PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -q --collect-only $(PYTEST_ARGS) >.coverage/collected || \
	{ cat .coverage/collected; exit 1; }
	@PYTHONDONTWRITEBYTECODE= $(COVERAGE) run -m pytest -n 4 $(PYTEST_ARGS); status=$$?; \
	$(COVERAGE) combine --quiet && \
	$(COVERAGE) json --quiet -o - | $(BIN)/python tools/coverage_floor.py .coverage/report.txt 90 60 && \
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

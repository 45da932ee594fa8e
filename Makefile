# make run [DIR=/some/folder]   set up what running needs, then watch DIR
# make test                     set up everything, then run every test
# The rest is for those who change the code: install, lint, check, coverage, test-long, bench, accuracy, lock, clean.

DIR    ?= incoming
PYTHON ?= python3
VENV   := .venv
PY     := $(VENV)/bin/python
# Empty files that say what .venv holds. Both lock files agree on every version, so .venv only ever grows:
# after `make test`, `make run` finds all it needs and installs nothing.
RUN    := $(VENV)/.holds-run
DEV    := $(VENV)/.holds-dev
PIP    := $(PY) -m pip --disable-pip-version-check install --quiet

.PHONY: run install lint check test coverage test-long bench accuracy lock clean
.DEFAULT_GOAL := run

run: $(RUN)
	@[ "$(DIR)" != incoming ] || mkdir -p incoming
	@exec $(VENV)/bin/sluice run "$(DIR)"

install: $(DEV)

lint: $(DEV)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports --no-logo

check: lint
	$(PY) -m pytest -q tests/unit tests/house

test: $(DEV)
	$(PY) -m pytest

coverage: $(DEV)
	$(VENV)/bin/coverage erase
	$(VENV)/bin/coverage run -m pytest -q tests/unit tests/property tests/contract
	$(VENV)/bin/coverage combine --quiet
	$(VENV)/bin/coverage report

# Ten times the kills, mutants and repeats, and the long Hypothesis profile.
test-long: $(DEV)
	SLUICE_SCALE=$${SLUICE_SCALE:-10} $(PY) -m pytest

bench: $(DEV)
	$(PY) -m benchmarks

# How far we agree with exiftool and ffprobe; SLUICE_CORPUS names a directory of files with what both say of them.
accuracy: $(DEV)
	$(PY) -m benchmarks.accuracy

lock:
	scripts/lock

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage .coverage.* htmlcov
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(PY):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	  || { echo "mediasluice needs Python 3.11 or newer; say which one: make PYTHON=/path/to/python3.12 ..." >&2; exit 1; }
	@echo "setting up $(VENV): the first time takes a minute"
	@$(PYTHON) -m venv $(VENV)

$(RUN): requirements.lock pyproject.toml | $(PY)
	@$(PIP) --require-hashes -r requirements.lock
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

$(DEV): requirements-dev.lock requirements.lock pyproject.toml | $(PY)
	@$(PIP) --require-hashes -r requirements-dev.lock
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $(RUN) $@

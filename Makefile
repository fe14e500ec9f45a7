# What this project can do: `make` prints the list.
# Needs nothing but make and Python 3.11, 3.12 or 3.13 with venv. Paths are relative: the folder may have spaces.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# Another interpreter: make run PYTHON=python3.12 (an existing .venv stays as it is: make clean first)
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3 python; do \
  $$p -c '$(SUITABLE)' 2>/dev/null && { echo $$p; break; }; done)
SUITABLE = import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
# Workers of make test
JOBS ?= auto
# Further arguments: make test ARGS="-k goods"
ARGS ?=

PY := .venv/bin/python
# An environment whose interpreter is gone (Python upgraded or removed) is made anew.
BROKEN := $(shell $(PY) -c '' 2>/dev/null || echo yes)
# Written last, so that an interrupted installation is taken up again.
TOOLS := .venv/.tools-installed
PACKAGES := .venv/.packages-installed
DEV_PACKAGES := .venv/.dev-packages-installed
BENCH_PACKAGES := .venv/.bench-packages-installed

# Neither another active environment nor someone's pipenv settings may lead the installation elsewhere.
unexport VIRTUAL_ENV PYTHONHOME PYTHONPATH PIP_USER PIP_TARGET PIP_PREFIX PIP_REQUIRE_VIRTUALENV
unexport $(filter-out PIPENV_PYPI_MIRROR PIPENV_CACHE_DIR PIPENV_TIMEOUT PIPENV_MAX_RETRIES,$(filter PIPENV_%,$(.VARIABLES)))
export PIPENV_VENV_IN_PROJECT := 1
export PIPENV_IGNORE_VIRTUALENVS := 1
export PIPENV_DONT_LOAD_ENV := 1
export PIPENV_NOSPIN := 1
export PIPENV_VERBOSITY := -1
export PIPENV_YES := 1
export PIP_NO_INPUT := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# pipenv reads pip's configuration files before the environment; for pip the environment comes first.
SYNC = PIPENV_PYPI_MIRROR="$${PIPENV_PYPI_MIRROR:-$$PIP_INDEX_URL}" $(PY) -m pipenv sync

##@ Use it
.PHONY: help
help:  ## Print this list
	@awk 'BEGIN { FS = ":.*## " } /^##@ / { printf "\n%s\n", substr($$0, 5) } \
	  /^[a-z-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' Makefile

.PHONY: run
run: $(PACKAGES)  ## Serve on http://127.0.0.1:8010, with a filled SQLite database (APP_HOST, APP_PORT)
	@exec $(PY) main.py serve $(ARGS)

.PHONY: migrate
migrate: $(PACKAGES)  ## Bring the database to the current schema
	@$(PY) main.py migrate $(ARGS)

.PHONY: seed
seed: $(PACKAGES)  ## Fill an empty database with the demo catalogue
	@$(PY) main.py seed $(ARGS)

##@ Work on it
.PHONY: test
test: $(DEV_PACKAGES)  ## Run the tests in parallel and in random order (ARGS="-k goods")
	@$(PY) -m pytest --numprocesses=$(JOBS) --maxprocesses=8 --dist=worksteal -m 'not faults' $(ARGS)

# Apart, because on Python 3.11 a traced run may hang: CPython makes pending calls again and again when greenlet ends threads.
.PHONY: coverage
coverage:  ## Run the tests and say which lines none of them runs
	@$(MAKE) test ARGS='--cov $(ARGS)'

.PHONY: faults
faults: $(DEV_PACKAGES)  ## Kill, stop and slow what shop and chat need: what was promised must hold
	@$(PY) -m pytest --numprocesses=$(JOBS) --maxprocesses=8 --dist=worksteal -m faults $(ARGS)

.PHONY: check
check: lint types  ## lint and types

.PHONY: lint
lint: $(DEV_PACKAGES)  ## Style, formatting, import direction, unsafe calls, lock in step with Pipfile
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -c 'from importlinter.cli import lint_imports_command as lint; lint()' --no-logo --cache-dir .cache/import-linter
	@$(PY) -m bandit --quiet --configfile pyproject.toml --recursive api commands extensions settings utils main.py
	@$(PY) .ci/lock.py --verify

.PHONY: types
types: $(BENCH_PACKAGES)  ## Check the types, the benchmarks' too
	@$(PY) -m mypy

.PHONY: audit
audit: $(DEV_PACKAGES)  ## Ask OSV for known vulnerabilities of what Pipfile.lock names (ARGS="--ignore-vuln ID")
	@$(PY) .ci/audit.py $(ARGS)

.PHONY: format
format: $(DEV_PACKAGES)  ## Format, and mend what can be mended
	@$(PY) -m ruff check --fix-only --exit-zero .
	@$(PY) -m ruff format .

.PHONY: bench
bench: $(BENCH_PACKAGES)  ## Measure requests per second against the peers (see bench/README.md)
	@$(PY) -m bench.http $(ARGS)

.PHONY: lock
lock: $(TOOLS)  ## Lock the newest packages that Pipfile allows, naming no package index
	@$(PY) .ci/lock.py

.PHONY: vendor
vendor:  ## Fetch the newest Swagger UI and ReDoc into api/static/vendor (needs npm)
	@api/static/vendor/refresh.sh

.PHONY: install
install: $(DEV_PACKAGES)  ## Only make .venv, with everything in it

.PHONY: ci
ci:  ## What the continuous integration runs
	@.ci/run

.PHONY: clean
clean:  ## Remove .venv and caches; databases and pictures in var/ stay
	rm -rf .venv .cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# -- the environment -------------------------------------------------------------------------------------------------

ifneq ($(BROKEN),)
.PHONY: $(TOOLS)
endif

$(TOOLS):
	@if ! { $(PY) -c '$(SUITABLE)' && $(PY) -m pip --version; } >/dev/null 2>&1; then \
	  '$(PYTHON)' -c '$(SUITABLE)' 2>/dev/null || { \
	    echo 'No suitable Python: 3.11, 3.12 or 3.13 with the venv module is needed (on Debian: apt install python3-venv).'; \
	    echo 'If it is not on PATH, name it: make run PYTHON=/path/to/python3.13'; exit 1; } >&2; \
	  echo 'Making .venv with $(PYTHON)'; \
	  '$(PYTHON)' -m venv --clear .venv || exit 1; \
	fi
	@$(PY) -m pip install --quiet 'pipenv ~= 2026.10'
	@touch $@

$(PACKAGES): $(TOOLS) Pipfile.lock
	@echo 'Installing what Pipfile.lock names'
	@$(SYNC)
	@touch $@

$(DEV_PACKAGES): $(PACKAGES)
	@echo 'Installing the tools of the tests and checks'
	@$(SYNC) --dev
	@touch $@

$(BENCH_PACKAGES): $(DEV_PACKAGES)
	@$(SYNC) --categories bench
	@touch $@

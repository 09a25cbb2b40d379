# `make` alone lists the commands. Needs Python 3.11 or newer and, on Debian or Ubuntu, apt.

FIND_PYTHON = for name in python3 python3.14 python3.13 python3.12 python3.11; do \
  $$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { command -v $$name; break; }; done
ifndef PYTHON
PYTHON = $(eval PYTHON := $$(shell $$(FIND_PYTHON)))$(PYTHON)# looked for once, when first needed
endif
VENV := .venv/bin
SEED ?= 1
# Three processes: two for what needs the Docker Engine and mostly waits, one for the rest (tests/conftest.py). -n 0
# turns it off. The commands under test start hundreds of times, so they may keep what Python compiled.
unexport PYTHONDONTWRITEBYTECODE
PYTEST := $(VENV)/pytest -n 3 --dist loadgroup --no-loadscope-reorder
PYTEST_ARGS ?=
BENCH_ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup packages demo test test-all lint format schema reference sim bench bench-scheduler clean python

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: python ## install what is missing: virtual environment, packages, etcd, Docker Engine
	@$(PYTHON) -m tools.setup

demo: setup ## start a one-machine cluster, run the example tasks, take all down again
	@$(VENV)/python -m tools.demo

test: setup ## run the tests against real etcd and real Docker, without the slow ones
	@$(VENV)/python -m tools.registry
	@$(VENV)/python -m tools.with_backends $(PYTEST) -m "not slow" $(PYTEST_ARGS)

test-all: setup ## run all tests
	@$(VENV)/python -m tools.registry
	@$(VENV)/python -m tools.with_backends $(PYTEST) $(PYTEST_ARGS)

lint: packages ## check format, style, types, import rules and pinned versions
	$(VENV)/ruff format --check .
	$(VENV)/ruff check .
	$(VENV)/mypy
	$(VENV)/lint-imports
	$(VENV)/python -m tools.constraints

format: packages ## format the code and fix what can be fixed mechanically
	$(VENV)/ruff format .
	$(VENV)/ruff check --fix .

schema: packages ## write manifests/schema: the JSON Schema of every kind, for editors
	@$(VENV)/python -m tools.schema

reference: packages ## write docs/reference: the pages that are made from the code
	@$(VENV)/python -m tools.reference

sim: packages ## run the simulation and print its story: make sim SEED=7
	$(VENV)/python -m sim --seed $(SEED)

bench: setup ## measure against peers and limits, about 12 minutes, and write docs/performance.md
	@$(VENV)/python -c "import matplotlib" 2>/dev/null || \
	  $(VENV)/python -m pip --quiet --disable-pip-version-check install --cache-dir build/pip -c constraints.txt -e ".[bench]"
	@$(VENV)/python -m bench $(BENCH_ARGS)

bench-scheduler: packages ## measure the scheduler alone, about 6 minutes, and write docs/scheduler-performance.md
	@$(VENV)/python -c "import matplotlib" 2>/dev/null || \
	  $(VENV)/python -m pip --quiet --disable-pip-version-check install --cache-dir build/pip -c constraints.txt -e ".[bench]"
	@$(VENV)/python -m bench.scheduler $(BENCH_ARGS)

clean: python ## end what crashed runs left; remove build, virtual environment and caches
	@$(PYTHON) -m tools.private clean
	rm -rf build .venv .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

packages: python
	@$(PYTHON) -m tools.setup packages

python:
	@test -n "$(PYTHON)" || { echo "error: Berth needs Python 3.11 or newer; install it, or run: make PYTHON=/path/to/python" >&2; exit 1; }

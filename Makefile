# Every command of the project. `make help` lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := .uv/bin/uv
export UV_PYTHON_DOWNLOADS := never
export PYTHON
# The platform prints progress; a buffered pipe would hide it.
export PYTHONUNBUFFERED := 1
# A machine that keeps no compiled modules would compile Dagster anew in each of the hundreds of processes of a test run.
unexport PYTHONDONTWRITEBYTECODE

TORCH := $(CURDIR)/.venv-torch/bin/python

# Whole platforms run when the other tests have ended: two at a time leave no room for a third process.
WHOLE := tests/e2e

.DEFAULT_GOAL := help
.PHONY: help up down setup setup-dev setup-torch setup-clients setup-feast console check test budget docs bench lock clean

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

up: setup console ## Start the platform (DETACH=1: return when it is ready and the sample has run)
	@$(BIN)/headwater up $(if $(DETACH),--detach)

down: ## Stop the platform
	@$(BIN)/headwater down

setup: $(VENV)/.base ## Install what the platform needs into .venv

setup-dev: $(VENV)/.dev

setup-torch: .venv-torch/.ready ## Install PyTorch (5 GB) into .venv-torch, for GPU training

setup-clients: .venv-clients/.ready ## Install the clients of other systems into .venv-clients, for their tests

setup-feast: .venv-feast/.ready ## Install Feast into .venv-feast, for the tests of its client

console: web/dist/.built ## Build the web console, which the API serves at /

check: setup-dev ## Lint, types, import contracts and the fast tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -m "not slow" -q

test: setup-dev setup-torch setup-clients setup-feast console ## Everything that must hold; brings what it needs
	@sh tests/provide.sh
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	sh web/with-node.sh npm run --silent check
	sh web/with-node.sh npm run --silent test
	HEADWATER_TORCH_PYTHON=$(TORCH) $(BIN)/python -m tests.second_run -n 2 --dist loadfile --no-loadscope-reorder --durations=25 --cost=.pytest_cache/cost.json --ignore=$(WHOLE)
	HEADWATER_TORCH_PYTHON=$(TORCH) $(BIN)/python -m tests.second_run -n 2 --dist loadfile --no-loadscope-reorder --durations=10 --cost=.pytest_cache/whole.json $(WHOLE)
	$(BIN)/python -m tests.projection .pytest_cache/cost.json .pytest_cache/whole.json
	$(BIN)/python -m tests.budget .pytest_cache/cost.json

budget: setup-dev ## Measure the start, the documents and the conformance suite at 2,400 made-up operations, and project
	$(BIN)/python -m tests.grown.proof
	$(BIN)/python -m pytest -q --grown --cost=.pytest_cache/grown.json tests/conformance
	@test -f .pytest_cache/whole.json || echo "The projection needs the figures of make test."
	@test ! -f .pytest_cache/whole.json || $(BIN)/python -m tests.projection .pytest_cache/cost.json .pytest_cache/whole.json .pytest_cache/grown.json

# The peer of the federated bench; the simulation needs Ray, which Headwater does without.
.venv-ray/.ready: requirements/dev.txt | $(UV)
	$(UV) venv --quiet --allow-existing --python $(PYTHON) .venv-ray
	$(UV) pip install --quiet --python .venv-ray/bin/python -c requirements/dev.txt "flwr[simulation]" safetensors
	@touch $@

docs: setup-dev ## Write the generated reference pages
	$(BIN)/python docs/generate.py

bench: setup-dev .venv-ray/.ready ## Measure against the peers and write docs/reference/benchmarks.md
	FLOWER_SIMULATION_PYTHON=$(CURDIR)/.venv-ray/bin/python $(BIN)/python tests/bench/report.py

lock: $(VENV)/.dev ## Resolve the dependencies anew
	$(UV) pip compile -q --upgrade --no-emit-index-url --no-annotate --no-header pyproject.toml -o requirements/base.txt
	$(UV) pip compile -q --upgrade --no-emit-index-url --no-annotate --no-header --extra dev -c requirements/base.txt pyproject.toml -o requirements/dev.txt
	$(UV) pip compile -q --upgrade --no-emit-index-url --no-annotate --no-header requirements/clients.in -o requirements/clients.txt
	$(UV) pip compile -q --upgrade --no-emit-index-url --no-annotate --no-header requirements/feast.in -o requirements/feast.txt

clean: ## Remove the environments and everything generated
	rm -rf .venv .venv-torch .venv-clients .venv-feast .venv-ray .node web/node_modules web/dist .uv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache *.egg-info

$(UV):
	@$(PYTHON) -c 'import sys; assert (3, 11) <= sys.version_info < (3, 13), "Headwater needs Python 3.11 or 3.12"'
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --target .uv uv

$(VENV)/bin/python: | $(UV)
	$(UV) venv --quiet --python $(PYTHON) $(VENV)

$(VENV)/.base: requirements/base.txt pyproject.toml | $(VENV)/bin/python
	$(UV) pip install --quiet --python $(BIN)/python -r requirements/base.txt
	$(UV) pip install --quiet --python $(BIN)/python --no-deps --config-setting editable_mode=compat -e .
	@touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.base
	$(UV) pip install --quiet --python $(BIN)/python -r requirements/dev.txt
	@touch $@

web/node_modules/.installed: web/package.json web/package-lock.json | $(UV)
	sh web/with-node.sh npm ci --silent
	@touch $@

CONSOLE := $(shell find web -name node_modules -prune -o -name dist -prune -o -name generated -prune -o -type f -print)

web/dist/.built: web/node_modules/.installed $(CONSOLE)
	sh web/with-node.sh npm run --silent build
	@touch $@

# Clients need other versions of libraries than the platform, as on a user's own machine.
.venv-clients/.ready: requirements/clients.txt | $(UV)
	$(UV) venv --quiet --allow-existing --python $(PYTHON) .venv-clients
	$(UV) pip install --quiet --python .venv-clients/bin/python -r requirements/clients.txt
	@touch $@

# Feast needs an earlier pandas than the other clients.
.venv-feast/.ready: requirements/feast.txt | $(UV)
	$(UV) venv --quiet --allow-existing --python $(PYTHON) .venv-feast
	$(UV) pip install --quiet --python .venv-feast/bin/python -r requirements/feast.txt
	@touch $@

.venv-torch/.ready: requirements/torch.txt | $(UV)
	$(UV) venv --quiet --allow-existing --python $(PYTHON) .venv-torch
	$(UV) pip install --quiet --python .venv-torch/bin/python -r requirements/torch.txt
	@touch $@

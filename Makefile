# `make` lists the targets. Everything happens in .venv; nothing needs root, except `test-deps` on Debian.

PYTHON ?= python3
LISTEN ?= 127.0.0.1:8080
SEEDS ?= 1-20
CHAOS ?=
BENCH ?=
COMPOSE ?= $(shell docker compose version >/dev/null 2>&1 && echo docker compose || echo docker-compose)
BIN := .venv/bin
.DEFAULT_GOAL := help
.PHONY: help install install-dev demo env up down test test-deps check format lock render pictures bench bench-collector chaos clean

help: ## List the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-15s %s\n", $$1, $$2}'

install: .venv/.installed ## Create .venv with the haina command in it, from the hashed lock file

install-dev: .venv/.installed-dev ## The same, with what tests and checks need

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Haina needs Python 3.11 or newer; $(PYTHON) is older. Try: make PYTHON=python3.12 install"; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
	  || { echo "This Python lacks the venv module; on Debian and Ubuntu: apt install python3-venv"; exit 2; }
	$(PYTHON) -m venv .venv

.venv/.installed: requirements.lock pyproject.toml | .venv/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

.venv/.installed-dev: .venv/.installed requirements-dev.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@

demo: install ## Run the whole town on this machine; the console is at http://127.0.0.1:8080 (LISTEN=host:port)
	@$(BIN)/haina demo --listen $(LISTEN)

env: ## Make .env: random passwords for the full stack
	@sh deploy/generate-env.sh

up: ## Build and start the full stack with Docker Compose: docs/full-stack.md
	$(COMPOSE) build
	$(COMPOSE) up --detach
	@echo "Console http://127.0.0.1:8080, Grafana http://127.0.0.1:3000, unless .env says otherwise; passwords are there."

down: ## Stop the full stack; its data stays
	$(COMPOSE) down

test: install-dev test-deps ## Run the tests, on real brokers, stores and a real browser
	$(BIN)/python -m pytest

test-deps: ## Install the Debian packages that tests use, when root on Debian; else say what is skipped
	@sh tests/debian-packages.sh

check: install-dev ## Style, types and architecture: ruff, mypy --strict, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/haina dashboards render --check

format: install-dev ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: ## Renew both lock files (needs uv)
	uv pip compile --quiet --no-header --generate-hashes --universal --python-version 3.11 --extra build pyproject.toml -o requirements.lock
	uv pip compile --quiet --no-header --generate-hashes --universal --python-version 3.11 --extra build --extra dev pyproject.toml -o requirements-dev.lock

render: install ## Render the Grafana dashboards from the panels
	$(BIN)/haina dashboards render

pictures: install-dev ## Take the README's pictures anew, of a real demo
	$(BIN)/python -m tests.dashboards.pictures

bench: install-dev ## Measure against named peers, in one run
	$(BIN)/python -m benchmarks

bench-collector: install-dev ## What a reading costs the collector, against its peers (HAINA_BENCH_TELEGRAF, HAINA_BENCH_INFLUXD name binaries)
	$(BIN)/python -m benchmarks.collector $(BENCH)

chaos: install-dev test-deps ## Break the line at random and judge what is kept: SEEDS=1-20, CHAOS=--full for long outages
	$(BIN)/python -m tests.chaos --seeds $(SEEDS) $(CHAOS)

clean: ## Remove .venv, caches and build results; data/ stays
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

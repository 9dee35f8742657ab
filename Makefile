# Two commands for a new user: `make run`, `make test`. Everything else is below them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help install run ui test lint soak bench clean

help: ## this list
	@awk -F':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(READY) ## create .venv with the pinned dependencies

$(READY): constraints.txt pyproject.toml
	@test -x $(BIN)/python || { echo "Creating $(VENV) …"; $(PYTHON) -m venv $(VENV); }
	@echo "Installing pinned dependencies (two minutes the first time) …"
	@$(BIN)/python -m pip install --disable-pip-version-check --quiet --progress-bar on --require-hashes -r constraints.txt
	@$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --editable .
	@touch $(READY)

run: $(READY) ## the demo world, several hours of it; or SOURCE=DIR [AS_OF=INSTANT] for a folder of your own
ifdef SOURCE
	@$(BIN)/lifecycle folder "$(SOURCE)" $(if $(AS_OF),--as-of "$(AS_OF)")
else
	@$(BIN)/lifecycle demo
endif

ui: $(READY) ## Dagster's webserver and daemon with the hourly schedule, and the gateway; Ctrl-C stops all
	@$(BIN)/lifecycle ui

test: $(READY) lint ## lint, types, layers and every test but the long sweeps
	@$(BIN)/python -m pytest -m "not soak" -n 2 --dist loadfile

lint: $(READY) ## ruff, pyright, sqlfluff, import-linter
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports
	@$(BIN)/pyright
	@$(BIN)/sqlfluff lint dbt_project/models dbt_project/tests

soak: $(READY) ## the long sweeps: kill -9 thirty times, large worlds
	@$(BIN)/python -m pytest -m soak

bench: $(READY) ## CPU seconds, wall and peak memory; nothing is asserted
	@for file in tests/bench/bench_*.py; do $(BIN)/python -m tests.bench.$$(basename $$file .py) || exit 1; done

clean: ## remove the environment and everything runs made here
	rm -rf $(VENV) .lifecycle

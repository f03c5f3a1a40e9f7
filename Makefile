# Every target has a line of help: `make help` prints them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# Without byte-code every import of TensorFlow or Airflow costs seconds more.
unexport PYTHONDONTWRITEBYTECODE

PYTHON := $(shell for p in python3.11 python3 python; do $$p -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
BIN := .venv/bin
DATA ?=
CALENDAR ?=
SYMBOLS ?= 10000
SESSIONS ?= 730

.PHONY: help demo up down test lint types layers format lock clean

help: ## Print this help
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

demo: .venv/runtime ## Show the whole system at work: make demo [DATA=file or folder] [CALENDAR=XNYS] [SYMBOLS=10000]
	@$(BIN)/closecast demo $(if $(DATA),--data "$(DATA)") $(if $(CALENDAR),--calendar $(CALENDAR)) --symbols $(SYMBOLS) --sessions $(SESSIONS)

up: .venv/runtime ## Start Airflow and MLflow and leave them running
	@$(BIN)/closecast up --detach

down: .venv/runtime ## Stop what `make up` started
	@$(BIN)/closecast down

test: .venv/dev ## Run the tests
	@$(BIN)/pytest -q

lint: .venv/dev ## Check style and format
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

types: .venv/dev ## Check types, strictly, in include/ and models/
	@$(BIN)/mypy

layers: .venv/dev ## Check which layer imports which
	@$(BIN)/lint-imports

format: .venv/dev ## Put the code into its format
	@$(BIN)/ruff check --fix . && $(BIN)/ruff format .

lock: .venv/dev ## Compile requirements.txt and requirements-dev.txt from pyproject.toml, with the newest versions allowed
	@$(BIN)/uv pip compile pyproject.toml --upgrade --python-version 3.11 --generate-hashes --no-header --quiet --output-file requirements.txt
	@$(BIN)/uv pip compile pyproject.toml --extra dev --constraint requirements.txt --upgrade --python-version 3.11 --generate-hashes --no-header --quiet --output-file requirements-dev.txt
	@$(BIN)/uv pip compile tests/s3/requirements.in --upgrade --python-version 3.11 --generate-hashes --no-header --quiet --output-file tests/s3/requirements.txt

clean: ## Remove the virtual environment and caches; state in .closecast stays
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache *.egg-info

.venv/bin/uv: requirements-dev.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 is needed and was not found: install it (Debian: apt install python3.11 python3.11-venv; macOS: brew install python@3.11)" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || { rm -rf .venv; echo "Python's venv module is needed: apt install python3.11-venv" >&2; exit 1; }
	@awk '/^uv==/ {found = 1} found {print} found && !/\\$$/ {exit}' requirements-dev.txt > .venv/uv.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement .venv/uv.txt
	@touch $@

.venv/runtime: requirements.txt pyproject.toml .venv/bin/uv
	@echo "Installing the locked requirements into .venv (about a minute from a warm cache) ..." >&2
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes --compile-bytecode --requirement requirements.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --config-settings editable_mode=compat --editable .
	@touch $@

.venv/dev: requirements-dev.txt .venv/runtime .venv/s3/bin/moto_server
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes --compile-bytecode --requirement requirements-dev.txt
	@touch $@

# The S3 server of the tests has an environment of its own: it and Great Expectations want different python-dateutil.
.venv/s3/bin/moto_server: tests/s3/requirements.txt .venv/bin/uv
	@$(BIN)/uv venv --quiet --allow-existing --python $(BIN)/python .venv/s3
	@$(BIN)/uv pip install --quiet --python .venv/s3/bin/python --require-hashes --requirement tests/s3/requirements.txt
	@touch $@

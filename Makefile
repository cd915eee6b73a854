# Zhilu from a fresh clone: `make demo`. Needs Python 3.11 or newer and make; the rest is fetched, pinned and checked by hash.
#
#   make setup   the environment in .venv, front-end packages in node_modules, Debian packages where it may
#   make demo    server, broker and two virtual recorders on this machine; Ctrl-C ends it   (ARGS="--once --seconds 8")
#   make test    all tests                                                                  (ARGS="tests/provisioning -x")
#   make check   all linters
#   make bench   the figures that we promise
#   make torture everything broken on purpose; prints a table, writes build/torture.json    (ARGS="--only guard --seed 2")
#   make lock    pin new versions (constraints.txt, package-lock.json)
#   make clean   remove what make made; recordings and packages of the demonstration stay

SHELL       := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS   += --no-print-directory --no-builtin-rules
.DEFAULT_GOAL := help

# PYTHON=… chooses one; else the first that is new enough.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$p" && break; done)
BIN    := .venv/bin
ARGS   ?=

.PHONY: help setup demo test check format bench torture lock clean

help:
	@sed -n '3,/^$$/s/^# \{0,1\}//p' Makefile

# ---------------------------------------------------------------- set-up; each step leaves a stamp, so that a second one costs nothing

setup: .venv/stamp.apt .venv/stamp.python node_modules/stamp

.venv/bin/python:
	@[[ -n "$(PYTHON)" ]] || { echo "setup: Python 3.11 or newer is needed and none was found; name one: make setup PYTHON=/path/to/python3" >&2; exit 1; }
	@echo "setup: environment in .venv ($$($(PYTHON) --version))"
	@$(PYTHON) -m venv .venv || { rm -rf .venv; echo "setup: this Python cannot make environments; on Debian: sudo apt install python3-venv" >&2; exit 1; }

# Without the right to install, the missing packages are named and the rest goes on: what needs them says so when it is used.
.venv/stamp.apt: provisioning/apt.txt provisioning/apt.sh | .venv/bin/python
	@provisioning/apt.sh && touch $@ || [[ $$? -eq 3 ]]

.venv/stamp.python: constraints.txt pyproject.toml provisioning/pins.py | .venv/bin/python
	@echo "setup: Python packages, checked by hash"
	@$(BIN)/python provisioning/pins.py dev build > .venv/pins.txt
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r .venv/pins.txt
	@$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

node_modules/stamp: package-lock.json package.json provisioning/npm.sh | .venv/stamp.python
	@echo "setup: front-end packages"
	@provisioning/npm.sh $(BIN)/python
	@touch $@

# ---------------------------------------------------------------- use

demo: setup
	@exec $(BIN)/zhilu demo $(ARGS)

test: setup
	@exec $(BIN)/python -m pytest $(ARGS)

check: setup
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: setup
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: setup
	@exec $(BIN)/python -m benchmarks $(ARGS)

torture: setup
	@exec $(BIN)/python -m simulators.torture $(ARGS)

# Versions are chosen by hand: edit pyproject.toml or package.json, then lock. UPGRADE=--upgrade takes the newest that fit.
lock: setup
	@$(BIN)/python provisioning/pins.py lock > .venv/pins-lock.txt
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r .venv/pins-lock.txt
	@$(BIN)/uv pip compile -q --universal --generate-hashes --no-header --no-emit-index-url --no-emit-find-links \
		--python-version 3.11 --all-extras $(UPGRADE) -o constraints.txt pyproject.toml > /dev/null
	@npm install --package-lock-only --ignore-scripts --no-audit --no-fund --loglevel=error > /dev/null

clean:
	@rm -rf .venv node_modules build *.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .schemathesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

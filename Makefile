# MageFlow operator. `make` lists the targets.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
export PYTHONPATH := .:hack

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## Make .venv with the locked dependencies
$(READY): requirements/dev.txt pyproject.toml
	@echo "setup: making $(VENV) from requirements/dev.txt (about half a minute)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

LOCK := $(BIN)/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras --no-header --no-emit-options \
  --no-emit-index-url --no-emit-trusted-host
lock: setup ## Write requirements/ anew from pyproject.toml (versions and hashes, no addresses)
	$(LOCK) --extra operator --extra cli --extra dev -o requirements/dev.txt pyproject.toml
	$(LOCK) --extra operator --constraint requirements/dev.txt -o requirements/operator.txt pyproject.toml
	$(LOCK) --only-build-deps --build-deps-for wheel --constraint requirements/dev.txt -o requirements/build.txt \
	  pyproject.toml

cluster-up: setup ## Start a cluster: $$KUBECONFIG with CLUSTER=current, kind if Docker runs, else a local one with real pods
	@$(BIN)/python -m localcluster up

cluster-down: setup ## Stop it and leave nothing behind
	@$(BIN)/python -m localcluster down

generate: setup ## Write what is generated anew: CRDs, the chart's dashboard and README, Argo CD's ConfigMap, two pages of docs/
	@$(BIN)/python -m generate

verify: setup ## Fail if what is generated differs from what is committed
	@$(BIN)/python -m generate --check

lint: setup
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache

check: lint verify ## The one command before a commit: linters, types, generated files, fast tests
	@$(BIN)/pytest -q tests --ignore tests/integration

test: setup ## Everything: fast tests, a real API server, real pods
	@$(BIN)/python -m localcluster build
	@$(BIN)/pytest -n 3 tests e2e

e2e-install: setup ## Of these, the chart: installed, upgraded, uninstalled and installed again, with the image built here
	@$(BIN)/python -m localcluster build
	@$(BIN)/pytest e2e/test_install.py

nightly: setup ## The model at length, each adversary at each point; what takes long on real pods
	@MAGEFLOW_STEPS=50000 MAGEFLOW_EVERY=1 $(BIN)/pytest tests/model
	@$(BIN)/python -m localcluster build
	@$(BIN)/pytest -m nightly e2e

bench: setup ## Measure latency, CPU and memory beside a bare script; writes docs/performance.md (about 25 minutes)
	@$(BIN)/python -m localcluster build
	@$(BIN)/python -m bench

demo: setup ## Every transition of every kind, on a real cluster
	@$(BIN)/python -m demo

krew: setup ## Build kubectl-mageflow for krew, for this machine, and the manifest: make krew URL=https://...
	@$(BIN)/python integrations/krew/build.py --url "$(URL)"

.PHONY: help setup lock cluster-up cluster-down generate verify lint check test e2e-install nightly bench demo krew

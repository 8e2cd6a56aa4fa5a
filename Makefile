# The entry for people and for CI. `make help` lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: env demo test lint audit ansible-env audit-packages fault fuzz bench cluster-demo pretrain schemas docs wheel lock clean help

BIN := .venv/bin
PYTHON ?= python3
# How many tests run at the same time; each may take 2 GB of memory.
JOBS ?= 2
ROOMS := models trainer edge deploy dashboard demo pretraining
# What to give pytest, e.g. make test ARGS="tests/unit -k boxes"
ARGS ?=
# cpu, cuda, or a folder with wheels of torch and torchvision
TORCH ?=
# How long `make fuzz` tries examples; the failures in .hypothesis/examples come first
FUZZ_MINUTES ?= 10
# One property alone may take all the time, and five minutes more to make a failure small.
FUZZ_TIMEOUT_S = $(shell expr $(FUZZ_MINUTES) \* 60 + 360)
# ONCE=1 makes the demo end by itself, as CI wants it
ONCE ?=
# DAY_ONE=1: the demo with photos of good parts alone
DAY_ONE ?=

env: ## create .venv with every locked package (TORCH=cpu: without CUDA libraries)
	@PYTHON=$(PYTHON) TORCH=$(TORCH) requirements/make_env.sh

demo: env ## the whole line on this machine, then a page (ONCE=1: ends; DAY_ONE=1)
	$(BIN)/graftline demo $(if $(filter-out 0,$(ONCE)),--once) \
		$(if $(filter-out 0,$(DAY_ONE)),--day-one)

test: env ## the tests but for long faults; ARGS="..." goes to pytest
	@tests/install-system.sh
	@$(BIN)/python -m compileall -q graftline.py $(ROOMS) # where Python may not do it
	$(BIN)/python -m pytest -m "not long" -n $(JOBS) --dist loadscope \
		--no-loadscope-reorder --max-worker-restart 2 --durations=40 $(ARGS)

lint: env ## ruff, mypy strict, and the import contracts
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

# Ruff's rules "S" are those of Bandit.
audit: env ## the security rules and laws, and that every package is locked by its hash
	$(BIN)/ruff check --select S
	$(BIN)/python -m pytest tests/contract/test_security_laws.py \
		tests/contract/test_requirements.py $(ARGS)

# In an environment of its own, for tests/e2e/test_ansible.py.
ansible-env: ## ansible-core, with which the role of the fleet is tested (needs a network)
	$(PYTHON) -m venv build/ansible-env
	build/ansible-env/bin/python -m pip install --quiet --disable-pip-version-check \
		--require-hashes -r requirements/ansible.txt

# In an environment of its own: pip-audit's packages are not those of Graftline.
AUDIT_ENV := build/audit-env

audit-packages: ## known weaknesses of the locked packages (needs a network; SERVICE=osv)
	$(PYTHON) -m venv $(AUDIT_ENV)
	$(AUDIT_ENV)/bin/python -m pip install --quiet --disable-pip-version-check \
		--require-hashes -r requirements/audit.txt
	$(AUDIT_ENV)/bin/python requirements/audit_packages.py

fault: env ## all fault injection tests, the long ones too
	@tests/install-system.sh
	$(BIN)/python -m pytest -m fault $(ARGS)

fuzz: env ## property tests with new random examples for FUZZ_MINUTES (10)
	@tests/install-system.sh
	FUZZ_MINUTES=$(FUZZ_MINUTES) $(BIN)/python -m pytest -m hypothesis \
		--hypothesis-profile=fuzz --timeout=$(FUZZ_TIMEOUT_S) $(ARGS)

bench: env ## measure speed and accuracy on this machine (takes an hour or more)
	@for script in bench/*.py; do \
		[ -e "$$script" ] || { echo "bench/ has no measurement yet"; break; }; \
		echo "== $$script"; \
		$(BIN)/python "$$script" $(ARGS); \
	done

cluster-demo: env ## kill -9 in an MQTT cluster with two collectors (ARGS="--seconds 120")
	@tests/install-system.sh
	$(BIN)/python bench/cluster.py --out bench/out/cluster.json $(ARGS)

pretrain: env ## train the weights graft-n-synthetic on drawn parts
	$(BIN)/python -m pretraining.pretrain $(ARGS)

schemas: env ## write schemas/ from the models
	$(BIN)/python -m models.schemas

docs: env ## write the generated pages, and build the site into build/site
	$(BIN)/python docs/write_reference.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build
	@echo build/site/index.html

wheel: ## write dist/: wheel, locked packages and installer for a PC of the plant
	@PYTHON=$(PYTHON) requirements/make_wheel.sh

# Versions move only when somebody asks for it: compiling keeps what is locked.
UV_LOCK := $(BIN)/uv pip compile --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url --quiet --custom-compile-command "make lock"

lock: env ## write requirements/ from pyproject.toml (UPGRADE=1: newest versions)
	$(UV_LOCK) pyproject.toml --all-extras -o requirements/all.txt \
		$(if $(UPGRADE),--upgrade)
	$(UV_LOCK) pyproject.toml --extra edge --extra deploy --extra dashboard \
		--constraint requirements/all.txt -o requirements/line-pc.txt
	echo uv | $(UV_LOCK) - -o requirements/uv.txt $(if $(UPGRADE),--upgrade)
	echo "openvino-model-api[onnx]" | $(UV_LOCK) - -o requirements/model-api.txt \
		$(if $(UPGRADE),--upgrade)
	echo setuptools | $(UV_LOCK) - --constraint requirements/all.txt \
		-o requirements/wheel.txt
	echo pip | $(UV_LOCK) - -o requirements/pip.txt $(if $(UPGRADE),--upgrade)
	echo ansible-core | $(UV_LOCK) - -o requirements/ansible.txt $(if $(UPGRADE),--upgrade)
	echo pip-audit | $(UV_LOCK) - -o requirements/audit.txt $(if $(UPGRADE),--upgrade)

clean: ## remove generated files and the environment, not the failures of make fuzz
	rm -rf .venv build dist demo/out bench/out *.egg-info .import_linter_cache \
		.mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -prune -exec rm -rf {} +

help: ## print this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 18

# Everything runs from .venv, which `make setup` makes; nothing is installed outside of this directory and ~/.cache.
# Needs: Python 3.11 or later with its venv module, make, git. `make help` lists the targets.

SHELL := /bin/sh
.SHELLFLAGS := -eu -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

# The first of these that is new enough; `make setup PYTHON=/path/to/python` uses another.
PYTHONS := python3 python3.13 python3.12 python3.11 python3.14
PYTHON ?= $(shell for python in $(PYTHONS); do \
	if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then echo "$$python"; break; fi; done)

# Ansible's tools find the collection through this link as wasmfaas.platform, in the tree that one edits.
COLLECTION := .ansible/collections/ansible_collections/wasmfaas/platform
RUNTIME_STAMP := .venv/requirements.stamp
SERVICE_STAMP := .venv/requirements-service.stamp
TEST_STAMP := .venv/requirements-test.stamp

# Ansible keeps its caches in the project; molecule and ansible-lint else install a copy of the collection elsewhere and test that.
export ANSIBLE_HOME := $(CURDIR)/.ansible
export ANSIBLE_CONFIG := $(CURDIR)/ansible.cfg
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: help
help: ## show this list
	@echo 'Targets:'
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "%-20s %s\n", $$1, $$2}'
	@echo
	@echo 'Arguments for the service: make serve SERVE_ARGS="--port 9000"'
	@echo 'Arguments for pytest: make test-unit PYTEST_ARGS="-k registry -x"'

.PHONY: setup
setup: $(RUNTIME_STAMP) $(COLLECTION) ## make .venv, in which all commands of the README run
	@echo 'Ready. To use it: . .venv/bin/activate'

.PHONY: setup-test
setup-test: $(TEST_STAMP) $(COLLECTION) ## add to .venv what the tests need

.PHONY: demo
demo: $(RUNTIME_STAMP) $(COLLECTION) ## deploy a function on this machine, call it, deploy it again
	@.venv/bin/python scripts/demo.py

.PHONY: serve
serve: $(SERVICE_STAMP) $(COLLECTION) ## serve the hosted service on this machine: upload code, get a URL
	@PYTHONPATH=$(CURDIR)/.ansible/collections .venv/bin/python -m ansible_collections.wasmfaas.platform.service $(SERVE_ARGS)

.PHONY: test
test: setup-test ## run every kind of test; all of it, also where a part fails
	@.venv/bin/python scripts/run_tests.py

.PHONY: test-full
test-full: setup-test ## the same with every fault on every server and every boundary between tasks
	@WASMFAAS_TESTS=full .venv/bin/python scripts/run_tests.py

.PHONY: programs
programs: setup-test ## build the programs that the tests run
	@PYTHONPATH=$(CURDIR)/.ansible/collections .venv/bin/python -m tests.programs

.PHONY: programs-full
programs-full: setup-test ## build also those that `make test` uses only where they are there
	@PYTHONPATH=$(CURDIR)/.ansible/collections .venv/bin/python -m tests.programs --full

.PHONY: test-unit
test-unit: setup-test ## test the parts without servers
	.venv/bin/pytest tests/unit $(PYTEST_ARGS)

.PHONY: test-integration
test-integration: setup-test ## test against real servers, builds and runtimes
	.venv/bin/pytest tests/integration $(PYTEST_ARGS)

.PHONY: test-packaging
test-packaging: setup-test ## test the collection as its users install it
	.venv/bin/pytest tests/packaging $(PYTEST_ARGS)

.PHONY: molecule
molecule: setup-test ## run the scenarios on real hosts, or one with its output: make molecule SCENARIO=ha
	@reason=$$(.venv/bin/python -m tests.hosts check) || { echo "No scenario can be run: $$reason" >&2; exit 1; }
	@mkdir -p .ansible/molecule
	$(if $(SCENARIO),molecule test --scenario-name $(SCENARIO) $(MOLECULE_ARGS),.venv/bin/pytest --numprocesses 2 tests/molecule $(PYTEST_ARGS))

.PHONY: test-terraform
test-terraform: setup-test ## test terraform/ with a mocked provider, and with the real one against the moto server
	.venv/bin/pytest tests/terraform $(PYTEST_ARGS)

.PHONY: supply-chain
supply-chain: $(RUNTIME_STAMP) $(COLLECTION) ## compare the recorded checksums (k3s, charts, what images are made from) with what is published
	@PYTHONPATH=$(CURDIR)/.ansible/collections .venv/bin/python scripts/supply_chain.py $(SUPPLY_CHAIN_ARGS)

.PHONY: cost
cost: $(RUNTIME_STAMP) ## print what the machines of terraform/ cost, by group
	@.venv/bin/python scripts/cost.py

.PHONY: lint
lint: setup-test ## check style, types and playbooks
	.venv/bin/ruff check
	.venv/bin/ruff format --check --quiet
	.venv/bin/mypy
	.venv/bin/yamllint --strict .
	.venv/bin/ansible-lint --offline --strict
	.venv/bin/antsibull-changelog lint
	@if command -v shellcheck >/dev/null; then echo "shellcheck .ci/run"; shellcheck .ci/run; else echo "shellcheck is not installed: shell scripts are not checked"; fi

.PHONY: sanity
sanity: setup-test ## run ansible-test sanity
	.venv/bin/python scripts/run_ansible_test.py sanity

.PHONY: units
units: setup-test ## run the unit tests as ansible-test does; part of test-full, since pytest runs them too
	.venv/bin/python scripts/run_ansible_test.py units

# Four parts at a time (tests/conftest.py) for two cores: three of those that use servers and hosts, which wait half of the
# time, and beside them the unit tests at a lower priority. A test that hangs fails after 20 minutes and shows where.
.PHONY: pytest
pytest: setup-test
	.venv/bin/pytest --numprocesses 4 --no-loadscope-reorder --timeout 1200 $(PYTEST_ARGS)

.PHONY: bench
bench: setup-test ## measure; writes the table of docs/performance.md
	PYTHONPATH=$(CURDIR)/.ansible/collections .venv/bin/python -m bench $(BENCH_ARGS)

.PHONY: docs
docs: setup-test ## write docs/modules and CHANGELOG.rst from the modules' documentation and the changelog's fragments
	.venv/bin/python scripts/module_docs.py
	.venv/bin/python scripts/changelog.py

.PHONY: clean
clean: ## remove all that was made in this directory
	rm -rf .venv .ansible .mypy_cache .ruff_cache .pytest_cache .hypothesis tests/output bench/output wasmfaas-platform-*.tar.gz
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/bin/python:
	@if [ -z "$(PYTHON)" ]; then \
		echo "No Python 3.11 or later found (tried: $(PYTHONS))." >&2; \
		echo "Install one, or name it: make setup PYTHON=/path/to/python3.12" >&2; exit 1; fi
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$(PYTHON) has no venv module. On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	"$(PYTHON)" -m venv .venv

$(RUNTIME_STAMP): requirements.lock | .venv/bin/python
	.venv/bin/python -m pip install --disable-pip-version-check --quiet --require-hashes -r requirements.lock
	@touch $@

# Each holds every version of the one before (tests/packaging sees to it).
$(SERVICE_STAMP): requirements-service.lock | .venv/bin/python $(RUNTIME_STAMP)
	.venv/bin/python -m pip install --disable-pip-version-check --quiet --require-hashes -r requirements-service.lock
	@touch $@

$(TEST_STAMP): requirements-test.lock | .venv/bin/python $(SERVICE_STAMP)
	.venv/bin/python -m pip install --disable-pip-version-check --quiet --require-hashes -r requirements-test.lock
	@touch $@

$(COLLECTION):
	@mkdir -p $(@D)
	@ln -sfn ../../../.. $@

# Two commands matter: `make demo` (set-up and the main job) and `make test` (all tests).
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INVENTORY ?= $(if $(filter upstream,$(LAB_SOURCE)),inventories/lab_upstream,inventories/lab)
export ANSIBLE_FORCE_COLOR ?= 0
# a piped script is read byte by byte when these are set
unexport PYTHONUNBUFFERED PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo test check lint sanity unit lab-up lab-fresh lab-down site bench clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/.ready: pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11 or newer is missing: install python3 and python3-venv."; exit 1; }
	@echo " tools Python environment"
	@$(PYTHON) -m venv $(VENV) || { echo "python3-venv is missing: install it."; exit 1; }
	@$(BIN)/python -m pip install -q --disable-pip-version-check "pip>=25.1"
	@$(BIN)/python -m pip install -q --disable-pip-version-check --group run --group test
	@touch $@

demo: lab-up site  ## set everything up and build the mesh on three nodes of this machine

site: $(VENV)/.ready
	@$(BIN)/ansible-playbook site.yml -i $(INVENTORY)

lab-up: $(VENV)/.ready  ## build what is missing, start the machines and the mirror
	@$(BIN)/python -m lab up

lab-fresh: $(VENV)/.ready
	@$(BIN)/python -m lab up --fresh

lab-down: $(VENV)/.ready  ## remove the lab's machines and network; the build cache stays
	@$(BIN)/python -m lab down

check: $(VENV)/.ready  ## lint, sanity and unit tests
	@$(MAKE) --no-print-directory -j2 --output-sync=target lint sanity unit

lint: $(VENV)/.ready
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .
	@$(BIN)/yamllint --strict .
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/ansible-lint --offline

sanity: $(VENV)/.ready
	@tests/sanity.sh

unit: $(VENV)/.ready
	@$(BIN)/pytest -q tests/unit

test: check lab-up  ## all tests: check, then the molecule scenarios and the fault tests on the lab
	@tests/lab.sh

bench: lab-up  ## site.yml against the bare commands on fresh nodes, then the traffic tasks, as tables
	@$(BIN)/python -m tests.bench.site
	@$(BIN)/python -m tests.bench.traffic

clean:  ## remove the lab's machines and what this checkout has built; the build cache stays
	@test ! -x $(BIN)/python || $(BIN)/python -m lab down
	rm -rf $(VENV) build .ansible .pytest_cache .ruff_cache .hypothesis

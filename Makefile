# Every target sets up what it needs. `make` alone lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PEERS := $(VENV)/.peers
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# These targets serve this checkout alone. A stack that the environment names, such as a team's, is
# for the `hitl` command: `make clean` must never reach it.
export HITL_STATE := .hitl
# `hitl demo` makes the other two beside it.
STATES := .hitl .hitl-demo .hitl-log
# By module, as the script in bin/ breaks when the checkout is moved.
HITL := $(BIN)/python -c 'from flows.cli import main; main()'
# Stops all of them. What could not be stopped may still run: then nothing else happens.
stop = if [ -x $(BIN)/hitl ] || [ -n "$(wildcard $(STATES))" ]; then $(HITL) $(1) || { \
    echo "what runs could not be stopped, and stays as it is; 'make up' mends $(VENV)" >&2; exit 1; }; fi

.DEFAULT_GOAL := help
.PHONY: help demo test check e2e soak bench docs up down clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' Makefile

demo: $(READY) ## set everything up and run the loop on content it makes itself, five rounds
	@$(BIN)/hitl demo

# One worker has all tests with servers, by themselves in their order; the others do the rest meanwhile.
WORKERS := --numprocesses logical --maxprocesses 4 --dist loadgroup
test: $(READY) ## set up and pass every test, on as many cores as there are
	@$(BIN)/python -m hitl.services.install
	@$(BIN)/python -m pytest $(WORKERS) $(PYTEST)

check: $(READY) ## format, lint, types, import rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

e2e: $(READY) ## only the tests with real servers and a real browser
	@$(BIN)/python -m hitl.services.install
	@$(BIN)/python -m pytest -m "e2e or browser" $(PYTEST)

SECONDS ?= 600
soak: $(READY) ## kill the whole loop at random for SECONDS=600, and look at the books each time
	@$(BIN)/python -m hitl.services.install
	@$(BIN)/python -m tests.faults.soak --seconds $(SECONDS) $(SOAK)

bench: $(PEERS) ## every benchmark, each against a peer or a limit in the same run
	@$(BIN)/python -m benchmarks

docs: $(READY) ## build the documentation into site/
	@$(BIN)/mkdocs build --strict

up: $(READY) ## start Postgres, Label Studio and Prefect, all on this machine
	@$(BIN)/hitl up

down: ## stop them; leaves no process
	@$(call stop,down)

clean: ## stop everything and delete the virtual environment and all data of the checkout
	@$(call stop,down --purge)
	rm -rf $(VENV) $(STATES)

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v < (3, 13) else "hitl needs Python 3.11 or 3.12, this is %d.%d; run make PYTHON=python3.11 ..." % v)'
	@echo "Installing hitl into $(VENV) (about 3 GB, some minutes; only the first time)"
	@test -x $(BIN)/pip || $(PYTHON) -c 'import ensurepip' 2>/dev/null || { \
	    echo "this Python cannot make virtual environments; install python3-venv (Debian, Ubuntu) first" >&2; exit 1; }
	@test -x $(BIN)/pip || $(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --requirement requirements.lock
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

# The lock holds: a peer that wanted another version of anything would fail here.
$(PEERS): $(READY) benchmarks/peers.txt
	@$(BIN)/python -m pip install --quiet --requirement benchmarks/peers.txt --constraint requirements.lock
	@$(BIN)/python -m pip check
	@touch $@

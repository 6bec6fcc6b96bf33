# Plateau. `make` alone lists what there is.
PYTHON ?= python3
UV := 0.13.9
VENV := .venv
BIN := $(VENV)/bin
PACKAGES := libs/common services/routing services/dialer services/crm-bridge services/billing services/kpi deploy/local
SOURCES := libs services deploy tests
PARALLEL := $(BIN)/pytest --numprocesses 4 --dist loadfile
# Set in many containers: each of the processes that are started by the dozen would compile all its modules.
unexport PYTHONDONTWRITEBYTECODE
.DEFAULT_GOAL := help
.PHONY: help run test test-deep check test-kafka test-bare contracts bench bench-routing bench-scale replay migrate fmt lock dlq clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(VENV)/installed: requirements.lock Makefile deploy/local/install.py $(addsuffix /pyproject.toml,$(PACKAGES))
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Plateau needs Python 3.11 or newer: name one, as in: make run PYTHON=python3.13" >&2; exit 1; }
	@$(PYTHON) deploy/local/install.py $(VENV) $(UV) $(PACKAGES)
	@touch $@

run: $(VENV)/installed ## the local stack with a day of traffic (SECONDS=60: that long, then a summary)
	@$(BIN)/plateau run $(if $(SECONDS),--seconds $(SECONDS))

test: $(VENV)/installed ## the tests that need nothing but Python (T=routing: those of one service or folder)
	$(PARALLEL) -m "not kafka and not deep" $(if $(T),tests/$(T))

test-deep: $(VENV)/installed ## the long ones: whole stacks, processes killed, large property runs
	$(PARALLEL) -m "deep and not kafka"

check: $(VENV)/installed ## format, lint, types, layers, contracts, manifests
	@$(MAKE) --no-print-directory --jobs 2 --output-sync lint types

.PHONY: lint types
lint:
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/lint-imports
	$(BIN)/pytest --quiet --numprocesses 2 tests/deploy tests/house tests/contracts

types:
	$(BIN)/mypy $(wildcard libs/*/src services/*/src) deploy tests

test-kafka: $(VENV)/installed ## integration and fault tests on real Apache Kafka (or on KAFKA_BOOTSTRAP_SERVERS)
	PLATEAU_TEST_KAFKA=apache $(BIN)/pytest tests/common tests/routing/test_replicas.py tests/e2e/test_trace.py tests/faults tests/local/test_servers.py

test-bare: ## `make run` and `plateau run` on bare machines of every kind: accounts, paths, Pythons, a full disk
	@$(PYTHON) tests/bare/machines.py

contracts: $(VENV)/installed ## publish the events as they stand: golden files, schemas, AsyncAPI
	$(BIN)/python tests/contracts/published.py
	$(BIN)/python -m common.asyncapi > docs/asyncapi.json

bench: $(VENV)/installed ## the figures: exactly-once events/s, call to agent, memory
	$(BIN)/python tests/bench/all.py

bench-routing: $(VENV)/installed ## routing against the exact optimum, and the engine at 15,000 agents
	PYTHONPATH=tests $(BIN)/python tests/bench/bench_optimality.py

bench-scale: $(VENV)/installed ## five minutes at 200 calls/s, eight pools on two processes, an owner killed ten times
	$(BIN)/python tests/bench/bench_routing.py 300 200
	$(BIN)/python tests/bench/bench_pools.py
	$(BIN)/python tests/bench/bench_recovery.py

replay: $(VENV)/installed ## play a call-by-call file: FILE=calls.csv SPEED=120 POLICIES="privileged weights"
	@$(BIN)/plateau replay $(if $(FILE),"$(FILE)",$(error name a file: make replay FILE=calls.csv SPEED=120)) --speed $(or $(SPEED),120) $(if $(DATE),--date $(DATE)) $(addprefix --policy ,$(POLICIES))

migrate: $(VENV)/installed ## migrate one service's database: SERVICE=billing, with DATABASE_URL set
	$(BIN)/python -m common.migrations upgrade $(or $(SERVICE),$(error name a service: make migrate SERVICE=billing))

dlq: $(VENV)/installed ## the dead letters of the running local stack
	@$(BIN)/plateau dlq list

fmt: $(VENV)/installed ## format and mend what can be mended
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)

lock: $(VENV)/installed ## resolve the newest versions anew and write requirements.lock
	$(BIN)/uv lock --quiet
	$(BIN)/uv export --quiet --all-groups --no-emit-workspace --no-header --no-annotate --format requirements-txt -o requirements.lock

clean: ## remove the environment and the local stack's data
	rm -rf $(VENV) .local .mypy_cache .ruff_cache .hypothesis uv.lock

# Everything runs in .venv of this checkout. `make check` and `make demo` set up all they need.
VENV := .venv
BIN := $(VENV)/bin
# What the tests need of Debian's packages chromium, haproxy and systemd.
DEBIAN := /usr/bin/chromium /usr/sbin/haproxy /usr/bin/systemd-analyze
PYTHON ?= python3
# Test processes: most tests wait for a server, a browser or a database.
JOBS ?= 3
export UV_PYTHON_DOWNLOADS := never
export LITELLM_LOCAL_MODEL_COST_MAP := True
# The tests start hundreds of processes: what they import is compiled once, whatever the environment says.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help setup reference console check-console demo check check-long guarantees bench bench-smoke format lint types imports schema docs check-docs test build release lock clean

help: ## Show what there is to make
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

setup: $(VENV)/.installed console ## Make .venv and install everything into it; build the web pages

$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Modelwire needs Python 3.11 or newer; set PYTHON=python3.x"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt uv
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --editable '.[server]' --group dev --group docs
	@touch $@

# The web pages. Without npm the server runs and says that they are not built; the tests need them.
CONSOLE_SOURCES := $(shell find console/src -type f -not -path '*/gql/*') $(wildcard console/*.html console/*.ts console/*.json console/*.mjs) schema.graphql

console: console/dist/index.html ## Build the web pages (the console and GraphiQL)

console/dist/index.html: $(CONSOLE_SOURCES)
	@if command -v npm >/dev/null; then $(MAKE) -s console/node_modules/.package-lock.json && cd console && npm run --silent build -- --logLevel error && touch dist/index.html; \
	else echo "The web pages are not built: npm is missing. Install Node 20.19 or newer and run make console."; fi

console/node_modules/.package-lock.json: console/package.json console/package-lock.json
	@cd console && npm ci --loglevel error && touch node_modules/.package-lock.json

$(DEBIAN):
	@test "$$(id -u)" = 0 || { echo "The tests need: sudo apt-get install --no-install-recommends chromium haproxy systemd"; exit 1; }
	@apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends -y chromium haproxy systemd >/dev/null

demo: setup ## Run the whole line: server, endpoint, three components, one live change (ONCE=1 ends by itself)
	@$(BIN)/modelwire demo $(if $(ONCE),--once)

check: setup $(DEBIAN) lint types imports schema check-docs check-console test ## Everything that CI checks

lint:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types:
	$(BIN)/mypy

imports:
	$(BIN)/lint-imports

schema:
	$(BIN)/modelwire schema --check schema.graphql

docs: setup ## Write the pages that are made from the code, and build docs/ into docs/_build/html
	$(BIN)/python docs/references.py
	$(MAKE) -s check-docs

check-docs:
	$(BIN)/sphinx-build -q --fail-on-warning --keep-going --jobs auto docs docs/_build/html

check-console:
	cd console && npm run --silent check

# In the order of the folders: those with the long waits come first, and nothing long is left for the end.
test:
	$(BIN)/pytest -m 'not long' --numprocesses $(JOBS) --dist loadfile --no-loadscope-reorder

check-long: setup ## The tests that take minutes
	$(BIN)/pytest -m long

bench: setup ## Measure side by side and write docs/performance.* (BENCH="fanout connections" prints these alone)
	$(BIN)/python -m benchmarks $(or $(BENCH),--write)

bench-smoke: setup ## Run each benchmark small; fails when one does not work or a ratio is absurd
	$(BIN)/python -m benchmarks --smoke $(BENCH)

guarantees: setup ## Break connections, servers and databases, FAULTS=10000 times, and check what everybody was told
	FAULTS=$(or $(FAULTS),10000) GUARANTEES_SEED=$(GUARANTEES_SEED) $(BIN)/pytest -q -m long tests/guarantees

format: setup ## Format the code and sort its imports
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

build: setup ## Build the wheel and the sdist into dist/
	$(BIN)/python -m build --installer uv

# By version, as far as uv finds them, or by path.
PYTHONS ?= 3.11 3.13

release: setup ## Build into dist/, with the list of what is in it (CycloneDX), and try it in empty environments of PYTHONS
	rm -rf dist
	MODELWIRE_CONSOLE=require $(BIN)/python -m build --installer uv
	RELEASE_DIST=dist RELEASE_PYTHONS="$(PYTHONS)" $(BIN)/pytest tests/house/test_packaging.py
	$(BIN)/uv venv --quiet --python $(BIN)/python dist/environment
	$(BIN)/uv pip install --quiet --python dist/environment/bin/python --constraint constraints.txt --find-links dist "modelwire[server] == $$(sed -n 's/^__version__ = "\(.*\)"/\1/p' src/modelwire/__init__.py)"
	$(BIN)/cyclonedx-py environment --output-reproducible --of JSON --output-file dist/modelwire.cdx.json dist/environment/bin/python
	cd console && npm sbom --sbom-format cyclonedx --package-lock-only --omit dev > ../dist/modelwire-console.cdx.json
	rm -rf dist/environment

reference: setup ## Write the reference in docs/cli.md anew
	$(BIN)/python -m modelwire.cli.reference docs/cli.md

lock: ## Refresh constraints.txt and the package-lock.json files (every transitive version)
	@test -x $(BIN)/uv || { $(PYTHON) -m venv $(VENV) && $(BIN)/python -m pip install --quiet uv; }
	$(BIN)/uv pip compile --quiet --upgrade --universal --no-header --no-emit-index-url --no-annotate --extra server --group dev --group docs pyproject.toml --output-file constraints.txt
	$(BIN)/uv pip compile --quiet --upgrade --universal --no-header --no-emit-index-url --no-annotate --extra adk --group adk pyproject.toml --output-file tests/adk/constraints.txt
	cd console && npm run --silent lock
	cd tests/clients && npm run --silent lock

clean: ## Remove what was built and installed here
	rm -rf $(VENV) dist docs/_build console/dist console/node_modules tests/clients/node_modules .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

# Everything runs in .venv of this checkout. `make check` and `make demo` set up all they need.
VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3
export UV_PYTHON_DOWNLOADS := never
export LITELLM_LOCAL_MODEL_COST_MAP := True

.DEFAULT_GOAL := help
.PHONY: help setup demo check check-long format lint types imports schema test build lock clean

help: ## Show what there is to make
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

setup: $(VENV)/.installed ## Make .venv and install everything into it

$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Modelwire needs Python 3.11 or newer; set PYTHON=python3.x"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt uv
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --editable '.[server]' --group dev
	@touch $@

demo: setup ## Run the whole line: server, endpoint, three components, one live change (ONCE=1 ends by itself)
	@$(BIN)/modelwire demo $(if $(ONCE),--once)

check: setup lint types imports schema test ## Everything that CI checks

lint:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types:
	$(BIN)/mypy

imports:
	$(BIN)/lint-imports

schema:
	$(BIN)/modelwire schema --check schema.graphql

test:
	$(BIN)/pytest -m 'not long'

check-long: setup ## The tests that take minutes
	$(BIN)/pytest -m long

format: setup ## Format the code and sort its imports
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

build: setup ## Build the wheel and the sdist into dist/
	$(BIN)/python -m build --installer uv

lock: ## Refresh constraints.txt (every transitive version)
	@test -x $(BIN)/uv || { $(PYTHON) -m venv $(VENV) && $(BIN)/python -m pip install --quiet uv; }
	$(BIN)/uv pip compile --quiet --upgrade --universal --no-header --no-emit-index-url --no-annotate --extra server --group dev pyproject.toml --output-file constraints.txt

clean: ## Remove what was built and installed here
	rm -rf $(VENV) dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

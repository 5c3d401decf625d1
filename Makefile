PYTHON ?= python3
BIN := .venv/bin
UV := uv==0.13.9
# A terminal shows uv's progress; a log of continuous integration stays short.
UV_QUIET := $(if $(CI),-q)

.PHONY: setup demo test check fmt docs cover chaos ablations release help

# The processes that run the tests; 0 runs them in one, such as for a debugger.
JOBS ?= auto

setup: .venv/ready ## make the environment, fetch the broker, draw the sample catalogue, prepare the model

demo: setup ## load a shop through Kafka, search it, change it, watch it; stays up until Ctrl-C (ONCE=1: ends by itself)
	@$(BIN)/liveshelf demo $(if $(ONCE),--once)

test: setup ## run the tests, on a real broker and a real engine: JOBS processes (one a core), ARGS for pytest
	@$(BIN)/python -m pytest -n $(JOBS) --dist worksteal $(ARGS)

cover: setup ## run the tests and measure their branch coverage; report in build/coverage
	@$(BIN)/python -m pytest -n $(JOBS) --dist worksteal --cov --cov-branch --cov-report=html --cov-report=term:skip-covered $(ARGS)
	@echo "total: $$($(BIN)/coverage report --format=total) %"

check: setup docs ## lint, format, spelling, types, import rules and the documentation site
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/codespell
	@$(BIN)/mypy
	@$(BIN)/lint-imports

fmt: setup ## format the code and correct what ruff can
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

docs: setup ## build the documentation site into build/site
	@mkdir -p build
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict >build/docs.log 2>&1 || { cat build/docs.log; exit 1; }

release: setup ## build and check wheels, sdists, the image's context and the bill of materials: dist/
	@$(BIN)/uv pip install -q --python $(BIN)/python -c constraints.txt -e ./client -e '.[dev,release]'
	@$(BIN)/python -m release

chaos: setup ## hurt a running shop at random and check what it promises: N schedules (20) or HOURS, SEED (1)
	@$(BIN)/python -m tests.chaos $(if $(N),--count $(N)) $(if $(HOURS),--hours $(HOURS)) --seed $(or $(SEED),1)

ablations: setup ## train and measure the model without each of its parts: DATA, a catalogue with photos; OUT; goes on where it was
	@$(BIN)/python -m training.ablations $(or $(DATA),$(error say DATA=catalogue.parquet)) --out $(or $(OUT),.liveshelf/ablations) $(ARGS)

help: ## show this
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-9s  %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.venv/ready: pyproject.toml client/pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "liveshelf needs Python 3.11 or newer; $(PYTHON) is older. Try: make setup PYTHON=python3.11"; exit 1; }
	@test -x $(BIN)/pip || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install -q --disable-pip-version-check '$(UV)'
	@echo 'Installing the packages of constraints.txt (PyTorch is the largest).'
	@$(BIN)/uv pip install $(UV_QUIET) --python $(BIN)/python -c constraints.txt -e ./client -e '.[dev]'
	@$(BIN)/liveshelf dev setup
	@touch .venv/ready

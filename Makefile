# Two commands need nothing but Python 3.11 and a package index: `make demo` and `make test`.

PYTHON ?= python3
UV_VERSION := 0.13.9
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Folders of scripts that import each other by name; each is checked by itself.
SCRIPT_FOLDERS := $(patsubst %/,%,$(sort $(dir $(wildcard examples/*/*.py benchmarks/*.py)))) tests/faults

# Some containers set it: every process would then compile all that it imports anew, for seconds each.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help install test lint types imports pytest left-out test-busy differential lowest lowest-tracing newest packaging demo docs reference pictures jaeger bench-demo bench-served bench-loads bench-overhead bench-switches bench-measuring bench-fingerprint bench-accuracy bench-wild bench-knobs bench-space bench-gpu releases bench-workloads soak clean

help: ## Say what each target does
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

$(BIN)/uv: Makefile
	@echo "==> Making $(VENV) with $(PYTHON)"
	@$(PYTHON) -c 'import sys; v = sys.version_info; v >= (3, 11) or sys.exit("bento-monitor needs Python 3.11 or newer, and $(PYTHON) is %d.%d: give another, as in make test PYTHON=python3.12" % v[:2])'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "==> Installing uv $(UV_VERSION)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@touch $@

$(STAMP): $(BIN)/uv pyproject.toml constraints.txt
	@echo "==> Installing bento-monitor with the versions of constraints.txt (torch is large: minutes on a slow line)"
	$(BIN)/uv pip install --python $(BIN)/python -c constraints.txt -e '.[examples,dev]'
	@touch $@

install: $(STAMP) ## Make .venv and install everything into it

test: lint types imports pytest ## Run every check and every test

lint: $(STAMP) ## Check style and format with ruff
	@echo "==> ruff"
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(STAMP) ## Check types with mypy: strict, and as a user's own code in examples and benchmarks
	@echo "==> mypy"
	@$(BIN)/mypy
	@for folder in $(SCRIPT_FOLDERS); do \
		MYPYPATH=$$folder:$$folder/wild:tests/faults:examples/common $(BIN)/mypy --explicit-package-bases --allow-untyped-decorators --allow-untyped-calls --allow-subclassing-any --no-warn-return-any \
			$$folder || exit 1; \
	done

imports: $(STAMP) ## Check the import contracts with import-linter
	@echo "==> import-linter"
	@$(BIN)/lint-imports

pytest: $(STAMP) ## Run the tests
	@echo "==> pytest"
	@$(BIN)/python -m pytest

left-out: $(STAMP) ## Run again the tests that were left out because others used the machine
	@$(BIN)/python -m pytest --left-out-as-busy

test-busy: $(STAMP) ## Run the tests beside a busy loop on each core (not on a machine that others need)
	@$(BIN)/python tests/busy.py $(BIN)/python -m pytest

differential: $(STAMP) ## Ask stock BentoML and both of our paths the same 10,000 requests
	@DIFFERENTIAL_REQUESTS=10000 $(BIN)/python -m pytest tests/differential

.venv-lowest/.installed: $(BIN)/uv pyproject.toml
	@echo "==> Making .venv-lowest with the lowest version of each dependency"
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python .venv-lowest
	@$(BIN)/uv pip install --quiet --python .venv-lowest/bin/python --resolution lowest-direct -e '.[examples,dev]'
	@touch $@

lowest: .venv-lowest/.installed ## Test with the lowest versions that pyproject.toml allows, in .venv-lowest
	@.venv-lowest/bin/python -m pytest tests/bento_monitor tests/optimizers tests/differential/test_same_answers.py

lowest-tracing: .venv-lowest/.installed ## The same for tracing alone, with torch 2.4, for which there is no optimizing
	@rm .venv-lowest/.installed
	@$(BIN)/uv pip install --quiet --python .venv-lowest/bin/python 'torch==2.4.*'
	@.venv-lowest/bin/python -m pytest tests/bento_monitor/integrations tests/bento_monitor/request tests/bento_monitor/tracing tests/bento_monitor/test_runner.py \
		tests/differential/test_same_answers.py tests/integration/test_trace_laws.py

newest: $(BIN)/uv ## Test answers and traces with the newest of everything, in .venv-newest; hooks that are off there are listed
	@echo "==> Making .venv-newest with the newest version of each dependency"
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python .venv-newest
	@$(BIN)/uv pip install --quiet --python .venv-newest/bin/python -e '.[examples,dev]'
	@.venv-newest/bin/bento-monitor doctor
	@.venv-newest/bin/python -m pytest tests/differential/test_same_answers.py tests/integration/test_trace_laws.py -k 'not has_a_plan'

packaging: $(STAMP) ## Build the wheel and test it away from the checkout
	@$(BIN)/python -m pytest tests/packaging

EXAMPLE := semantic_search
demo: $(STAMP) ## Run the main job on a real model: serve, trace, optimize, promote (make demo EXAMPLE=digits: another example)
	@$(BIN)/python examples/common/demo.py $(EXAMPLE)

docs: $(STAMP) ## Build the documentation into site/; a broken link fails
	@$(BIN)/zensical build --strict

reference: $(STAMP) ## Write the pages of docs/reference that come from the code
	@$(BIN)/python tests/docs/make_reference.py

pictures: $(STAMP) ## Render the pictures of README and docs from real runs (needs Chromium; about 5 minutes)
	@PYTHONPATH=tests/integration $(BIN)/python tests/docs/make_pictures.py $(EXAMPLES)

jaeger: ## Run a real Jaeger on loopback (builds it once; needs Go)
	@tests/integration/jaeger/run.sh

bench-demo: $(STAMP) ## Measure the demo's figures into benchmarks/results/demo.json
	@$(BIN)/python benchmarks/bench_demo.py

bench-served: $(STAMP) ## Measure serving against stock BentoML, FastAPI and LitServe (needs wrk; about 40 minutes)
	@$(BIN)/uv pip install --quiet --python $(BIN)/python -c constraints.txt -e '.[bench]'
	@$(BIN)/python benchmarks/bench_served.py

bench-loads: $(STAMP) ## Measure batches at every load, from one client to overload, into the same result
	@$(BIN)/python benchmarks/bench_served.py --only loads --merge

bench-overhead: $(STAMP) ## Measure what tracing costs, in CPU time and in requests per second (needs wrk; about 25 minutes)
	@$(BIN)/python benchmarks/bench_overhead.py

bench-switches: $(STAMP) ## Measure what each part that can be switched off gains (needs wrk; about 35 minutes)
	@$(BIN)/python benchmarks/bench_switches.py

bench-measuring: $(STAMP) ## Measure the measuring: load generator and statistics (half an hour on a machine that does nothing else)
	@$(BIN)/uv pip install --quiet --python $(BIN)/python -c constraints.txt -e '.[bench]'
	@$(BIN)/python benchmarks/bench_measuring.py

bench-fingerprint: $(STAMP) ## Measure how long the fingerprint of a model takes, by its size
	@$(BIN)/python benchmarks/bench_fingerprint.py

bench-accuracy: $(STAMP) ## Measure how often a model that is worse passes for as accurate, and one as good fails to (20 minutes)
	@OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python benchmarks/bench_accuracy.py

bench-wild: $(STAMP) ## Run the optimizer on the models and APIs that people bring, to live accuracy (hours; resumes)
	@$(BIN)/python benchmarks/bench_wild.py

releases: $(STAMP) ## Find the release of each example's model, for bench-workloads (80 minutes the first time; resumes)
	@$(BIN)/python benchmarks/make_releases.py

bench-workloads: releases ## Measure each example on stock BentoML and with its release (40 minutes)
	@$(BIN)/python benchmarks/bench_workloads.py

bench-knobs: $(STAMP) ## Measure options of sessions, allocators and exporters that the search leaves alone (10 minutes)
	@$(BIN)/python benchmarks/bench_knobs.py

bench-gpu: $(STAMP) ## Measure the best way to run two models on a GPU against torch eager (needs an NVIDIA GPU; about 4 minutes)
	@$(BIN)/python benchmarks/bench_gpu.py

bench-space: $(STAMP) ## Compare what the optimizer finds with a brute force over its space (30 minutes a workload; resumes)
	@$(BIN)/python benchmarks/bench_space.py

soak: $(STAMP) ## Make every fault at full length, into benchmarks/results/soak.json (2 hours of faults, four at a time)
	@PYTHONPATH=tests/faults $(BIN)/python benchmarks/soak.py

clean: ## Remove what the tools left, but not .venv
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
	find . -path ./$(VENV) -prune -o -name __pycache__ -type d -exec rm -rf {} +

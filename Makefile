# Two commands set up everything on a machine with Python >= 3.11, make and a C library: make demo, make test.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help demo test test-all bench check format clean

help:  ## list the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Transect needs Python 3.11 or newer; $(PYTHON) is older. Try: make PYTHON=python3.11 <command>"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $(READY)

demo: $(READY)  ## the main job: train a width sweep, trace it exactly, draw the figure (under five minutes, set-up included)
	$(BIN)/transect demo

test: $(READY)  ## the tests, without the slow ones
	$(BIN)/python -m pytest -n auto --dist loadfile -m "not slow"

test-all: $(READY)  ## all tests
	$(BIN)/python -m pytest -n auto --dist loadfile

bench: $(READY)  ## the short benchmarks, and the tables and figures of docs/performance.md (under ten minutes)
	$(BIN)/python benchmarks/convolutions.py
	$(BIN)/python benchmarks/trace_against_forward.py --cases resnet18-w4-8-segments resnet18-w4-8-segments-float32 resnet18-w4-line resnet18-w4-line-float32 cnn1d-c50-8-segments cnn1d-c50-8-segments-float32
	$(BIN)/python benchmarks/against_marching.py --cases resnet18-w4-8-segments resnet18-w4-8-segments-float32
	$(BIN)/python -c 'import regioncam' 2>/dev/null && $(BIN)/python benchmarks/against_regioncam.py || echo "left out: regioncam is not installed"
	$(BIN)/python benchmarks/linear_cost.py --cases "convnet-12, 1 segment" "convnet-12, 10 segments"
	$(BIN)/python benchmarks/slices.py --cases "convnet 12-24-48, stride 2" "growing, side 4" "growing, side 14"
	$(BIN)/python docs/update_performance_figures.py
	$(BIN)/python docs/update_tables.py performance

check: $(READY)  ## format, lint, types, import direction, doctests and tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -n auto --dist loadfile -m "not slow"

format: $(READY)  ## format the code and repair what the linter can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## remove what the commands made (not your results)
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

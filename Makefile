# make setup   a virtual environment in .venv; does nothing when nothing changed
# make demo    the main jobs on real molecules, on all cores; results and pictures in demo/
# make test    the tests (slow and gpu ones excluded)
# make lint    ruff and mypy

SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip --disable-pip-version-check --quiet
WORKERS ?= 2

# PyTorch's own index offers builds without CUDA, a tenth of the size. `make setup TORCH_INDEX=` takes
# the default build of the package index instead, which includes CUDA on Linux.
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
TORCH_OPTIONS := $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX) --retries 1)

# Processes are what runs in parallel; each computes with one thread unless told otherwise.
export OMP_NUM_THREADS ?= 1

.PHONY: setup demo test lint clean

setup: $(VENV)/.installed

# torch first and alone: nothing else is looked for in its index, and an index out of reach costs a second
$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) install --no-deps $(TORCH_OPTIONS) "$$(grep '^torch==' constraints.txt)"
	$(PIP) install -c constraints.txt -e '.[test]'
	touch $@

$(VENV)/.linters: $(VENV)/.installed
	$(PIP) install -c constraints.txt -e '.[lint]'
	touch $@

$(BIN)/python:
	@for python in $(PYTHON) python3.11 python3 python3.12 python3.13 python3.14; do \
	  if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	    exec "$$python" -m venv $(VENV); \
	  fi; \
	done; \
	echo "Got no Python 3.11 or newer; wanted one on the PATH. Try: make setup PYTHON=/path/to/python3.11" >&2; \
	exit 2

demo: setup
	env -u OMP_NUM_THREADS $(BIN)/genmol scf examples/alanine_dipeptide.xyz --json demo/result.json --plot demo/convergence.png
	rm -rf demo/glycerol
	$(BIN)/genmol sample "OCC(O)CO" -n 200 --out demo/glycerol

test: setup
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m "not slow and not gpu"

lint: $(VENV)/.linters
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf $(VENV) demo build *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis

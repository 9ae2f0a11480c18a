# Everything starts from a bare Python: each target makes the environment it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PEERS := build/bench
ROUNDS ?= 5

.PHONY: help demo test parity real pages lint bench bench-gpu clean

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1: /p' Makefile

demo: $(VENV)/installed  ## the main job, end to end, on the bundled model and clips
	$(BIN)/python -m tools.demo

test: $(VENV)/installed-dev  ## the test suite
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -n auto  # one BLAS thread a worker: two each would fight

parity: $(VENV)/installed-parity  ## the port beside openai-whisper and transformers on PyTorch
	$(BIN)/python -m pytest tests/parity

real: $(VENV)/installed-real  ## OpenAI's whisper-base on real recordings; SHORT=1 takes two minutes
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest tests/real -n auto $(if $(SHORT),-m "not slow")

pages: $(VENV)/installed-pages  ## the pages of `studio` and `explain`, and a drawn network, in Chromium
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest tests/studio_page tests/test_studio.py tests/explanation/test_browser.py tests/explanation/network/test_browser.py -rs

lint: $(VENV)/installed-dev  ## ruff, mypy, and the imports between rooms
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m tools.house

bench: $(VENV)/installed-real $(PEERS)/torch/installed $(PEERS)/mlx/installed $(PEERS)/cpu/installed
bench:  ## the speed beside peers, in turns, with OpenAI's base; ROUNDS=0 tries it
	$(BIN)/python -m tools.bench.run --rounds $(ROUNDS) --torch $(PEERS)/torch/bin/python \
	    --mlx-whisper $(PEERS)/mlx/bin/python --ctranslate2 $(PEERS)/cpu/bin/python \
	    --whispercpp $(PEERS)/cpu/bin/python

bench-gpu: $(PEERS)/gpu/installed  ## training and inference on the GPU of a Mac, or on one with CUDA
	@$(PEERS)/gpu/bin/python -m tools.bench.gpu --check
	$(MAKE) $(PEERS)/torch-gpu/installed
	$(PEERS)/gpu/bin/python -m tools.bench.gpu --rounds $(ROUNDS) --torch $(PEERS)/torch-gpu/bin/python \
	    --mlx-whisper $(PEERS)/gpu/bin/python

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

$(VENV)/installed-pages: $(VENV)/installed-dev
	$(BIN)/python -m pip install --quiet -e ".[pages]"
	touch $@

# PyTorch's CPU build has an index of its own: what PyPI has for Linux brings CUDA along.
$(VENV)/installed-parity: $(VENV)/installed-dev
	$(BIN)/python -m pip install --quiet --no-deps torch==2.13.0 --extra-index-url https://download.pytorch.org/whl/cpu
	$(BIN)/python -m pip install --quiet -e ".[parity]"
	$(BIN)/python -m pip install --quiet --no-deps openai-whisper==20250625 stable-ts==2.19.1
	touch $@

# The peers of the benchmarks. mlx-whisper asks for PyTorch, but does not import it.
MLX_WHISPER := mlx-whisper==0.4.3
MLX_WHISPER_NEEDS := numba more-itertools tiktoken tqdm huggingface_hub scipy threadpoolctl

$(PEERS)/torch/installed:
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/pip install --quiet torch==2.13.0 --extra-index-url https://download.pytorch.org/whl/cpu
	$(@D)/bin/pip install --quiet numba more-itertools tiktoken tqdm transformers peft
	$(@D)/bin/pip install --quiet --no-deps openai-whisper==20250625
	touch $@

$(PEERS)/mlx/installed:
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/pip install --quiet "mlx; sys_platform == 'darwin'" "mlx[cpu]; sys_platform == 'linux'" $(MLX_WHISPER_NEEDS)
	$(@D)/bin/pip install --quiet --no-deps $(MLX_WHISPER)
	touch $@

$(PEERS)/cpu/installed:
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/pip install --quiet faster-whisper pywhispercpp
	touch $@

# On Linux with an NVIDIA card, MLX's CUDA build takes the place of the one for CPUs.
$(PEERS)/gpu/installed: pyproject.toml
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/pip install --quiet -e ".[base]" $(MLX_WHISPER_NEEDS)
	$(@D)/bin/pip install --quiet --no-deps $(MLX_WHISPER)
	if command -v nvidia-smi > /dev/null; then $(@D)/bin/pip uninstall --quiet --yes mlx-cpu && \
	    $(@D)/bin/pip install --quiet --force-reinstall "mlx[cuda12]"; fi
	touch $@

$(PEERS)/torch-gpu/installed:
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/pip install --quiet torch transformers peft numba more-itertools tiktoken tqdm
	$(@D)/bin/pip install --quiet --no-deps openai-whisper==20250625
	touch $@

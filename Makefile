# Targets of the project; `make` alone prints them.

PYTHON ?= python3
# Index with CPU builds of torch, where the default one offers only CUDA builds
# (Linux). Its address stands on PyTorch's "Get started" page: choose pip and CPU.
TORCH_INDEX ?=
JOBS ?=
NOTEBOOKS ?= all
# Whose results the report shows in full: demo, paper or public
PROFILE ?= demo
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
torch_version := $(shell grep '^torch==' constraints.txt)
torchvision_version := $(shell grep '^torchvision==' constraints.txt)

.DEFAULT_GOAL := help
.PHONY: help setup reproduce verify paper report test test-all test-other-cpu bench lint format lab clean clean-results

help:  ## print this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

setup: $(READY)  ## build .venv with everything pinned, and its Jupyter kernel

# torch comes first and alone: otherwise another package may bring a CUDA build.
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, found " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet $(torch_version) -c constraints.txt $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX))
	$(BIN)/python -m pip install --quiet --no-deps $(torchvision_version) $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX))
	$(BIN)/python -m pip install --quiet -e '.[cluster,dev,explain,formats,report]' -c constraints.txt
	$(BIN)/python -m pip install --quiet --no-deps hearvalidator -c constraints.txt  # it needs TensorFlow only for models of TensorFlow
	$(BIN)/python -m ipykernel install --sys-prefix --name thesis --display-name "Python (thesis)" >/dev/null
	touch $@

reproduce: setup  ## run what is not up to date on the embedded synthetic corpora (no download)
	$(BIN)/thesis run $(NOTEBOOKS) $(if $(JOBS),--jobs $(JOBS)) $(ARGS)

verify: setup  ## run again what has results, and compare the bytes of every table
	$(BIN)/thesis verify $(NOTEBOOKS) $(if $(JOBS),--jobs $(JOBS)) $(ARGS)

paper: setup  ## run every notebook with the thesis's values, on the thesis's corpora in data/
	$(BIN)/thesis run $(NOTEBOOKS) --profile paper $(if $(JOBS),--jobs $(JOBS)) $(ARGS)

report: setup  ## build the site of results and documentation: build/report/index.html
	$(BIN)/python docs/report/build.py --profile $(PROFILE) $(ARGS)

test: setup  ## run the tests (a few minutes)
	$(BIN)/python -m pytest -n auto -m "not slow" $(ARGS)

test-all: setup  ## run all tests, the slow ones too
	$(BIN)/python -m pytest -n auto $(ARGS)

# The kernels of older processors: they round and add in another order, so the last bits differ.
OTHER_CPU := ATEN_CPU_CAPABILITY=default ONEDNN_MAX_CPU_ISA=AVX2 MKL_CBWR=COMPATIBLE

test-other-cpu: setup  ## run the tests of learning with another processor's kernels
	$(OTHER_CPU) $(BIN)/python -m pytest -n auto -m "learning and not slow" $(ARGS)

bench: setup  ## measure speed and memory, about a quarter of an hour; writes benchmarks/RESULTS.md
	$(BIN)/python benchmarks/run_all.py $(ARGS)

lint: setup  ## check style of code and notebooks
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: setup  ## format code and notebooks
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lab: setup  ## open JupyterLab on the notebooks (localhost, with its token)
	$(BIN)/jupyter lab --ServerApp.ip=127.0.0.1 $(ARGS) notebooks

clean-results:  ## remove results, the feature store and synthetic corpora
	find results -mindepth 1 ! -name .gitkeep -delete
	rm -rf data/store data/synthetic

clean: clean-results  ## remove the environment and the site too
	rm -rf $(VENV) build/report build/report-work

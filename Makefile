# Everything runs in .venv, which is made when it is missing or older than the
# files that define it. LATEST=1 takes the newest versions instead of the
# tested ones in constraints.txt.

PYTHON ?= python3
LATEST ?=
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
NOTEBOOKS := $(sort $(wildcard notebooks/*.ipynb))

export TF_CPP_MIN_LOG_LEVEL ?= 3
export PYTHONHASHSEED ?= 0
# Threads that spin while they wait make a busy machine several times slower.
export GOMP_SPINCOUNT ?= 0
# Bytecode that the first process writes spares every later one seconds of imports.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup data notebooks site test lint unit audit audit-all audit-notes \
	check-notebooks check-site lab reproduce profiles bench refresh constraints clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 20

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed; set PYTHON=..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --no-compile \
		$(if $(LATEST),--upgrade,--constraint constraints.txt) --editable '.[test]'
	touch $@

setup: $(READY)  ## make .venv

data: $(READY)  ## fetch MNIST and Fashion-MNIST
	$(BIN)/python -m tradeoffs fetch

notebooks: data  ## execute the series; notebooks go to build/, pages to build/site/
	TQDM_DISABLE=1 $(BIN)/jupyter nbconvert --log-level WARN --execute \
		--to notebook --output-dir build $(NOTEBOOKS)
	$(MAKE) site NOTEBOOKS="$(patsubst notebooks/%,build/%,$(NOTEBOOKS))"

site: $(READY)  ## build the pages to read from executed notebooks, in build/site/
	rm -rf build/source build/site
	mkdir -p build/source/notebooks build/source/results build/source/tradeoffs
	cp -r docs docs/index.md README.md build/source
	cp $(NOTEBOOKS) build/source/notebooks
	cp results/*.png build/source/results
	cp tradeoffs/measure_here.py build/source/tradeoffs
	$(BIN)/sphinx-build -q -W --keep-going --jobs auto -c docs -d build/doctrees \
		build/source build/site
	@echo "open $(CURDIR)/build/site/index.html to read, or 'make lab' to change and run"

test: lint unit audit check-notebooks check-site  ## lint, unit tests, audit of the records, notebooks, the site in a browser

lint: $(READY)  ## style of code and notebooks
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# Keras and PyTorch are tested in processes of their own: they never share one.
unit: data  ## unit tests, and the examples of docstrings
	OMP_NUM_THREADS=1 $(BIN)/pytest -q -n 2 --dist worksteal --doctest-modules \
		--ignore-glob '*keras*.py' --ignore tests/test_audit.py \
		--ignore tests/test_site.py tests tradeoffs
	$(BIN)/pytest -q -n 2 --dist worksteal tests/test_keras.py

audit: data  ## retrain the models' first epoch and every other series' first steps, and compare
	$(BIN)/pytest -q -n 2 --dist worksteal tests/test_audit.py

audit-all: data  ## retrain the first epoch of every recorded series, and compare
	AUDIT=all $(BIN)/pytest -q -n 2 --dist worksteal tests/test_audit.py -k first_epoch

audit-notes: audit-all  ## the same, and note anew what the first steps come out as
	$(BIN)/python tests/test_audit.py

check-notebooks: data  ## execute the notebooks and compare what is saved (nbval)
	$(BIN)/pytest -q -n 2 --dist loadfile --nbval --nbval-current-env notebooks

check-site: site  ## the built site in Chromium; pictures of its pages go to build/screenshots/
	$(BIN)/pytest -q -n 2 tests/test_site.py

lab: data  ## open JupyterLab on the notebooks
	$(BIN)/jupyter lab --notebook-dir=. notebooks

reproduce: data  ## retrain every record from scratch (hours)
	$(BIN)/python -m tradeoffs reproduce --fresh --jobs 2

profiles: data  ## measure what the verdicts need, on a quiet machine (about two hours)
	$(BIN)/python -m tradeoffs measure --record

bench: data  ## steps beside the stock way, stacked, in both layouts; the probes beside the truth and other tools; what measuring costs
	$(BIN)/python benchmarks/training_step.py
	$(BIN)/python benchmarks/probes.py
	$(BIN)/python benchmarks/stacked.py
	$(BIN)/python benchmarks/quantizing.py
	$(BIN)/python benchmarks/layouts.py
	$(BIN)/python benchmarks/overhead.py
	$(BIN)/python benchmarks/longer.py
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt \
		fvcore ptflops calflops transformers accelerate
	$(BIN)/python benchmarks/macs.py

refresh: data  ## execute the notebooks in place, and renew the figure and tables of README and docs
	TQDM_DISABLE=1 $(BIN)/jupyter nbconvert --log-level WARN --execute \
		--to notebook --inplace --ExecutePreprocessor.record_timing=False \
		--ClearMetadataPreprocessor.enabled=True \
		--ClearMetadataPreprocessor.clear_cell_metadata=False \
		--ClearMetadataPreprocessor.preserve_nb_metadata_mask=kernelspec \
		$(NOTEBOOKS)
	$(BIN)/python docs/write_tables.py

constraints: ## renew constraints.txt with the newest versions that install
	rm -rf $(VENV)
	$(MAKE) setup LATEST=1
	$(BIN)/pip freeze --exclude-editable | sed -E 's/\+[a-z0-9]+$$//' > constraints.txt
	touch $(READY)

clean:  ## remove .venv and build
	rm -rf $(VENV) build

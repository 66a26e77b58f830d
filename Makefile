PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test lint docs gallery clean

# The stamp is newer than pyproject.toml exactly when the environment is complete.
$(VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

demo: $(VENV)/installed
	$(BIN)/deeppseudopot run configs/silicon demo_results --overwrite

test: lint docs
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder \
		-m "not exhaustive and not as_compiled"
	OPENBLAS_NUM_THREADS=1 JAX_DISABLE_MOST_OPTIMIZATIONS=0 \
		$(BIN)/python -m pytest -n 2 -m "as_compiled and not exhaustive"

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/hadolint Containerfile

# Afresh and with warnings as errors; the pages are in docs/_build/html.
docs: $(VENV)/installed
	$(BIN)/python -m sphinx -q -E -W --keep-going docs docs/_build/html

# Fits the bundles of configs/gallery and writes the tables and levels of docs/gallery.
gallery: $(VENV)/installed
	OPENBLAS_NUM_THREADS=1 $(BIN)/python scripts/make_gallery.py
	OPENBLAS_NUM_THREADS=1 $(BIN)/python scripts/make_joint_fit.py

clean:
	rm -rf $(VENV) demo_results gallery_results docs/_build

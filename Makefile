# make demo | test | test-all | lint | docs | bench | realtext
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
EXTRAS := data,report,test

.PHONY: demo test test-all lint docs bench realtext clean

# Installs once; again only after setup.py or constraints.txt changed.
$(INSTALLED): setup.py pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt \
	  --editable '.[$(EXTRAS)]'
	touch $@

# A file's tests share its fixtures and compilations, so one worker runs them.
# (xdist_group would say it more finely; pytest 9.2 and pytest-xdist 3.8 ignore
# it.) The files at the end are small ones: both workers end together.
PYTEST := $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

demo: $(INSTALLED)
	$(BIN)/xlrm demo

test: $(INSTALLED)
	$(PYTEST) --quiet

test-all: $(INSTALLED)
	$(PYTEST) --quiet --slow

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# build/site: runs the notebooks anew, two minutes.
docs: $(INSTALLED)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt \
	  --editable '.[docs]'
	rm -rf build/notebooks
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

bench: $(INSTALLED)
	$(BIN)/xlrm bench train --size=small --batch=8
	$(BIN)/xlrm bench sample --size=small --batch=4 --samples=8
	$(BIN)/xlrm bench score --size=small --batch=4 --samples=8

realtext: $(INSTALLED)
	$(BIN)/xlrm realtext

clean:
	rm -rf $(VENV) build *.egg-info

# The two commands of the README, over a plain virtual environment. `make help` lists the rest.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
# A worker a core: threads of BLAS would only wait for each other.
TEST   := OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -q -n auto --dist worksteal
SOURCES := $(shell find engine rnn viz examples -name '*.py' -o -name '*.[ch]')

.PHONY: demo test test-all fuzz sanitize lint format golden gallery docs notebooks bench tasks gpu package help clean

ifeq ($(strip $(ARGS)),)
demo: out/.drawn ## train two character models and draw their gradients into out/
	@echo "out/ is up to date; open out/elman/story.svg and out/story.svg"
else
demo: $(STAMP)
	rm -f out/.drawn
	$(BIN)/python -m examples.char_rnn $(ARGS)
endif

out/.drawn: $(STAMP) $(SOURCES)
	$(BIN)/python -m examples.char_rnn
	$(BIN)/python -m examples.char_rnn --cell rnn --hidden 64 --updates 1000 --out out/elman
	touch $@

test: $(STAMP) ## run the tests (and the examples in the docstrings) on all cores, but not the slow ones
	$(TEST) -m "not slow" $(ARGS)

test-all: $(STAMP) ## run the slow tests too: longer random draws and larger grids of what `test` draws
	$(TEST) $(ARGS)

COUNT ?= 20000
fuzz: $(STAMP) ## check COUNT random recurrences against the loop, with the compiler and without: half an hour
	$(BIN)/python -m tests.engine.scan.random_steps --count $(COUNT) --no-compiler $(ARGS)
	$(BIN)/python -m tests.engine.scan.random_steps --count $$(($(COUNT) / 10)) --seed 500000 $(ARGS)
	$(BIN)/python -m tests.engine.scan.random_steps --count $$(($(COUNT) / 100)) --seed 700000 --cuda sweep $(ARGS)
	$(BIN)/python -m tests.engine.scan.random_steps --count $$(($(COUNT) / 100)) --seed 800000 --cuda graph $(ARGS)

sanitize: $(STAMP) ## run kernels under the sanitizers of addresses and undefined behaviour: half an hour
	$(BIN)/python -m tests.engine.scan.sanitize $(ARGS)
	$(BIN)/python -m tests.engine.scan.sanitize --no-tests --count 100 --seed 500000 --threads 3

lint: $(STAMP) ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(STAMP) ## put the source into the house format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

golden: $(STAMP) ## rewrite the golden pictures, to be looked at before they are committed
	$(BIN)/python -m pytest -q tests/viz/test_golden.py --update-golden

gallery: $(STAMP) ## write docs/reference/gallery.md and its pictures, to be looked at
	$(BIN)/python -m docs.make_gallery

docs: $(VENV)/.docs-installed ## build the site into docs/_build/html and follow its links
	$(BIN)/python -m sphinx -b html -W --keep-going docs docs/_build/html
	$(BIN)/python -m docs.check_site

notebooks: $(STAMP) ## write the lessons of docs/learn as notebooks that Jupyter opens, into out/notebooks/
	$(BIN)/python -m pip install --quiet jupytext
	mkdir -p out/notebooks && cp docs/learn/[0-9]*.md out/notebooks
	cd out/notebooks && ../../$(BIN)/jupytext --quiet --to ipynb *.md && rm *.md

bench: $(STAMP) ## time the engine against its peers (pip install -e .[bench] first; missing peers are skipped)
	$(BIN)/python -m benchmarks.eager
	$(BIN)/python -m benchmarks.recurrence
	$(BIN)/python -m benchmarks.language_step
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m benchmarks.modern
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m benchmarks.executors
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m benchmarks.second_order
	OPENBLAS_NUM_THREADS=1 $(BIN)/python -m benchmarks.char_rnn
	$(BIN)/python -m benchmarks.pictures
	$(BIN)/python -m benchmarks.scaling
	$(BIN)/python -m benchmarks.tables

tasks: $(STAMP) ## train every example on its real data with three seeds, and all cells: two hours
	$(BIN)/python -m benchmarks.tasks
	$(BIN)/python -m benchmarks.cell_tasks
	$(BIN)/python -m benchmarks.cell_language
	$(BIN)/python -m benchmarks.cell_language --times
	$(BIN)/python -m benchmarks.tables

package: $(STAMP) ## try the wheel with every Python there is, the oldest and the newest NumPy, and ziglang
	$(BIN)/python -m tests.project.package_trial

# No venv: CUDA's packages are those of the machine.
gpu: ## test and time on a GPU with the Python of the machine: ten minutes, ARGS="--minutes 4" for fewer
	$(PYTHON) -m benchmarks.gpu $(ARGS)

# An old pip knows no dependency groups, so it is brought up to date first.
$(STAMP): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --editable . --group dev
	touch $@

$(VENV)/.docs-installed: $(STAMP)
	$(BIN)/python -m pip install --quiet --group docs
	touch $@

help:
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'

clean: ## remove what the commands made
	rm -rf $(VENV) out docs/_build docs/reference/api .pytest_cache .mypy_cache .ruff_cache

# Two commands do everything: make demo, make test. See README.md.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install -q -c constraints.txt

export OMP_WAIT_POLICY = passive
unexport PYTHONDONTWRITEBYTECODE # compiled modules are kept: the tests start many processes

.PHONY: demo test lint unit slow coverage bench bench-mixing bench-models bench-scale bench-gpu bench-reading learning synthetic-clips fuzz docs dist locks clean

demo: .venv/.installed
	$(BIN)/midas demo --out demo

test: lint unit

lint: .venv/.installed-dev
	$(BIN)/ruff format --check src tests benchmarks studies examples
	$(BIN)/ruff check src tests benchmarks studies examples
	$(BIN)/mypy
	$(BIN)/lint-imports

unit: .venv/.installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow"

slow: .venv/.installed-dev
	$(PIP) -e '.[ray]'
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m slow

coverage: .venv/.installed-dev
	rm -f .coverage .coverage.*
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal --cov --cov-report=term

bench: .venv/.installed-dev
	$(BIN)/python -m benchmarks
	$(BIN)/python -m benchmarks.stores
	$(BIN)/python -m benchmarks.step

bench-gpu: .venv/.installed-dev
	$(BIN)/python -m benchmarks.gpu

bench-reading: .venv/.installed-dev
	$(BIN)/python -m benchmarks.reading $(READING)

bench-mixing: .venv/.installed-dev
	$(BIN)/python -m benchmarks.mixing

bench-models: .venv/.installed-dev
	$(BIN)/python -m benchmarks.models --traces --out benchmarks/results/models.json --page docs/models.md

bench-scale: .venv/.installed-dev
	$(BIN)/python -m benchmarks.scale

learning: .venv/.installed-dev
	$(BIN)/python -m benchmarks.learning

synthetic-clips: .venv/.installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m studies.synthetic_clips

fuzz: .venv/.installed-dev
	$(BIN)/python -m benchmarks.fuzz --cases 2000

# The documentation as a site, in build/site.
docs: .venv/.installed
	$(PIP) -e '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build

# Wheel and source archive, and the demo out of the wheel in an environment of its own.
dist: .venv/.installed
	rm -rf dist build/wheel
	$(PIP) build
	$(BIN)/python -m build --outdir dist
	$(PYTHON) -m venv build/wheel
	build/wheel/bin/python -m pip install -q -c constraints.txt dist/*.whl
	cd build/wheel && bin/midas demo --out demo

# locks/: each install with the hashes of its files, at the versions of constraints.txt.
EXTRAS = agreement app crowd dev docs export hub lite0 ray sface timm
LOCK = $(BIN)/uv pip compile pyproject.toml -c constraints.txt --universal --python-version 3.11 --generate-hashes --strip-extras -q
locks: .venv/.installed
	$(PIP) uv
	mkdir -p locks
	$(LOCK) --no-header -o locks/core.txt
	for extra in $(EXTRAS); do $(LOCK) --no-header --extra $$extra -o locks/$$extra.txt; done

clean:
	rm -rf .venv demo build dist

.venv/bin/python:
	$(PYTHON) -m venv .venv || ($(PYTHON) -m pip install --user virtualenv && $(PYTHON) -m virtualenv .venv)

.venv/.installed: .venv/bin/python pyproject.toml constraints.txt
	$(PIP) -e .
	touch $@

.venv/.installed-dev: .venv/bin/python pyproject.toml constraints.txt
	$(PIP) -e '.[dev]'
	$(PIP) --no-deps crowd-kit timm
	touch $@ .venv/.installed

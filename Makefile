# What one can do. Every target sets up .venv first, so `make demo` is all a fresh machine needs besides Python and make.
PYTHON ?= $(or $(shell command -v python3.11),$(shell command -v python3.12),$(shell command -v python3.13),python3)
BIN := .venv/bin
READY := .venv/.ready

.PHONY: demo test check fix bench docs faults clean
.DEFAULT_GOAL := demo

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("xai_bench needs Python 3.11 to 3.13, got " + sys.version.split()[0]) if not (3, 11) <= sys.version_info[:2] <= (3, 13) else None'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: $(READY)  ## train two small models, score their explanations, write demo/report/index.html
	$(BIN)/xai-bench demo --out demo

test: $(READY)  ## every test, on all cores
	$(BIN)/python -m pytest --numprocesses auto --quiet

check: $(READY)  ## lint, format, types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pyright

fix: $(READY)  ## what can be mended by a machine
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY)  ## speed and memory as ratios against bare forward passes and other libraries; ARGS="--full --out speed.md"
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --constraint constraints.txt --editable '.[bench]'
	$(BIN)/python -m benchmarks $(ARGS)

docs: $(READY)  ## the documentation as a site, site/index.html; a dead link is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build

faults: $(READY)  ## try to break runs: 200 kills, full disks, damaged files, dying workers
	$(BIN)/python tests/faults/harness.py --kills 200

clean:
	rm -rf .venv demo site dist

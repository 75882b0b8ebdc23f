# One command for each need; each sets up all it needs itself, in .venv. `make help` lists them.
#
# The environment is made from requirements.lock (exact versions, with hashes) by pip, so whatever index, proxy
# or certificates pip is configured with on this machine are used. Nothing else is installed, nothing outside .venv.

VENV := .venv
BIN := $(VENV)/bin
FUZZ_CASES ?= 5000000
SOAK_PUSHES ?= 500000
SOAK_CHATS ?= 10000
KILL_TRIALS ?= 2000
KILL_SEED ?=
CHAOS_TRIALS ?= 100
CHAOS_SEED ?=
PYTEST_ARGS ?=
QUICK := tests/unit tests/integration/queue/test_sql.py::TestSqlQueue \
	tests/integration/pace/test_board.py::TestSqlBoard tests/integration/pace/test_board.py::TestMemoryBoard

# The first Python that is new enough; `make PYTHON=/path/to/python3 …` overrules it.
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$python; break; }; done)

# .venv holds absolute paths: one that was copied or moved here, or whose Python is gone, is made anew.
ifneq ($(shell $(BIN)/python -c '' 2>/dev/null && cat $(VENV)/.locked 2>/dev/null),$(CURDIR))
.PHONY: $(VENV)/.locked
endif

.DELETE_ON_ERROR:
.PHONY: help env demo cluster-demo test screenshots quick check format bench fuzz soak kill chaos dist lock clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 21

env: $(VENV)/.ready ## set up .venv and nothing more (each command below does so by itself)

demo: $(VENV)/.ready ## see it work: a campaign to 100,000 simulated phones on this machine, each accounted for (CHANNELS=apns,telegram,…)
	@$(BIN)/stentor demo $(if $(CHANNELS),--channels $(CHANNELS))

cluster-demo: $(VENV)/.ready ## see a cluster work: 500,000 phones, while NATS, PostgreSQL and one of each role are killed
	@$(BIN)/python -m stentor.testing.cluster

# Three at a time on two cores: half of what tests do is to wait. With four it is no quicker.
test: check ## all there is to check: what `make check` does, then all tests
	$(BIN)/python -m pytest -n 3 --dist worksteal $(PYTEST_ARGS)

screenshots: $(VENV)/.ready ## take the documentation's pictures of the dashboard anew, in docs/images
	SCREENSHOTS=1 $(BIN)/python -m pytest $(PYTEST_ARGS) tests/browser

# The suites that every queue and board must pass are on SQLite and in memory here; `make test` has all of them.
quick: $(VENV)/.ready ## what to run while you write: the unit tests, and the contracts' suites on SQLite (below two minutes)
	$(BIN)/python -m pytest -n 3 --dist worksteal -m 'not fuzz' -k 'not (TestSql and postgresql)' $(PYTEST_ARGS) $(QUICK)

check: $(VENV)/.ready ## everything but the tests: format, lint, types, the deploy files
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	MYPYPATH=examples/stentor-ntfy/src $(BIN)/mypy examples/stentor-ntfy
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec deploy/compose.yaml
	$(BIN)/kubernetes-validate --strict --quiet $(filter-out %/kustomization.yaml,$(wildcard deploy/kubernetes/*.yaml))
	@if test -x $(BIN)/hadolint; then echo '$(BIN)/hadolint deploy/Dockerfile'; $(BIN)/hadolint deploy/Dockerfile; \
		else echo 'deploy/Dockerfile is not linted: hadolint comes for Linux on x86-64 only'; fi

format: $(VENV)/.ready ## format the code, and mend what the linter can mend
	$(BIN)/ruff check --fix-only
	$(BIN)/ruff format

bench: $(VENV)/.ready ## measure the wire, then a whole campaign, beside h2load where it is installed
	$(BIN)/stentor bench wire
	$(BIN)/stentor bench campaign

fuzz: $(VENV)/.ready ## only the fuzz tests, with many more cases (FUZZ_CASES=5000000)
	STENTOR_FUZZ_CASES=$(FUZZ_CASES) $(BIN)/python -m pytest -n 2 -m fuzz --timeout=0 $(PYTEST_ARGS)

soak: $(VENV)/.ready ## the wire under the whole menu of faults (SOAK_PUSHES=500000), and a bot's chats (SOAK_CHATS=10000), for long
	STENTOR_SOAK_PUSHES=$(SOAK_PUSHES) STENTOR_SOAK_CHATS=$(SOAK_CHATS) \
		$(BIN)/python -m pytest tests/soak/wire.py tests/soak/chats.py --timeout=0 -s $(PYTEST_ARGS)

kill: $(VENV)/.ready ## kill campaigns at random moments, and hold them against the ledgers (KILL_TRIALS=2000 KILL_SEED=…)
	STENTOR_KILL_TRIALS=$(KILL_TRIALS) STENTOR_KILL_SEED=$(KILL_SEED) \
		$(BIN)/python -m pytest tests/soak/kill.py --timeout=0 -s $(PYTEST_ARGS)

chaos: $(VENV)/.ready ## a cluster under random kills, outages, bad networks and wrong clocks (CHAOS_TRIALS=100 CHAOS_SEED=…)
	STENTOR_CHAOS_TRIALS=$(CHAOS_TRIALS) STENTOR_CHAOS_SEED=$(CHAOS_SEED) \
		$(BIN)/python -m pytest tests/soak/chaos.py --timeout=0 -s $(PYTEST_ARGS)

dist: $(VENV)/.ready ## build a wheel and a source archive in dist/, to install anywhere: pip install dist/stentor-*.whl
	$(BIN)/hatchling build --directory dist

lock: $(VENV)/.ready ## choose the newest versions that pyproject.toml allows, and write requirements.lock
	$(BIN)/python -m pip install --quiet 'uv>=0.8,<1'
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--custom-compile-command 'make lock' --group dev --output-file requirements.lock pyproject.toml

clean: ## remove the environment and everything that was made
	rm -rf $(VENV) build dist .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find bench src tests -name __pycache__ -type d -prune -exec rm -rf {} +

# Two stamps: changed versions make the environment anew, a changed pyproject.toml only installs Stentor again.
$(VENV)/.ready: $(VENV)/.locked pyproject.toml
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.locked: requirements.lock
	@test -n "$(PYTHON)" || { \
		echo 'Stentor needs Python 3.11 or newer, and none was found.' >&2; \
		echo 'Install one (Debian, Ubuntu: apt install python3 python3-venv; macOS: brew install python), or name yours:' >&2; \
		echo '    make PYTHON=/path/to/python3 $(MAKECMDGOALS)' >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo 'Stentor needs Python 3.11 or newer; $(PYTHON) is not, or cannot be run. Name another:' >&2; \
		echo '    make PYTHON=/path/to/python3 $(MAKECMDGOALS)' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo '$(PYTHON) cannot make virtual environments: its venv or ensurepip module is missing.' >&2; \
		echo 'Install it (Debian, Ubuntu: apt install python3-venv), or name another Python:' >&2; \
		echo '    make PYTHON=/path/to/python3 $(MAKECMDGOALS)' >&2; exit 1; }
	@echo 'Setting up $(VENV) (once; about a minute) ...'
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.lock
	@echo '$(CURDIR)' > $@

# Marquee's front door. `make` alone lists the verbs.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV := .venv
PY := $(VENV)/bin/python
READY := $(VENV)/.ready
# Left behind by a set-up that was cut off: the next one then starts from an empty environment.
UNFINISHED := $(VENV)/.unfinished
UV_VERSION := 0.13.9
SYNAPSE_VERSION := 1.163.2
PYTEST := $(PY) -m pytest -rs -p tests.reporting

.PHONY: help
help: ## list the verbs
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: $(READY) ## set up .venv from requirements.lock (demo, test and check do it first)

$(READY): requirements.lock pyproject.toml
	@fits='import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))'; python=; \
	for candidate in $(PYTHON) python3.11 python3.12 python3.13 python3; do \
	  if "$$candidate" -c "$$fits" 2>/dev/null; then python=$$candidate; break; fi; \
	done; \
	[ -n "$$python" ] || { echo "setup: Marquee needs Python 3.11, 3.12 or 3.13: install one, or name it with make setup PYTHON=..." >&2; exit 1; }; \
	"$$python" -c 'import ensurepip, venv' 2>/dev/null || { echo "setup: $$python makes no virtual environments: install its venv module (Debian: apt-get install python3-venv)" >&2; exit 1; }; \
	if [ -e $(UNFINISHED) ] || ! $(PY) -c "$$fits" 2>/dev/null || ! $(PY) -m pip --version >/dev/null 2>&1; then \
	  echo "setup: making $(VENV) with $$("$$python" --version)"; \
	  "$$python" -m venv --clear $(VENV) || exit 1; \
	fi; \
	touch $(UNFINISHED) && rm -f $(READY)
	@echo "setup: installing the $$(grep -c '^[A-Za-z0-9]' requirements.lock) packages of requirements.lock, each checked against its hash (a few minutes the first time)"
	@set -o pipefail; started=$$SECONDS; $(PY) -m pip install --disable-pip-version-check --no-input --progress-bar off \
	  --require-hashes --no-deps -r requirements.lock \
	  | awk '/^ *(Downloading|Using cached) [^ ]*\.(whl|tar)/ {n++; if (n % 20 == 0) {print "setup:   " n " packages fetched"; fflush()}} \
	         /^Installing collected/ {print "setup:   " n " packages fetched; unpacking them"; fflush()} \
	         /^ *Building wheel/ {print "setup:   " $$0; fflush()}' \
	  && $(PY) -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation -e . \
	  && rm -f $(UNFINISHED) && touch $(READY) \
	  && echo "setup: $(VENV) is ready after $$((SECONDS - started)) s"

.PHONY: demo
demo: setup ## the whole of Marquee on real ratings, embedded, with a report at the end
	@$(VENV)/bin/marquee demo

.PHONY: up
up: setup ## Marquee embedded, with a data directory that lasts
	@$(VENV)/bin/marquee up --embedded

.PHONY: test
test: setup ## every test that needs nothing but .venv
	@$(PYTEST) -m "not kafka and not browser and not soak"

.PHONY: test-kafka
test-kafka: setup ## integration and crash tests on a real Apache Kafka (needs Java 17 and Maven)
	@MARQUEE_REQUIRE_KAFKA=1 $(PYTEST) -m "kafka and not soak"

.PHONY: test-soak
test-soak: setup ## kills of collecting and of the celebrity path, erasure with restarts: minutes each, Apache Kafka included
	@MARQUEE_REQUIRE_KAFKA=1 $(PYTEST) -m soak

.PHONY: test-browser
test-browser: setup ## the dashboard in a real browser (needs chromium)
	@MARQUEE_REQUIRE_BROWSER=1 $(PYTEST) -m browser

.PHONY: test-connectors
test-connectors: setup ## connectors against real servers: PostgreSQL and MediaWiki (from the system), Synapse (in an environment of its own)
	@test -x .cache/synapse/bin/python || { $(PY) -m venv .cache/synapse && \
	  .cache/synapse/bin/python -m pip install --disable-pip-version-check --quiet matrix-synapse==$(SYNAPSE_VERSION); }
	@MARQUEE_SYNAPSE_PYTHON=$(CURDIR)/.cache/synapse/bin/python MARQUEE_REQUIRE_CONNECTORS=1 $(PYTEST) -m connectors tests/connectors

.PHONY: check
check: setup ## format, lint, types, layers, docs; changes nothing
	@$(PY) -m ruff format --check .
	@$(PY) -m ruff check .
	@$(PY) -m mypy
	@$(VENV)/bin/lint-imports
	@$(PYTEST) tests/test_docs.py

.PHONY: format
format: setup ## rewrite the code in the project's format
	@$(PY) -m ruff format .
	@$(PY) -m ruff check --fix .

.PHONY: bench
bench: setup ## all benchmarks, with the peers beside them
	@$(PY) -m tests.bench

.PHONY: lock
lock: ## write requirements.lock anew from pyproject.toml (UPGRADE=1 takes the newest versions)
	@test -x .cache/uv/bin/uv || { python3 -m venv .cache/uv && .cache/uv/bin/pip install --quiet uv==$(UV_VERSION); }
	@.cache/uv/bin/uv pip compile --quiet --universal --python-version 3.11 --all-extras --generate-hashes \
	  --no-emit-index-url --no-emit-find-links --annotation-style line --custom-compile-command "make lock" \
	  $(if $(UPGRADE),--upgrade) pyproject.toml --output-file requirements.lock
	@echo "lock: requirements.lock holds $$(grep -c '^[A-Za-z0-9]' requirements.lock) pins"

.PHONY: clean
clean: ## remove .venv, caches and build output; data directories stay
	@rm -rf $(VENV) .cache .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis dist build *.egg-info
	@find app agents models schemas tests -type d -name __pycache__ -prune -exec rm -rf {} +

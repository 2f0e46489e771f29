# Everything a contributor needs: `make help`. The uv it uses is the machine's own, or one it brings itself.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

ENV ?= dev
ONCE ?=
VERBOSE ?=
SAMPLES ?=
PARAMETERS ?=
BACKUP ?=
KEY ?=
UV_VERSION := 0.13.8

TOOLS := .local/tools
UV := $(shell command -v uv 2>/dev/null || echo $(CURDIR)/$(TOOLS)/bin/uv)
VENV := .venv
PY := $(VENV)/bin/python
export UV
export PYTHON := $(CURDIR)/$(PY)
# As it is, past every shell: values are JSON, too.
export PARAMETERS
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export PYTHONPATH := $(CURDIR):$(CURDIR)/layers/common/python:$(CURDIR)/functions/gateway:$(CURDIR)/functions/vectors:$(CURDIR)/functions/coordinator:$(CURDIR)/functions/workflows:$(CURDIR)/functions/messaging
export SAM_CLI_TELEMETRY := 0
export AWS_DEFAULT_REGION ?= us-east-1

SOURCES = $(shell find functions layers statemachines events/schemas scripts/build.mk template.yaml samconfig.toml -type f -not -path '*/__pycache__/*')

.PHONY: help run backup restore test test-sam check audit build bench deploy lock openapi clean

help: ## what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(VENV)/.ready .aws-sam/.built .aws-sam/.embeddings ## the whole platform on this machine, then its main job (ONCE=1: end after it)
	@$(PY) -m local $(if $(ONCE),--once) $(if $(VERBOSE),--verbose)

backup: $(VENV)/.ready ## one of the local cloud that is up, copied below ./backups
	@$(PY) -m local.backup

restore: $(VENV)/.ready ## into an empty .local: make restore BACKUP=<folder or s3://…> KEY=<wrapping.key or kms:ARN>
	@$(PY) -m local.restore "$(BACKUP)" $(if $(KEY),--key "$(KEY)")

# Those that need a processor and at most a PostgreSQL of their own run beside the others, which share one local cloud,
# kill parts of it and wait; and give way. What starts a cloud of its own comes last of them.
ON_POSTGRESQL := archive_texts bulk_imports emails_concurrency event_retention failed_events idempotency idempotent_route \
  local_aws local_mail_sink local_postgres managers migrations notifications outbox receiving row_level_security settings vault \
  vectors_import_machine waits_and_resuming workflow_stores workflow_versions
BESIDE := tests/unit tests/architecture tests/functional/backups tests/functional/test_compiled_machines.py \
  $(ON_POSTGRESQL:%=tests/functional/test_%.py) \
  $(addprefix tests/contract/test_,contact_selection.py manager_units.py messaging_stores.py serving.py vector_caches.py) \
  tests/e2e/test_restart.py
test: $(VENV)/.ready .aws-sam/.built .aws-sam/.embeddings ## every test, on real parts; TESTS=tests/unit/test_mbox.py for some
ifdef TESTS
	$(PY) -m pytest $(TESTS)
else
	@mkdir -p .local; nice -n 10 $(PY) -m pytest $(BESIDE) > .local/tests-beside.log 2>&1 & beside=$$!; \
	trap 'kill $$beside 2> /dev/null || true' INT TERM; \
	failed=0; $(PY) -m pytest $(addprefix --ignore=,$(BESIDE)) || failed=$$?; \
	wait $$beside || failed=$$?; \
	echo "And $(BESIDE), meanwhile:"; cat .local/tests-beside.log; exit $$failed
endif

test-sam: $(VENV)/.ready .aws-sam/.built .aws-sam/.embeddings ## the sample invocations by `sam local`, in containers; SAMPLES="gateway/heartbeat" for some
	@$(PY) -m local.sam $(SAMPLES)

check: $(VENV)/.ready ## format, lint, types, import contracts, template, what is generated
	ruff format --no-cache --check .
	ruff check --no-cache .
	mypy
	lint-imports
	$(PY) scripts/export_requirements.py --check
	$(PY) scripts/export_openapi.py --check
	$(PY) scripts/export_actions.py --check
	sam validate --lint --template template.yaml

audit: $(VENV)/.ready ## the lock against known vulnerabilities, which asks the network, and the imports between rooms
	@$(PY) scripts/audit.py

build: $(VENV)/.ready .aws-sam/.built .aws-sam/.embeddings ## what `make deploy` would upload

bench: $(VENV)/.ready .aws-sam/.built .aws-sam/.embeddings ## measure, side by side with what is beneath
	$(PY) -m benchmarks

deploy: $(VENV)/.ready .aws-sam/.built ## to AWS: make deploy ENV=prod PARAMETERS=prod.yaml
	@$(PY) scripts/deploy.py "$(ENV)"

lock: $(VENV)/.ready ## resolve anew, and export every requirements.txt from the lock
	$(UV) lock
	$(UV) sync --quiet
	$(PY) scripts/export_requirements.py

openapi: $(VENV)/.ready ## write the OpenAPI document from the routes, and the list of actions from their catalogue
	$(PY) scripts/export_openapi.py
	$(PY) scripts/export_actions.py

clean: ## remove what was built; .local (your data) stays
	rm -rf .aws-sam $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

.aws-sam/.built: $(VENV)/.ready $(SOURCES)
	@echo "building the functions and the layer (about 30 s) …"
	@mkdir -p .aws-sam
	@sam build > .aws-sam/build.log 2>&1 || { tail -n 30 .aws-sam/build.log; echo "sam build failed; the whole log is in .aws-sam/build.log"; exit 1; }
	@touch $@

.aws-sam/.embeddings: $(VENV)/.ready layers/embeddings/Makefile layers/embeddings/requirements.txt scripts/build.mk
	@echo "building the bundled embedding model's layer …"
	@rm -rf .aws-sam/embeddings && mkdir -p .aws-sam/embeddings
	@$(MAKE) --silent -C layers/embeddings build-EmbeddingsLayer ARTIFACTS_DIR=$(CURDIR)/.aws-sam/embeddings
	@touch $@

$(VENV)/.ready: pyproject.toml uv.lock .python-version | $(UV)
	@echo "installing what is needed into $(VENV) …"
	@$(UV) sync --quiet --frozen || { echo "uv could not install the lock. If Python 3.13 is what it lacks: install it with your system's packages, pyenv ('pyenv install 3.13') or from python.org, and run this again."; exit 1; }
	@touch $@

$(CURDIR)/$(TOOLS)/bin/uv:
	@command -v python3 >/dev/null || { echo "Python 3 is needed to begin: on Debian, 'apt-get install python3 python3-venv'."; exit 1; }
	@echo "no uv on this machine: bringing uv $(UV_VERSION) into $(TOOLS) …"
	@python3 -m venv $(TOOLS) 2>/dev/null || { echo "python3 cannot make a virtual environment: on Debian, 'apt-get install python3-venv'. Or install uv yourself: https://docs.astral.sh/uv"; exit 1; }
	@$(TOOLS)/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

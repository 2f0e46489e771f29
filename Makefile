# All commands of the project; `make help` lists them. It uses the installed uv, or installs one into .local/tools.
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
TENANT_KEYS ?=
NAME ?=
EMAIL ?=
ROLE ?=
SENDER ?=
UV_VERSION := 0.13.8

TOOLS := .local/tools
UV := $(shell command -v uv 2>/dev/null || echo $(CURDIR)/$(TOOLS)/bin/uv)
VENV := .venv
LINTERS := .local/linters
DEPLOYED_GROUPS := $(foreach group,gateway vectors bulk workflows messaging console sandbox embeddings,--group $(group))
COMMON := layers/common/python/email_sender
PY := $(VENV)/bin/python
export UV
export PYTHON := $(CURDIR)/$(PY)
# Exported instead of passed as arguments: values can be JSON or contain spaces and quotes.
export PARAMETERS SENDER
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export PYTHONPATH := $(CURDIR):$(CURDIR)/.aws-sam/models:$(CURDIR)/layers/common/python:$(CURDIR)/functions/gateway:$(CURDIR)/functions/vectors:$(CURDIR)/functions/coordinator:$(CURDIR)/functions/workflows:$(CURDIR)/functions/messaging:$(CURDIR)/functions/console:$(CURDIR)/functions/sandbox
export SAM_CLI_TELEMETRY := 0
# The functions and the layer of the model are built at the same time.
MAKEFLAGS += --jobs=2
export AWS_DEFAULT_REGION ?= us-east-1

SOURCES = $(shell find functions layers statemachines events/schemas scripts/build.mk template.yaml samconfig.toml -type f -not -path '*/__pycache__/*')

.PHONY: help run tenant clock backup restore drill faults soak test test-sam test-api test-n8n test-n8n-node check audit sbom build bench bench-growth search-quality deploy rollback cost operator first-admin user audit-verify lock authorities generate sandbox-libraries check-types check-files clean

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(VENV)/.ready .aws-sam/.built .aws-sam/.embeddings ## run the whole platform on this machine and its main job (ONCE=1: exit afterwards)
	@$(PY) -m local $(if $(ONCE),--once) $(if $(VERBOSE),--verbose) $(if $(DEMO),--again)

tenant: $(VENV)/.ready ## add a tenant to the running local cloud: make tenant NAME=studio SENDER="Studio <hello@studio.example>"
	@$(PY) -m local.tenant "$(NAME)" "$$SENDER"

clock: $(VENV)/.ready ## move the clock of the running local cloud: make clock FORWARD=4d, or RESET=1
	@$(PY) -m local.clock $(if $(RESET),--reset,"$(FORWARD)")

backup: $(VENV)/.ready ## back up the running local cloud to ./backups
	@$(PY) -m local.backup_command

restore: $(VENV)/.ready ## restore into an empty .local: make restore BACKUP=<folder or s3://…> KEY=<wrapping.key or kms:ARN> TENANT_KEYS=<with kms: the table>
	@$(PY) -m local.restore "$(BACKUP)" $(if $(KEY),--key "$(KEY)") $(if $(TENANT_KEYS),--tenant-keys "$(TENANT_KEYS)")

faults: $(VENV)/.ready .aws-sam/.built .aws-sam/.embeddings ## break parts of the platform in a stage of its own, and measure how soon status and alarms show it (half an hour)
	@$(PY) -m local.faults

soak: $(VENV)/.ready .aws-sam/.built .aws-sam/.embeddings ## run steady traffic with faults in a stage of its own, and print the objectives: make soak HOURS=2
	@$(PY) -m local.soak $(or $(HOURS),2)

drill: $(VENV)/.ready .aws-sam/.built .aws-sam/.embeddings ## rehearse the loss of everything in a stage of its own: back up, lose, restore, compare
	@$(PY) -m local.drill

clients/typescript/node_modules/.ready: clients/typescript/package-lock.json $(VENV)/.ready
	@npm --prefix clients/typescript ci --silent --no-audit --no-fund
	@touch $@

.local/.browser: $(VENV)/.ready scripts/install_browser.py
	@mkdir -p .local; path=$$($(PY) scripts/install_browser.py) && echo "$$path" > $@

# Tests that share the local cloud or start an engine run in the foreground. Tests with clouds of their own mostly wait: they
# run beside them. When those are done, all other tests follow with a lower priority: they need a processor and at most a
# PostgreSQL server of their own, and measure coverage. More at once makes searches on two cores too slow. Each has its own
# temporary folder: a pytest session takes the folder of a session that runs from other users, and PostgreSQL is another
# user if root runs the tests.
FOREGROUND := needs_cloud or needs_engine
BESIDE := own_cloud
test: $(VENV)/.ready $(LINTERS)/.ready .aws-sam/.built .aws-sam/.embeddings .local/.browser clients/typescript/node_modules/.ready ## run every test on real parts (TESTS=tests/unit/archive/test_mbox.py runs some)
ifdef TESTS
	$(PY) -m pytest $(TESTS)
else
	@mkdir -p .local/tests/background .local/tests/beside; rm -f .local/coverage
	@{ failed=0; trap 'kill $$child; exit 1' TERM; \
	PYTEST_DEBUG_TEMPROOT=$(CURDIR)/.local/tests/beside nice -n 5 $(PY) -m pytest -m "$(BESIDE)" > .local/tests-beside.log 2>&1 & child=$$!; wait $$child || failed=$$?; \
	PYTEST_DEBUG_TEMPROOT=$(CURDIR)/.local/tests/background nice -n 10 $(PY) -m coverage run -m pytest -m "not ($(FOREGROUND) or $(BESIDE))" > .local/tests-background.log 2>&1 & child=$$!; wait $$child || failed=$$?; \
	exit $$failed; } & background=$$!; \
	trap 'kill $$background 2> /dev/null || true' INT TERM; \
	failed=0; $(PY) -m pytest --durations=25 --durations-min=5 -m "($(FOREGROUND)) and not $(BESIDE)" || failed=$$?; \
	wait $$background || failed=$$?; \
	echo "Results of the tests that ran beside them:"; cat .local/tests-beside.log .local/tests-background.log; \
	echo "Coverage of the kit:"; $(PY) -m coverage report --include="$(COMMON)/kit/*" || failed=$$?; \
	echo "Coverage of the domain (at least 90 %):"; \
	$(PY) -m coverage report --omit="$(COMMON)/kit/*" --fail-under=90 || failed=$$?; \
	exit $$failed
endif

test-sam: $(VENV)/.ready .aws-sam/.built .aws-sam/.embeddings ## run the sample invocations with `sam local` in containers (SAMPLES="gateway/handler.health" runs some)
	@$(PY) -m local.sam $(SAMPLES)

test-api: $(VENV)/.ready $(LINTERS)/.ready .aws-sam/.built .aws-sam/.embeddings ## let the API tester try everything, for half an hour (MINUTES=10 is shorter)
	API_TESTER_SECONDS=$$(( $(or $(MINUTES),30) * 60 )) $(PY) -m pytest tests/e2e/test_api_tester.py

# n8n is for this test alone; its licence is not open source. 2 GB, and about six minutes.
.local/n8n/.ready: $(VENV)/.ready
	@mkdir -p .local/n8n && echo '{"private": true}' > .local/n8n/package.json
	npm --prefix .local/n8n install --ignore-scripts --no-audit --no-fund node@24 n8n@2.41.1
	npm --prefix .local/n8n rebuild node sqlite3
	@touch $@

test-n8n-node: $(VENV)/.ready .aws-sam/.built .aws-sam/.embeddings .local/n8n/.ready ## check the nodes for n8n with its linter, and run them in a real n8n
	npm --prefix integrations/n8n-nodes-email-sender ci --ignore-scripts --no-audit --no-fund
	npm --prefix integrations/n8n-nodes-email-sender run lint
	N8N_FOLDER=$(CURDIR)/.local/n8n $(PY) -m pytest tests/on_demand/nodes_in_n8n.py

test-n8n: $(VENV)/.ready .local/n8n/.ready ## compare the sandbox with a real n8n, on workflows that are made up (ROUNDS=20 makes more), and try a bridge
	N8N_FOLDER=$(CURDIR)/.local/n8n ROUNDS=$(or $(ROUNDS),3) $(PY) -m pytest tests/on_demand/bridge_in_n8n.py tests/on_demand/sandbox_beside_n8n.py

sandbox-libraries: $(VENV)/.ready ## bundle the libraries that the sandbox reads files and pages with, in the versions of functions/sandbox/libraries
	$(PY) scripts/bundle_sandbox_libraries.py

check: $(VENV)/.ready clients/typescript/node_modules/.ready ## check format, lint, types, import contracts, the template and generated files
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=line check-types check-files

# mypy is the slowest check, so it runs beside the others.
check-types:
	mypy

check-files:
	ruff format --no-cache --check .
	ruff check --no-cache .
	$(PY) scripts/check_dependencies.py --report
	$(PY) scripts/export_requirements.py --check
	$(PY) scripts/export_openapi.py --check
	$(PY) scripts/export_client.py --check
	npm --prefix clients/typescript run --silent check
	$(PY) scripts/export_actions.py --check
	$(PY) scripts/export_environment.py --check
	$(PY) scripts/export_template.py --check
	$(PY) scripts/export_grafana.py --check
	sam validate --lint --template template.yaml

audit: $(VENV)/.ready ## check the locked packages for known vulnerabilities (needs the network), and the import contracts
	@$(PY) scripts/check_dependencies.py

sbom: $(VENV)/.ready ## write the list of everything that is deployed, as CycloneDX, to .local/sbom.cdx.json
	@mkdir -p .local
	@$(UV) export --quiet --frozen --format cyclonedx1.5 --no-default-groups $(DEPLOYED_GROUPS) -o .local/sbom.cdx.json > /dev/null
	@echo "Wrote .local/sbom.cdx.json."

build: $(VENV)/.ready .aws-sam/.built .aws-sam/.embeddings ## build what `make deploy` uploads

bench: $(VENV)/.ready .aws-sam/.built .aws-sam/.embeddings ## run the benchmarks, side by side with the parts beneath
	$(PY) -m benchmarks

bench-growth: $(VENV)/.ready .aws-sam/.built .aws-sam/.embeddings ## measure at 1, 10 and 100 times the data, up to 1,000,000 points
	$(PY) -m benchmarks.growth

search-quality: $(VENV)/.ready .aws-sam/.embeddings ## measure the search on labelled questions (LABELS=…, MAILBOX=…, MODEL=… measure your own)
	@$(PY) scripts/search_quality.py $(if $(LABELS),--labels "$(LABELS)") $(if $(MAILBOX),--mailbox "$(MAILBOX)") \
		$(if $(MODEL),--model '$(MODEL)') $(if $(RESULTS),--results "$(RESULTS)")

deploy: $(VENV)/.ready .aws-sam/.built ## deploy to AWS: make deploy ENV=prod PARAMETERS=prod.yaml
	@$(PY) scripts/deploy.py "$(ENV)"

rollback: $(VENV)/.ready ## give all functions their previous version, after showing the plan: make rollback ENV=prod
	@$(PY) -m scripts.rollback "$(ENV)"

cost: $(VENV)/.ready ## print what an environment costs: make cost ENV=prod PARAMETERS=prod.yaml
	@$(PY) -m scripts.cost "$(ENV)"

operator: $(VENV)/.ready ## add an operator to a deployed platform: make operator ENV=prod EMAIL=ada@example.com
	@$(PY) -m scripts.add_user "$(ENV)" "$(EMAIL)"

first-admin: $(VENV)/.ready ## add a tenant and its first administrator: make first-admin ENV=prod NAME=studio SENDER="Studio <hello@studio.example>" EMAIL=ada@studio.example
	@$(PY) -m scripts.add_user "$(ENV)" "$(EMAIL)" --tenant "$(NAME)" "$$SENDER"

user: $(VENV)/.ready ## add a person to a tenant: make user ENV=prod NAME=studio EMAIL=bob@studio.example ROLE=user
	@$(PY) -m scripts.add_user "$(ENV)" "$(EMAIL)" --member "$(NAME)" "$(ROLE)"

audit-verify: $(VENV)/.ready ## verify that no entry of an audit log was changed or removed: make audit-verify ENV=prod, or ENV=local
	@$(PY) -m scripts.audit_verify "$(ENV)"

lock: $(VENV)/.ready ## update uv.lock and every requirements.txt
	$(UV) lock
	$(UV) sync --quiet
	$(PY) scripts/export_requirements.py

authorities: $(VENV)/.ready ## update the certificates of Amazon's authorities (needs the network)
	$(PY) scripts/export_authorities.py

generate: $(VENV)/.ready clients/typescript/node_modules/.ready ## write the generated files: OpenAPI, action and environment references, template.yaml, dashboards for Grafana
	$(PY) scripts/export_openapi.py
	$(PY) scripts/export_client.py
	npm --prefix clients/typescript run --silent generate
	$(PY) scripts/export_actions.py
	$(PY) scripts/export_template.py
	$(PY) scripts/export_environment.py
	$(PY) scripts/export_grafana.py

clean: ## remove everything that was built; .local (your data) stays
	rm -rf .aws-sam $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

.aws-sam/.built: $(VENV)/.ready $(SOURCES)
	@echo "Building the functions and the layers (about 30 s) …"
	@mkdir -p .aws-sam
	@touch $@.begun # a source that is changed during the build has to be built again
	@sam build > .aws-sam/build.log 2>&1 || { tail -n 30 .aws-sam/build.log; echo "sam build failed. The complete log is in .aws-sam/build.log"; exit 1; }
	@mv $@.begun $@

.aws-sam/.embeddings: $(VENV)/.ready layers/embeddings/Makefile layers/embeddings/requirements.txt scripts/build.mk scripts/quantize_model.py
	@echo "Building the layer of the bundled embedding model …"
	@rm -rf .aws-sam/embeddings && mkdir -p .aws-sam/embeddings
	@$(MAKE) --silent -C layers/embeddings build-EmbeddingsLayer ARTIFACTS_DIR=$(CURDIR)/.aws-sam/embeddings
	@mkdir -p .aws-sam/models && ln -sfn ../embeddings/python/email_sender_models .aws-sam/models/email_sender_models
	@touch $@

$(LINTERS)/.ready: tests/aws/linters/requirements.txt $(VENV)/.ready
	@$(UV) venv --quiet --clear --python $(PYTHON) $(LINTERS)
	@$(UV) pip install --quiet --python $(LINTERS)/bin/python -r tests/aws/linters/requirements.txt
	@touch $@

$(VENV)/.ready: pyproject.toml uv.lock .python-version | $(UV)
	@echo "Installing Python packages into $(VENV) (about a minute on the first run) …"
	@$(UV) sync --quiet --frozen || { echo "uv could not install the lock. If Python 3.13 is missing, install it with your system's packages, with pyenv ('pyenv install 3.13') or from python.org, and try again."; exit 1; }
	@touch $@

$(CURDIR)/$(TOOLS)/bin/uv:
	@command -v python3 >/dev/null || { echo "Python 3 is required. On Debian: 'apt-get install python3 python3-venv'."; exit 1; }
	@echo "uv is not installed. Installing uv $(UV_VERSION) into $(TOOLS) …"
	@python3 -m venv $(TOOLS) 2>/dev/null || { echo "python3 cannot create a virtual environment. On Debian: 'apt-get install python3-venv'. Or install uv yourself: https://docs.astral.sh/uv"; exit 1; }
	@$(TOOLS)/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

# You need python3 (3.11 or newer) with pip, and make. The tests also need Node 20 with npm. The rest comes from
# the lock files in requirements/ and from package-lock.json, into .tools, .venv and node_modules.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
# Without them each of the many processes that the tests start would compile all that it imports.
unexport PYTHONDONTWRITEBYTECODE

PYTHON ?= python3
UV := .tools/bin/uv
BIN := .venv/bin

# The tools for developing include all that running needs: once they are there, they are enough.
RUNNABLE := $(if $(wildcard .venv/.dev),.venv/.dev,.venv/.server)

.PHONY: help run test check soak schedules bench bench-cold-start bench-cold-start-azure audit lock format clean \
	deploy-aws destroy-aws rollback-aws restore-aws deploy-azure destroy-azure

help:  ## Show this list
	@sed -nE 's/^([a-z-]+):.*  ## (.*)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 28

run: $(RUNNABLE)  ## Serve on 127.0.0.1:8080 from ./chat.db; CHATSTORE_* variables change that
	@$(BIN)/chatstore serve

# Beside our own: other projects' stores, and servers and tools to test against.
SERVICES := .venv-aws-tools/.installed .venv-aws-runtime/.installed .venv-azure-tools/.installed \
	.venv-peers-llama-index/.installed .venv-peers-openai/.installed \
	node_modules/.installed .worker/.installed .pgbouncer/.installed

# On two cores: a test and the server that it talks to take turns.
test: .venv/.dev $(SERVICES)  ## Run the tests; with CI set, an absent service is a failure
	@$(BIN)/pytest -n 3 --dist worksteal $(if $(CI),--require-services)

check: .venv/.dev  ## Lint, check types, imports, lock files, secrets and the documents' examples
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/python checks/locks.py
	$(BIN)/python checks/bicep_types.py
	@echo "detect-secrets"
	@{ git ls-files -z --cached --others --exclude-standard || find . -type f -not -path '*/.*' -print0; } \
		| xargs -0 -n 100 -P 2 $(BIN)/detect-secrets-hook --no-verify --exclude-files '^(\./)?(requirements|lambda).*\.txt$$'
	$(BIN)/pytest -q -n 2 --dist worksteal tests/docs tests/packaging

soak: .venv/.dev $(SERVICES)  ## Run the tests with many more examples
	@CHATSTORE_SOAK=1 $(BIN)/pytest -n 3 --dist worksteal $(if $(CI),--require-services)

schedules: .venv/.dev  ## Explore every order of what may meet on a thread, the long ones too
	@CHATSTORE_SOAK=1 $(BIN)/pytest -n 2 --dist worksteal tests/schedules

bench: .venv/.dev .venv-bench-llama-index/.installed  ## Compare with a peer, which has an environment of its own
	@$(BIN)/python -m bench

bench-cold-start: .venv/.dev .venv-aws-runtime/.installed .venv-bench-fastapi/.installed  ## Time a new instance on AWS Lambda
	@$(BIN)/python -m bench.cold_start

bench-cold-start-azure: .venv/.dev .venv-bench-azure/.installed .worker/.installed node_modules/.installed  ## Time a new instance on Azure Functions
	@$(BIN)/python -m bench.cold_start_azure

# Not a part of check: it asks a vulnerability service on the network, and what holds changes with the day.
audit: .venv-audit/.installed  ## Ask the vulnerability service about every locked package; needs the network
	@.venv-audit/bin/pip-audit --strict --disable-pip --require-hashes --progress-spinner off \
		$(addprefix -r ,$(wildcard requirements/*.txt) requirements.txt $(wildcard lambda/*.txt))

# What `make deploy-aws` takes: STACK, AWS_REGION, ARCHITECTURE, and any parameter of the template in PARAMETERS.
STACK ?= chatstore
AWS_REGION ?= us-east-1
ARCHITECTURE ?= arm64
TABLE ?= keep
RUNTIME = $$($(PYTHON) -c 'import sys; print("python%d.%d" % sys.version_info[:2])')

AWS = .venv-aws-tools/bin/python -m

deploy-aws: $(UV) .venv-aws-tools/.installed  ## Build and deploy infra/aws; credentials as the AWS SDKs find them
	@parameters="Architecture=$(ARCHITECTURE) Runtime=$(RUNTIME) Build=$$(date +%s) $(PARAMETERS)"; \
	set -f; $(AWS) infra.aws.preflight $(STACK) $(AWS_REGION) $$parameters; \
	export PYTHON="$$(command -v $(PYTHON))" ARCHITECTURE=$(ARCHITECTURE) SAM_CLI_TELEMETRY=0; \
	export DATABASE=$(if $(filter Database=%,$(PARAMETERS)),postgres); \
	.venv-aws-tools/bin/sam build --region $(AWS_REGION) --template infra/aws/template.yaml \
		--build-dir .aws-sam/build --parameter-overrides "$$parameters"; \
	.venv-aws-tools/bin/sam deploy --region $(AWS_REGION) --stack-name $(STACK) \
		--template-file .aws-sam/build/template.yaml --config-file "$(CURDIR)/infra/aws/samconfig.toml" \
		--parameter-overrides "$$parameters" \
		|| { $(AWS) infra.aws.preflight $(STACK) $(AWS_REGION) --failed; exit 1; }

destroy-aws: .venv-aws-tools/.installed  ## Take it down; the threads stay unless TABLE=delete
	@SAM_CLI_TELEMETRY=0 $(AWS) infra.aws.destroy $(STACK) $(AWS_REGION) \
		$(if $(filter delete,$(TABLE)),--delete-threads)

rollback-aws: .venv-aws-tools/.installed  ## Give callers back the version before, or the one that TO names
	@$(AWS) infra.aws.rollback $(STACK) $(AWS_REGION) $(if $(TO),--to $(TO))

AT ?= latest

restore-aws: .venv-aws-tools/.installed  ## Make a table of what was there AT a time; TO names it
	@$(AWS) infra.aws.restore $(STACK) $(AWS_REGION) $(AT) $(if $(TO),--to $(TO))

# What `make deploy-azure` takes: STACK, AZURE_LOCATION, and any parameter of the template in PARAMETERS, which is
# remembered: azd keeps them in .azure, with what it asks for.
AZURE_LOCATION ?= eastus2

deploy-azure:  ## Deploy infra/azure; needs azd, the Azure Developer CLI, signed in by `azd auth login`
	@command -v azd >/dev/null || { echo "azd, the Azure Developer CLI, is missing: aka.ms/azd says how to install it" >&2; exit 1; }
	@azd env select $(STACK) 2>/dev/null || azd env new $(STACK) --location $(AZURE_LOCATION)
	@set -f; for one in $(PARAMETERS); do azd env set "$${one%%=*}" "$${one#*=}" -e $(STACK); done
	@azd up -e $(STACK)
	@azd env get-values -e $(STACK) | grep -E '^(ADDRESS|STORAGE)='

destroy-azure:  ## Take it down; the threads stay unless TABLE=delete
	@$(PYTHON) infra/azure/destroy.py $(STACK) $(if $(filter delete,$(TABLE)),--delete-threads)

lock: $(UV)  ## Write the lock files after a change in pyproject.toml; UPGRADE=1 takes newer versions
	@$(PYTHON) checks/locks.py --write $(if $(UPGRADE),--upgrade)

format: .venv/.dev  ## Format, and mend what the linter can mend
	@$(BIN)/ruff format
	@$(BIN)/ruff check --fix

clean:  ## Remove the environments and what the tools left behind; chat.db stays
	@rm -rf .tools .venv .venv-* .worker .pgbouncer .aws-sam node_modules .mypy_cache .pytest_cache .ruff_cache .import_linter_cache \
		.hypothesis dist
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Debian's pooler for the tests of PostgreSQL, unpacked and not installed. Elsewhere one on the path is used.
# Where the machine knows no packages, or old ones, it is asked for them anew, in a folder of our own.
POOLER := pgbouncer libevent-2.1-7 libc-ares2
OWN_LISTS := -o Dir::State::lists=$(CURDIR)/.pgbouncer/lists -o Dir::Cache=$(CURDIR)/.pgbouncer/cache

.pgbouncer/.installed:
	@mkdir -p .pgbouncer/lists/partial .pgbouncer/cache/archives/partial && cd .pgbouncer \
		&& { apt-get download -qq $(POOLER) \
			|| { apt-get $(OWN_LISTS) update -qq && apt-get $(OWN_LISTS) download -qq $(POOLER); }; } \
		&& for package in *.deb; do dpkg -x "$$package" .; done && touch .installed \
		|| echo "There is no pgbouncer: its test says so"

node_modules/.installed: package-lock.json .npmrc
	@echo "Installing the emulators from npm into node_modules"
	@npm ci --silent --no-audit --no-fund
	@touch $@

# The app's packages are beside it, because the Python that they are both for is not that of .venv.
.worker/.installed: requirements/azure-worker.txt requirements.txt $(UV)
	@echo "Installing Azure Functions' worker library, and what is deployed there, into .worker"
	@for each in "requirements/azure-worker.txt .worker" "requirements.txt .worker/app"; do \
		$(UV) pip install -q --python-version 3.13 --only-binary :all: --no-deps --require-hashes \
			-r $${each% *} --target $${each#* }; \
	done
	@touch $@

$(UV): requirements/bootstrap.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "chatstore needs Python 3.11 or newer: set PYTHON")'
	@$(PYTHON) -m pip --version >/dev/null 2>&1 || { echo "pip is missing: install it (Debian: apt-get install python3-pip)" >&2; exit 1; }
	@echo "Installing uv into .tools"
	@$(PYTHON) -m pip install -qq --disable-pip-version-check --upgrade --require-hashes --target .tools -r $<
	@touch $@

.venv/.%: requirements/%.txt pyproject.toml $(UV)
	@echo "Installing $< into .venv"
	@test -d .venv || $(UV) venv -q --python "$$(command -v $(PYTHON))" .venv
	@$(UV) pip sync -q --python .venv --require-hashes $<
	@$(UV) pip install -q --python .venv --no-deps --no-build-isolation --editable .
	@touch $@

.venv-%/.installed: requirements/%.txt $(UV)
	@echo "Installing $< into $(@D)"
	@test -d $(@D) || $(UV) venv -q --python "$$(command -v $(PYTHON))" $(@D)
	@$(UV) pip sync -q --python $(@D) --require-hashes $<
	@touch $@

# make run: the reference analysis; make test: the tests; make help: everything else.
ANALYSIS ?= inputs/wbf
NJOBS ?= 6
NTRAINSAMPLES ?= 1
CORES ?= $(shell nproc)
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready-
STEP ?= all
QUICK := $(addprefix tests/,analysis expressions statistics whole/test_repository.py)
# REANA's clients of two generations, each for servers of its own.
CLIENT = reana$(if $(filter 0.95,$(value RELEASE)),95)
KUBERNETES = $(BIN)/madminer-workflow kubernetes
define newline


endef
# A variable as one word of the shell, whatever is in it, for make as well: it is not in the environment
# of commands, where make would expand it, and a new line would begin another command.
quoted = '$(subst $(newline), ,$(subst ','\'',$(value $1)))'
REANA = $(foreach name,ANALYSIS DATA METHOD NJOBS NTRAINSAMPLES OBSERVED PART SETTINGS TRACKING_URI WORKFLOW,$(name)=$(call quoted,$(name))) scripts/reana
unexport ADVISORIES ANALYSIS DATA MACHINE METHOD NJOBS NTRAINSAMPLES OBSERVED PARAMETERS PART REGISTRY RELEASE SETTINGS STEP STEP_TIMEOUT TRACKING_URI WORKDIR WORKFLOW

.DEFAULT_GOAL := help
# Two set-ups of one environment at a time would be in each other's way.
.NOTPARALLEL:
.PHONY: help setup run test fuzz campaign check test-local test-reana test-all lint format audit wheels sbom docs site graphs \
	benchmark benchmark-tutorial benchmark-coverage images images-pin images-push \
	reana-run reana-follow reana-logs reana-download \
	kube-input kube-apply kube-logs mlflow-kubernetes clean

help:  ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

setup: $(READY)$(or $(EXTRA),core)  ## Create the environment .venv (with EXTRA=mlflow, sweep, ...)

# What an analysis needs; every other target brings its own extra of pyproject.toml.
$(READY)core: pyproject.toml constraints.txt
	@scripts/setup core "$(VENV)" $(PYTHON)

$(READY)audit: constraints-audit.txt
$(READY)docs: constraints-docs.txt
$(READY)reana: constraints-reana.txt
$(READY)reana95: constraints-reana95.txt
$(READY)%: $(READY)core
	@scripts/setup $* "$(VENV)" $(PYTHON)

run: $(READY)$(if $(value TRACKING_URI)$(value MLFLOW_TRACKING_URI),mlflow,core)  ## Run ANALYSIS (inputs/wbf) from events to report
	@$(BIN)/madminer-workflow run --njobs $(call quoted,NJOBS) --ntrainsamples $(call quoted,NTRAINSAMPLES) \
		$(if $(value WORKDIR),--workdir $(call quoted,WORKDIR)) $(if $(value STEP_TIMEOUT),--step-timeout $(call quoted,STEP_TIMEOUT)) --set $(call quoted,SETTINGS) \
		--observed $(call quoted,OBSERVED) --tracking-uri $(call quoted,TRACKING_URI) -- $(call quoted,ANALYSIS)

test: $(READY)test  ## Run the tests
	@$(BIN)/python -m pytest -q -n $(CORES) --dist loadfile -m "not slow and not campaign"

fuzz: $(READY)test  ## Search for counterexamples to the property tests at random
	@HYPOTHESIS_PROFILE=fuzz $(BIN)/python -m pytest -q -n $(CORES) -m "hypothesis and not slow"

campaign: $(READY)test  ## Test bad files, damaged products, malicious archives, kills and faults: half an hour
	@$(BIN)/python -m pytest -q -n $(CORES) --dist loadfile tests/campaign

check: lint $(READY)test  ## Before a commit, in under a minute: style, types and the quickest tests
	@$(BIN)/python -m pytest -q -n $(CORES) --dist loadfile -m "not slow and not hypothesis and not campaign" $(QUICK)

test-local: $(READY)test  ## Run the whole workflow with a tiny analysis under plain yadage
	@$(BIN)/python -m pytest -q tests/engines/test_local_run.py

test-reana: $(READY)test $(READY)reana $(READY)reana95  ## Run the tests with REANA's clients, which need gcc and python3-dev (OLDEST=yes: also with its oldest engine)
	@PATH="$(abspath $(BIN)):$$PATH" $(VENV)-reana/bin/python -m pytest -q tests/whole/test_reana.py \
		tests/whole/test_reana_server.py

test-all: test  ## Run all tests, including the full reference analysis
	@$(BIN)/python -m pytest -q -n $(CORES) --dist loadfile -m slow

lint: $(READY)test $(READY)lint  ## Check style and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: $(READY)lint  ## Format the code
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

audit: $(READY)audit  ## Compare installed and pinned packages with known ADVISORIES (a file, a folder, or a service)
	@$(VENV)-audit/bin/python scripts/audit --environment $(VENV) \
		$(addprefix --pins ,$(wildcard constraints*.txt)) $(if $(value ADVISORIES),--advisories $(call quoted,ADVISORIES))

wheels: $(READY)core  ## List compiled packages without a wheel for MACHINE (aarch64)
	@$(BIN)/python scripts/wheels $(VENV) $(if $(value MACHINE),$(call quoted,MACHINE),aarch64) 3.11

sbom: $(READY)audit  ## Write bills of materials of the environment and the images (CycloneDX, build/sbom)
	@$(VENV)-audit/bin/python scripts/sbom $(VENV) build/sbom

docs: $(READY)core  ## Generate the references of analysis file and expressions, and the MLproject files
	@$(BIN)/python -m madminer_workflow.analysis.reference > docs/analysis-file.md
	@$(BIN)/python -m madminer_workflow.expressions.reference > docs/expressions.md
	@$(BIN)/python -m madminer_workflow.report.terms > docs/glossary.md
	@$(BIN)/python -m madminer_workflow.report.methods > docs/choosing.md
	@$(BIN)/python -m madminer_workflow.kubernetes.entry_points > MLproject
	@$(BIN)/python -m madminer_workflow.kubernetes.entry_points kubernetes > mlflow/MLproject

site: $(READY)docs  ## Build the documentation as a site in build/site, and check its links
	@rm -rf build/reference
	@$(BIN)/python scripts/reference_pages.py build/reference
	@NO_MKDOCS_2_WARNING=1 $(VENV)-docs/bin/mkdocs --quiet build

graphs: $(READY)test  ## Draw the graphs of the workflow in docs/images; needs graphviz
	@$(BIN)/python scripts/graphs

benchmark: $(READY)test  ## Measure the numbers quoted in the documentation
	@for each in $(filter-out benchmarks/coverage.py,$(wildcard benchmarks/*.py)); do echo "== $$each"; $(BIN)/python $$each || exit 1; done

benchmark-tutorial: $(READY)core  ## Reproduce the tutorial's Fisher information, three times, with errors
	@$(BIN)/python benchmarks/tutorial.py

benchmark-coverage: $(READY)test  ## Measure errors and coverage with 100 replicas of three sizes: under an hour
	@$(BIN)/python benchmarks/coverage.py

images: $(READY)audit  ## Build the container images with docker or podman, check them, write bills of materials and provenance
	@scripts/images build
	@$(VENV)-audit/bin/python scripts/sbom $(VENV) build/sbom

images-pin:  ## Write the registry's digest of the base image into the Dockerfiles
	@scripts/images pin

images-push:  ## Push the images to REGISTRY
	@scripts/images push $(call quoted,REGISTRY)

reana-run: $(READY)$(CLIENT)  ## Run ANALYSIS on REANA (PART=all, physics or ml, with DATA) and follow it
	@PATH="$(abspath $(VENV)-$(CLIENT)/bin):$(abspath $(BIN)):$$PATH" $(REANA) run

reana-follow: $(READY)$(CLIENT)  ## Follow WORKFLOW on REANA
	@PATH="$(abspath $(VENV)-$(CLIENT)/bin):$(abspath $(BIN)):$$PATH" $(REANA) follow

reana-logs: $(READY)$(CLIENT)  ## Show the logs of WORKFLOW on REANA, or only of STEP and METHOD
	@PATH="$(abspath $(VENV)-$(CLIENT)/bin):$(abspath $(BIN)):$$PATH" STEP=$(if $(filter-out file,$(origin STEP)),$(call quoted,STEP)) $(REANA) logs

reana-download: $(READY)$(CLIENT)  ## Download the results of WORKFLOW from REANA into runs/reana
	@PATH="$(abspath $(VENV)-$(CLIENT)/bin):$(abspath $(BIN)):$$PATH" $(REANA) download

kube-input: $(READY)core  ## Write kube/input_configmap.yml from the folder ANALYSIS
	@$(KUBERNETES) input --analysis $(call quoted,ANALYSIS)

kube-apply: $(READY)kubernetes  ## Create the volume and the ConfigMap in kube/ on the cluster
	@$(KUBERNETES) apply --namespace $(call quoted,NAMESPACE) --storage-class $(call quoted,STORAGE_CLASS)

kube-logs: $(READY)kubernetes  ## Store the logs of all Jobs as artifacts of their MLflow runs
	@$(KUBERNETES) logs --namespace $(call quoted,NAMESPACE)

mlflow-kubernetes: $(READY)kubernetes  ## Run STEP (or all) of ANALYSIS as Jobs on Kubernetes, submitted by MLflow
	@$(KUBERNETES) run --analysis $(call quoted,ANALYSIS) --registry $(call quoted,REGISTRY) \
		--njobs $(call quoted,NJOBS) --ntrainsamples $(call quoted,NTRAINSAMPLES) \
		$(if $(value BUILD),--build) --parameters $(call quoted,PARAMETERS) --namespace $(call quoted,NAMESPACE) \
		$(if $(value WAIT),--wait $(call quoted,WAIT)) $(if $(value ANY_USER),--any-user) \
		--pull-secret $(call quoted,PULL_SECRET) --service-account $(call quoted,SERVICE_ACCOUNT) \
		--node-selector $(call quoted,NODE_SELECTOR) -- $(call quoted,STEP)

clean:  ## Remove the environments and caches, but not the results in runs/
	@rm -rf $(VENV) $(VENV)-audit $(VENV)-docs $(VENV)-reana $(VENV)-reana95 .pytest_cache .mypy_cache .ruff_cache .hypothesis src/*.egg-info

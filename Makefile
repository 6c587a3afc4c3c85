# make run: the reference analysis; make test: the tests; make help: everything else.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
ANALYSIS ?= inputs/wbf
NJOBS ?= 6
NTRAINSAMPLES ?= 1
CORES ?= $(shell nproc)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PARALLEL ?= 1
STEP ?= all
KUBERNETES = $(BIN)/madminer-workflow kubernetes

.DEFAULT_GOAL := help
.PHONY: help setup run test test-local test-all lint format docs benchmark benchmark-tutorial images images-push \
	reana-run reana-follow reana-download \
	kube-input kube-apply kube-logs mlflow-kubernetes clean

help:  ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

setup: $(READY)  ## Make the environment .venv from constraints.txt

$(READY): pyproject.toml constraints.txt
	@scripts/setup "$(PYTHON)" "$(VENV)"
	@touch $@

run: $(READY)  ## Run ANALYSIS (inputs/wbf) from events to report
	@$(BIN)/madminer-workflow run $(ANALYSIS) --njobs $(NJOBS) --ntrainsamples $(NTRAINSAMPLES) \
		--set '$(SETTINGS)' --observed '$(OBSERVED)' --tracking-uri '$(TRACKING_URI)'

test: $(READY)  ## Run the tests
	@$(BIN)/python -m pytest -q -n $(CORES) --dist loadfile -m "not slow"

test-local: $(READY)  ## Run the whole workflow with a tiny analysis under plain yadage
	@$(BIN)/python -m pytest -q tests/engines/test_local_run.py

test-all: test  ## Run all tests, the full reference analysis included
	@$(BIN)/python -m pytest -q -n $(CORES) --dist loadfile -m slow

lint: $(READY)  ## Check style and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: $(READY)  ## Format the code
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

docs: $(READY)  ## Generate the reference of the analysis file
	@$(BIN)/python -m madminer_workflow.analysis.reference > docs/analysis-file.md

benchmark: $(READY)  ## Measure the numbers quoted in the documentation
	@for each in benchmarks/*.py; do echo "== $$each"; $(BIN)/python $$each || exit 1; done

benchmark-tutorial: $(READY)  ## Reproduce the tutorial's Fisher information, three times, with errors
	@$(BIN)/python benchmarks/tutorial.py

images:  ## Build the container images with docker or podman, and check them
	@scripts/images build

images-push:  ## Push the images to REGISTRY
	@scripts/images push "$(REGISTRY)"

reana-run: $(READY)  ## Run ANALYSIS on REANA (PART=all, physics or ml, with DATA) and follow it
	@PATH="$(CURDIR)/$(BIN):$$PATH" scripts/reana run

reana-follow: $(READY)  ## Follow WORKFLOW on REANA
	@PATH="$(CURDIR)/$(BIN):$$PATH" scripts/reana follow

reana-download: $(READY)  ## Fetch the results of WORKFLOW from REANA into runs/reana
	@PATH="$(CURDIR)/$(BIN):$$PATH" scripts/reana download

kube-input: $(READY)  ## Write kube/input_configmap.yml from the folder ANALYSIS
	@$(KUBERNETES) input --analysis $(ANALYSIS)

kube-apply: $(READY)  ## Make the volume and the ConfigMap of kube/ known to the cluster
	@$(KUBERNETES) apply

kube-logs: $(READY)  ## Keep the logs of all Jobs as artifacts of their MLflow runs
	@$(KUBERNETES) logs

mlflow-kubernetes: $(READY)  ## Run STEP (or all) of ANALYSIS on Kubernetes with MLflow
	@$(KUBERNETES) run "$(STEP)" --analysis $(ANALYSIS) --registry "$(REGISTRY)" \
		--njobs $(NJOBS) --ntrainsamples $(NTRAINSAMPLES) --parallel $(PARALLEL) \
		$(if $(BUILD),--build) --parameters "$(PARAMETERS)"

clean:  ## Remove the environment and caches; results in runs/ stay
	@rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis src/*.egg-info

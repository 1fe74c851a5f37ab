# What there is to do here; `make` alone lists it. All of it runs in .venv, which the first target that needs it makes.
# With TORCH_INDEX set to a package index, torch comes from there, such as a build for CPUs only.

VENV := .venv
BIN := $(VENV)/bin
CHART := charts/hypersweep
CRD := crds/hypersweep.dev_hyperparametersweeps.yaml
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
ENGINE ?= $(notdir $(firstword $(foreach name,docker podman buildah,$(shell command -v $(name) 2>/dev/null))))

.DEFAULT_GOAL := help
.PHONY: help setup demo test e2e bench lint format types crds docs gallery lock images clean

help: ## List what there is to do
	@sed -n 's/^\([a-z0-9]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | awk -F'\t' '{printf "  make %-8s %s\n", $$1, $$2}'

setup: $(VENV)/.ready ## Make .venv with all that is locked in requirements/

$(VENV)/.ready: requirements/build.txt requirements/torch.txt requirements/dev.txt pyproject.toml scripts/setup
	scripts/setup $(VENV)
	@touch $@

demo: setup ## A real sweep on this machine: twelve trials on handwritten digits, results in a local MLflow
	$(BIN)/hypersweep run examples/digits.yaml

test: setup ## All tests but e2e; the first run builds Kubernetes from its Go modules (10 minutes)
	scripts/test $(BIN)/python

e2e: setup ## The real node: images built, chart installed, a sweep run in containers (root on Debian; 6 GB of images)
	$(BIN)/python -m pytest -m e2e

bench: setup ## Measure latency, writes and memory of the engine
	$(BIN)/python -m bench

lint: setup types ## Formatting, style, layers, types, chart
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	scripts/helm-lint $(CHART)

format: setup ## Format the code, and mend what ruff can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: setup ## Check types
	$(BIN)/mypy

crds: setup ## Generate the CRD from the models, here and in the chart
	$(BIN)/python -m hypersweep.core.crd > $(CRD).new
	mv $(CRD).new $(CRD)
	cp $(CRD) $(CHART)/files/crd.yaml

docs: setup ## Generate the parts of the documentation that come from the source
	$(BIN)/python scripts/chart_docs.py

gallery: setup ## Make the pictures of docs/gallery from real trainings
	$(BIN)/python scripts/gallery.py

lock: setup ## Lock dependencies into requirements/; UPGRADE=1 takes newer versions
	UV=$(BIN)/uv scripts/lock

images: ## Build the images with docker, podman or buildah
	@test -n "$(ENGINE)" || { echo "make images: needs docker, podman or buildah" >&2; exit 1; }
	for target in operator trainer mlflow; do \
	  $(ENGINE) build --target $$target --tag hypersweep-$$target:$(VERSION) \
	    --build-arg VERSION=$(VERSION) --build-arg REVISION=$$(git rev-parse HEAD) --build-arg TORCH_INDEX=$(TORCH_INDEX) . || exit 1; \
	done

clean: ## Remove what the other targets made here; the built Kubernetes stays in the cache
	rm -rf $(VENV) dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

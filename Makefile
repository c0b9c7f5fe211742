# Everything here sets up what it needs, once: `make demo` works on a machine with Python 3.11 or 3.12, gcc and make.

PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip --disable-pip-version-check
SAMPLE := data/01_raw/sample

SHELL := bash
.SHELLFLAGS := -o pipefail -ec

# Nothing leaves the machine.
export DO_NOT_TRACK := 1
export KEDRO_DISABLE_TELEMETRY := 1
export NO_ALBUMENTATIONS_UPDATE := 1

.DEFAULT_GOAL := help
.PHONY: help install sample demo pseudo taco taco-quick test test-slow lint docs viz view serve bench fuzz survive ship clean

help: ## Say what each target does
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(VENV)/.installed ## Set up everything in .venv (10 minutes the first time)

$(VENV)/.torch: constraints.txt
	@echo "Setting up $(VENV) with $$($(PYTHON) --version): torch first, a minute or two"
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) install --upgrade pip "setuptools>=80,<82" wheel ninja packaging
	@$(PIP) install --constraint constraints.txt torch torchvision
	@touch $@

# mmcv is 78 files, each of which reads all of torch's headers for 10 seconds. With gcc the headers are
# compiled once beforehand; its flags and the files' have to be the same, or it is not used.
MMCV_FLAGS := -O3 -DNDEBUG -fwrapv -g0
TORCH_HEADER := $(abspath $(VENV))/torch_header/types.h
TORCH_INCLUDES = $(shell $(BIN)/python -c "import sysconfig; from torch.utils.cpp_extension import \
  include_paths; print('-I' + ' -I'.join([*include_paths('cpu'), sysconfig.get_path('include')]))" 2> /dev/null)

$(VENV)/.mmcv: $(VENV)/.torch
	@echo "Compiling the operators of mmcv: 3 to 5 minutes with gcc, 10 with others, once (pip keeps the wheel)"
	@mkdir -p $(dir $(TORCH_HEADER)) && echo '#include <torch/types.h>' > $(TORCH_HEADER)
	@if ! $(BIN)/pip cache list onedl_mmcv | grep -q whl && c++ --version | grep -q "Free Software" && \
	  c++ $(MMCV_FLAGS) -fPIC -std=c++17 $(TORCH_INCLUDES) -x c++-header $(TORCH_HEADER) -o $(TORCH_HEADER).gch; \
	  then export CFLAGS="$(MMCV_FLAGS) -include $(TORCH_HEADER) -Winvalid-pch"; fi; \
	$(PIP) install --verbose --no-build-isolation --constraint constraints.txt onedl-mmcv 2>&1 \
	  | tee $(VENV)/mmcv.log | sed -un 's|^ *\[\([0-9]*/[0-9]*\)\] .*|  file \1|p' \
	  || { tail -n 40 $(VENV)/mmcv.log; exit 1; }
	@rm -r $(dir $(TORCH_HEADER))
	@touch $@

$(VENV)/.installed: $(VENV)/.mmcv pyproject.toml
	@echo "Installing the project and its other libraries: a few minutes"
	@$(PIP) install --no-build-isolation --constraint constraints.txt --editable ".[train,export,serve,dask,dev]"
	@$(BIN)/python -c "from recycling.ensembling import compile_kernels; compile_kernels()"
	@touch $@

sample: install ## Generate the sample data below data/01_raw/sample
	@$(BIN)/python -m recycling.sample $(SAMPLE)

demo: sample ## Run the whole chain on the sample data, two models at a time (about 9 minutes on two cores)
	@$(BIN)/kedro run --runner DaskRunner

pseudo: sample ## What do pseudo-labels do: three tasks, three seeds, each student beside its twin (20 minutes)
	@$(BIN)/kedro run --runner DaskRunner --env pseudo --pipelines data_cleaning,splitting,training_cls,training_det,training_seg,pseudo_labeling
	@sed -n 's/^ *"sentence": "\(.*\)",*$$/\1/p' data/pseudo/08_reporting/*/pseudo_effect_*.json

# TACO_ROOT=path/to/taco says where annotations.json and images/ are.
taco-quick: install ## Train on TACO: litter as boxes and masks, ten categories as crops and boxes; one fold each
	$(call train-on-taco,.fold0)

taco: install ## The same with all five folds, scored out of fold
	$(call train-on-taco,)

define train-on-taco
@$(BIN)/kedro run --env taco_litter --pipelines data_cleaning,splitting
@$(BIN)/kedro run --env taco_litter --runner DaskRunner --namespaces det.boxes$(1),seg.masks$(1)
@$(BIN)/kedro run --env taco_ten --pipelines data_cleaning,splitting
@$(BIN)/kedro run --env taco_ten --runner DaskRunner --namespaces cls.crops$(1),det.boxes$(1)
@$(BIN)/kedro score --env taco_litter det.boxes$(1) seg.masks$(1)
@$(BIN)/kedro score --env taco_ten cls.crops$(1) det.boxes$(1)
endef

test: install ## Check style, types, layers and promises
	@$(BIN)/ruff check src tests bench fuzz survive docs/generated
	@$(BIN)/ruff format --check src tests bench fuzz survive docs/generated
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder

test-slow: install ## The tests that take long: every recipe, the demo twice, thousands of random cases; real data where TACO_ROOT, AISTAGES_ROOT say
	@$(BIN)/pytest -m slow
	@MORE_EXAMPLES=25 $(BIN)/pytest tests/ensembling

lint: install ## Mend what ruff can mend, then check style, types and layers
	@$(BIN)/ruff check --fix src tests bench fuzz survive docs/generated
	@$(BIN)/ruff format src tests bench fuzz survive docs/generated
	@$(BIN)/mypy
	@$(BIN)/lint-imports

# Kedro-Viz asks Google for a font; without it, the browser's own is taken.
docs: install ## Build the site: site/index.html, with the graph in site/graph
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@$(BIN)/kedro viz build --include-previews
	@sed -i '/fonts\.g/d' build/index.html && mv build site/graph

viz: install ## Open the graph in Kedro-Viz
	@$(BIN)/kedro viz run

view: install ## Look at images, predictions, mistakes and experiments in the browser
	@$(BIN)/kedro view

# What is served: make serve WITH=data/06_models/exported/det.yolox.fold0.onnx
WITH ?= det.final

serve: install ## Serve WITH (det.final): a page to drop a photograph on, and an API
	@$(BIN)/kedro serve --with $(WITH)

bench: install ## Print every benchmark, against its peer
	@$(BIN)/python -m bench all

# Minutes for each target: make fuzz FUZZ_MINUTES=60
FUZZ_MINUTES ?= 10

fuzz: install ## Feed mutated files to all that reads data from outside, FUZZ_MINUTES for each
	@$(BIN)/python -m fuzz all --minutes $(FUZZ_MINUTES)

survive: install ## Stop the cut chain at 200 points and the demo at ten, and compare what the next runs make of it
	@$(BIN)/python -m survive --points 200 --demo 10

ship: ## Renew sample/, the predictions that the repository ships, from the demo's
	@rm -rf sample && mkdir sample
	@cd data && cp -r --parents 01_raw/sample/images/test 03_primary/test 03_primary/train \
	  05_model_input/folds.parquet ../sample
	@cd data && find 07_model_output -path '*/fold*/*' \
	  \( -name test.parquet -o -name out_of_fold.parquet -o -name '*_metrics.json' \
	  -o -path '*/test/*.png' -o -path '*/out_of_fold/*.png' \) \
	  -exec cp --parents {} ../sample \;

clean: ## Remove what runs have made (not the environment)
	@find data -mindepth 2 ! -name .gitkeep -delete
	@find data -mindepth 1 -type d -empty -delete
	@rm -rf build dist site .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

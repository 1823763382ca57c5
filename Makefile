# make demo            install, pre-train on real photographs, draw the reconstructions
# make transfer-demo   install, pre-train, then classify, segment and detect, with a table
# make test            install, run the tests
# make test STACK=openmmlab   the same on OpenMMLab's own packages, in an environment of its own
# make test OPERATORS=compiled   the same with mmcv's operators compiled, in an environment of its own
# make torture         install, kill trainings and damage files for a quarter of an hour
# make docs            build the documentation site, work_dirs/site
# make lint            install, run the linter and the format check
STACK ?= onedl
ifeq ($(filter $(STACK),onedl openmmlab),)
$(error STACK must be onedl or openmmlab, got '$(STACK)')
endif

# The first Python from 3.10 to 3.13 that runs.
SUPPORTED := import sys, ensurepip, venv; sys.exit(not (3, 10) <= sys.version_info < (3, 14))
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11 python3.10; do \
	$$python -c '$(SUPPORTED)' >/dev/null 2>&1 && echo $$python && break; done)

OPERATORS ?= torchvision
ifeq ($(filter $(OPERATORS),torchvision compiled),)
$(error OPERATORS must be torchvision or compiled, got '$(OPERATORS)')
endif

VENV := $(CURDIR)/.venv$(if $(filter openmmlab,$(STACK)),-openmmlab)$(if $(filter compiled,$(OPERATORS)),-compiled)
BIN := $(VENV)/bin
STAMP := $(VENV)/installed
REQUIREMENTS := $(addprefix requirements/,constraints.txt common.txt $(STACK).txt)

# The tests and the transfer demo also run mmseg's and mmdet's models.
TEST_STAMP := $(VENV)/installed-for-tests
TEST_REQUIREMENTS := requirements/tests.txt requirements/tests-$(STACK).txt
MMCV_onedl := onedl-mmcv==2.3.6
MMCV_openmmlab := mmcv==2.1.0
# For a CPU, which is enough for tests. pip's cache may hold this version without operators.
COMPILE = $(BIN)/pip install ninja==1.13.2 psutil==7.2.2 && $(BIN)/pip uninstall --yes mmcv-lite && \
	PATH=$(BIN):$$PATH CUDA_VISIBLE_DEVICES= MMCV_WITH_OPS=1 $(BIN)/pip install --no-deps \
	--no-build-isolation --no-cache-dir --force-reinstall $(MMCV_$(STACK))

DEMO_CONFIG := configs/demo/localmim_vit-mini-p16_1xb16-coslr-8e_photos.py
DEMO_DIR := work_dirs/demo
DEMO_PHOTOS := $(addprefix data/photos/,coffee.png flower.jpg chelsea.png china.jpg camera.png astronaut.png)

.DEFAULT_GOAL := help
.PHONY: help install demo transfer-demo test torture docs lint clean

help:
	@sed -n '1,/^[^#]/s/^# //p' Makefile

install: $(STAMP)

$(STAMP): $(REQUIREMENTS) setup.py
	@test -n '$(PYTHON)' || { echo 'error: no Python from 3.10 to 3.13 with venv was found;' \
		'install one (on Debian: python3 and python3-venv) or set PYTHON=' >&2; exit 1; }
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/pip install --upgrade pip setuptools==81.0.0 wheel==0.48.0
	$(BIN)/pip install -r requirements/common.txt
	$(BIN)/pip install -r requirements/$(STACK).txt
# mmcv asks for opencv-python, which needs libGL; the headless build of the same version does not.
	$(BIN)/pip uninstall --yes opencv-python
	$(BIN)/pip install --no-deps opencv-python-headless==5.0.0.93
	$(BIN)/pip install --no-deps --no-build-isolation --editable .
	touch $@

demo: install
	$(BIN)/python tools/gather_photos.py data/photos
	$(BIN)/python tools/train.py $(DEMO_CONFIG) --work-dir $(DEMO_DIR)
	$(BIN)/python tools/visualize.py $(DEMO_DIR)/epoch_8.pth $(DEMO_PHOTOS) \
		--out-dir $(DEMO_DIR)/reconstructions
	@echo "Checkpoint:"; echo "  $(DEMO_DIR)/epoch_8.pth"

transfer-demo: $(TEST_STAMP)
	$(BIN)/python tools/transfer_demo.py

$(TEST_STAMP): $(STAMP) $(TEST_REQUIREMENTS)
	$(BIN)/pip install -r requirements/tests.txt
	$(BIN)/pip install --no-deps -r requirements/tests-$(STACK).txt
	$(if $(filter compiled,$(OPERATORS)),$(COMPILE))
	touch $@

# Two processes of one thread each: most of the time is not torch's. One that dies fails the run;
# xdist would start another, and wait for it forever.
test: $(TEST_STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --max-worker-restart=0 --durations=25 tests

# What the tests do a few times, many times (see docs/reliability.md).
torture: $(TEST_STAMP)
	$(BIN)/python tools/gather_photos.py data/photos
	OMP_NUM_THREADS=1 $(BIN)/python tests/interruptions.py data/photos --kills 30
	OMP_NUM_THREADS=1 $(BIN)/python tests/checkpoints/fuzzing.py 50000

docs: $(TEST_STAMP)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

clean:
	rm -rf .venv .venv-* work_dirs data/photos data/scenes data/scenes_*

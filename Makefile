# `make demo` and `make test` are the two entry points; both make .venv from the lock first.
# The first of these that is suitable makes .venv; another one: make install PYTHON=/path/to/python
PYTHON ?= python3.13 python3.12 python3.11 python3
# Exits with what a Python lacks. _ssl and _sqlite3 are missing where it was built without their libraries.
SUITABLE := import sys, importlib.util as u; v = sys.version_info[:2]; \
	no = [m for m in ("venv", "ensurepip", "_ssl", "_sqlite3") if not u.find_spec(m)]; \
	sys.exit("is Python %d.%d" % v if not (3, 11) <= v <= (3, 13) else "lacks " + ", ".join(no) if no else 0)
VENV := .venv
BIN := $(CURDIR)/$(VENV)/bin
export PATH := $(BIN):$(PATH)
export BENTOML_DO_NOT_TRACK := True
# Two test processes with two torch threads each would compete for two cores.
ONE_THREAD := OMP_NUM_THREADS=1
export MLFLOW_DISABLE_TELEMETRY := true

# `clean` removes these below data/: outputs of the stages, their caches and the sweeps' running state. What a
# download, a user or a decision made stays: archives, larsnet, retrain, registry, serving.
MADE := inputs sources rmod codec transcription tokens sweep .sweep evaluate scores package cache site

.PHONY: help install ui demo listen restore test test-fast identity test-kill test-retrain test-retrain-kill test-slow test-pythons test-web test-load test-fuzz test-restart lint docs scale ship lock deps clean distclean

help: ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 20

install: $(VENV)/.installed ## make .venv from requirements.lock

# torch by pip, which honours the machine's own wheel folders (a CPU build beside the CUDA one); the rest by
# uv, ten times faster. --no-deps: the lock is complete, and two packages' own pins are too narrow. Compiling
# all modules here takes half a minute once; otherwise every stage and every worker would compile its imports.
$(VENV)/.installed: requirements.lock pyproject.toml
	@if "$(BIN)/python" -c '$(SUITABLE)' 2>/dev/null; then exit 0; fi; \
	for python in $(PYTHON); do \
		if ! command -v "$$python" >/dev/null; then reason="there is none"; \
		elif reason=$$("$$python" -c '$(SUITABLE)' 2>&1); then \
			echo "$$python -m venv $(VENV)"; exec "$$python" -m venv $(VENV); \
		fi; \
		reasons="$$reasons  $$python: $$(echo "$$reason" | head -n 1)\n"; \
	done; \
	printf "make: no Python of version 3.11 to 3.13 that can make environments was found:\n%b" "$$reasons" >&2; \
	echo "Install one (Debian: apt install python3 python3-venv), or: make install PYTHON=/path/to/python" >&2; \
	exit 1
	$(BIN)/pip install --disable-pip-version-check --quiet torch==2.13.0 uv==0.13.9
	$(BIN)/uv pip install --python $(BIN)/python --no-deps --compile-bytecode -r requirements.lock
	$(BIN)/uv pip install --python $(BIN)/python --no-deps --editable .
	touch $@

demo: install ## data, models, evaluation and a drum kit: dvc repro at laptop scale, then the table
	dvc repro
	python -m pipelines.demo

# Six loops that come with the package, and four of Debian's sonic-pi-samples; all CC0.
FETCHED = $(addprefix data/archives/sonic-pi-samples/usr/share/sonic-pi/samples/loop_,amen.flac electric.flac mehackit1.flac weirdo.flac)

listen: install ## data/listen/listen.html: ten real recordings with their kits, grooves and resynthesis
	test -d data/archives/sonic-pi-samples || dose sources fetch sonic-pi-samples
	dose extract src/dose/sources/demo $(FETCHED) --out data/listen/kits --page data/listen/listen.html

# Without the job workers, which take 2.7 GB and do nothing here.
ui: install ## every run, curve and sound in MLflow's UI, on http://127.0.0.1:5000
	@echo 'model training, by val/mss: http://127.0.0.1:5000/#/experiments/1/runs?workflowType=machine_learning&orderByKey=metrics.%60val%2Fmss%60&orderByAsc=true'
	MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false mlflow ui --workers 1 --backend-store-uri sqlite:///mlflow.db

# The workspace of a release: outputs from the remote, then what DVC does not hold, from those outputs.
restore: install ## a fresh clone with a DVC remote: its outputs, MLflow's trials, registry and Bento
	dvc pull
	python -m pipelines.package --restore

test: install ## every check: lint, layers, types, tests, the whole DAG at tiny scale
	$(MAKE) lint
	$(ONE_THREAD) python -m pytest -n 2
	$(MAKE) identity QUICK=--quick
	python -m pytest tests/test_readme.py tests/pipelines/test_readme_project.py tests/test_docs.py tests/test_light_imports.py -m slow -x
	python -m pytest tests/pipelines/test_dag.py -m slow -k "not sigkill" -x
	python -m pytest tests/dose/retrain/test_sigkill.py -m slow -k a_whole_run -x

test-fast: install ## the tests alone, without the DAG
	$(ONE_THREAD) python -m pytest -n 2

# Exit code 2: a clone without the base commit (shallow), which has nothing to compare with.
identity: install ## data, losses, scores and kits are those of the commit before the last change of names
	$(ONE_THREAD) python -m benchmarks.identity $(QUICK) || test $$? -eq 2

test-kill: install ## SIGKILL in each stage of the DAG, then run it again
	python -m pytest tests/pipelines/test_dag.py -m slow -k sigkill -x

test-retrain: install ## from 20 new sounds to the running service, on the real stages at tiny scale: 10 minutes
	python -m pytest tests/pipelines/test_retrain_whole.py -m slow -s -x

test-retrain-kill: install ## SIGKILL after and within each phase of retraining, with cheap stages
	python -m pytest tests/dose/retrain/test_sigkill.py -m slow -x

test-pythons: install ## the wheel in an empty environment of each Python that is there: kit, service, page
	python -m pytest tests/test_wheel.py -m slow -x

test-slow: install ## the tests marked slow
	python -m pytest -m slow

test-web: install ## the page in headless Chromium; writes the screenshots in docs/images
	DOSE_SCREENSHOTS=1 python -m pytest tests/serving/test_page.py tests/serving/test_page_groove.py \
		tests/serving/test_page_access.py tests/serving/test_page_files.py -m slow

test-load: install ## 200 requests from 16 clients, 1,000 for memory, against a real server
	DOSE_LOAD=200 DOSE_GROWTH=1000 python -m pytest tests/serving/test_load.py -m slow -s

test-fuzz: install ## 2,000 containers with odd headers, and 2,000 hostile files against a real server
	DOSE_CONTAINERS=2000 python -m pytest tests/cases/test_containers.py
	DOSE_FUZZ=2000 python -m pytest tests/serving/test_fuzz.py -m "slow or not slow" -s

test-restart: install ## crashes and graceful stops during jobs
	python -m pytest tests/serving/test_restart.py -m slow

lint: install ## style, layers, types, prose
	ruff check .
	ruff format --check .
	lint-imports
	mypy
	python tests/prose.py

docs: install ## the documentation as a site, in data/site, built strictly and without a network
	NO_MKDOCS_2_WARNING=1 mkdocs build --strict --quiet

scale: install ## write another scale into params.yaml: make scale SCALE=paper
	python -m pipelines.scale $(SCALE)

# What the shipped models are made from; `dose sources list` describes them. Nothing is trained on the last two.
SHIPPED_FROM = fluid-soundfont-gm open-source-drumkit muldjordkit gogodze-phu-2 frankensnare body-percussion \
	world-percussion gogodze-phu-1 web-audio-samples drum-machines sampled free-drum-samples \
	hydrogen-drumkits lmms-common

# params.yaml stays at the shipped scale: `git checkout params.yaml` restores it. docs/shipped keeps what was run.
ship: install ## train the shipped models anew and put them into the package: three hours on two cores
	for name in $(SHIPPED_FROM); do test -d data/archives/$$name || dose sources fetch $$name || exit 1; done
	python -m pipelines.scale shipped
	dvc repro sweep
	python -m pipelines.package --ship
	mkdir -p docs/shipped
	cp dvc.lock params.yaml docs/shipped/
	for drum in kick snare hihat; do cp data/sweep/$$drum/trials.json docs/shipped/$$drum.json; done

deps: install ## write each stage's import closure into dvc.yaml
	python -m pipelines.closure

# One lock for all supported Pythons. Versions in requirements.lock stay where they fit: to move one forward,
# delete its line first. Packages of no system at all are what overrides.txt leaves out.
lock: install ## compile requirements.lock from pyproject.toml
	uv pip compile pyproject.toml --all-extras --override overrides.txt --universal --fork-strategy fewest \
		--python-version 3.11 --no-emit-package torch --no-header --no-annotate --quiet -o requirements.lock
	sed -i "/sys_platform == 'never'/d" requirements.lock

clean: ## remove what the stages made; keeps fetched packages, retraining's sounds, MLflow's store and the registry
	rm -rf $(MADE:%=data/%)

distclean: ## remove all of data/, MLflow's runs and the registry too
	rm -rf data mlflow.db mlflow.db-* mlruns mlartifacts

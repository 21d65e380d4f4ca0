# On a fresh Debian or Ubuntu with Python 3.11 or newer, `make demo` and `make test` are all that is needed.

# The first interpreter that is new enough.
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then echo $$python; break; fi; done)
VENV   ?= .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

.PHONY: help demo test check style types papers bench docs dashboards format debian clean

help:
	@echo "make demo    run three real llama.cpp engines with tiny models behind the sidecar, with traffic, until Ctrl-C"
	@echo "             (DEMO='--duration 20' and the like pass options on; TEST= and BENCH= do for the others)"
	@echo "make test    the tests, and meanwhile the check; installs the Debian packages that they use, where it may"
	@echo "make check   formatting, lint, types, import rules; dashboards, alerts, deployment, docs"
	@echo "make bench   CPU and latency per request and per chunk, side by side with nginx"
	@echo "make docs    write the generated pages of docs/ anew"
	@echo "make dashboards  write the Grafana dashboards anew, from dashboards/generator"
	@echo "make viewer  fetch Swagger UI, which shows the API at /api/docs, anew (npm)"
	@echo "make uplot   fetch uPlot, which draws the charts of /monitoring, anew (npm)"

$(READY): pyproject.toml constraints.txt
	@tests/debian-packages venv
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed; none was found"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: $(READY)
	@$(BIN)/llama-exporter demo $(DEMO)

debian:
	@tests/debian-packages test

# Most tests wait more than they compute, so they run in two processes: those of the whole sidecar, and those of its parts.
# The check is made meanwhile, with what these leave of the processors. What the others have to say is told at the end.
test: $(READY) debian
	@nice -n 19 $(MAKE) --no-print-directory check >$(VENV)/check.log 2>&1 & check=$$!; \
	parts=; failed=0; \
	if [ -z "$(TEST)" ]; then \
		$(BIN)/python -m pytest -q $(addprefix --ignore=,$(PAPERS) $(WHOLE)) >$(VENV)/parts.log 2>&1 & parts=$$!; \
	fi; \
	$(BIN)/python -m pytest $(or $(TEST),$(WHOLE)) || failed=$$?; \
	if [ -n "$$parts" ]; then wait $$parts || failed=1; cat $(VENV)/parts.log; fi; \
	wait $$check || failed=1; \
	cat $(VENV)/check.log; \
	exit $$failed

WHOLE := tests/end_to_end

# Tests of what is read and not run, of what computes and does nothing else, and of the store. No timing matters to them,
# so they run beside the type checker.
PAPERS := tests/docs tests/dashboards tests/deploy tests/prometheus tests/store tests/observe tests/routing tests/settings

check: $(READY)
	@$(MAKE) --no-print-directory -j2 --output-sync=target types papers style

style: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/python -m dashboards.generator --check

types: $(READY)
	$(BIN)/mypy

papers: $(READY)
	$(BIN)/python -m pytest -q $(PAPERS)

bench: $(READY)
	@tests/debian-packages bench
	@$(BIN)/python -m tests.bench $(BENCH)

docs: $(READY)
	$(BIN)/python docs/generate.py

dashboards: $(READY)
	$(BIN)/python -m dashboards.generator

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage

.PHONY: coverage
coverage: $(READY)
	$(BIN)/python -m pytest -q tests/proxy tests/observe --cov=exporter.proxy --cov=exporter.observe --cov-branch --cov-fail-under=95

# Swagger UI, which shows the API at /api/docs: the files of one exact release, compressed the same way each time.
SWAGGER_UI        := 5.35.0
SWAGGER_UI_SHA256 := 1b8e891893404ea4c3558b6a87e2a3e494e7eedba41168c2ece5800a391a6ea6
VIEWER            := exporter/api/openapi/viewer

.PHONY: viewer
viewer:
	@set -e; folder=$$(mktemp -d); trap 'rm -rf "$$folder"' EXIT; \
	npm pack --silent --pack-destination "$$folder" swagger-ui-dist@$(SWAGGER_UI) >/dev/null; \
	archive="$$folder/swagger-ui-dist-$(SWAGGER_UI).tgz"; \
	echo "$(SWAGGER_UI_SHA256)  $$archive" | sha256sum --check --quiet; \
	tar -xzf "$$archive" -C "$$folder"; \
	for file in swagger-ui-bundle.js swagger-ui.css; do gzip -9 -n -c "$$folder/package/$$file" > $(VIEWER)/$$file.gz; done; \
	for file in LICENSE NOTICE swagger-ui-bundle.js.LICENSE.txt; do cat "$$folder/package/$$file" > $(VIEWER)/$$file; done; \
	ls -l $(VIEWER)

# uPlot, which draws the charts of /monitoring: the files of one exact release.
UPLOT        := 1.6.32
UPLOT_SHA256 := 4b8a8191e425658e3ea8c8c1314b0fc679c861ee3a1af2b20c7b16ba50b5133d
ASSETS       := exporter/api/monitoring/assets

.PHONY: uplot
uplot:
	@set -e; folder=$$(mktemp -d); trap 'rm -rf "$$folder"' EXIT; \
	npm pack --silent --pack-destination "$$folder" uplot@$(UPLOT) >/dev/null; \
	archive="$$folder/uplot-$(UPLOT).tgz"; \
	echo "$(UPLOT_SHA256)  $$archive" | sha256sum --check --quiet; \
	tar -xzf "$$archive" -C "$$folder"; \
	cp "$$folder/package/dist/uPlot.iife.min.js" $(ASSETS)/uplot.js; \
	cp "$$folder/package/dist/uPlot.min.css" $(ASSETS)/uplot.css; \
	cp "$$folder/package/LICENSE" $(ASSETS)/uplot.LICENSE; \
	ls -l $(ASSETS)/uplot.*

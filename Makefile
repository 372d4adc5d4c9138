# Needs Go, git and make. Go fetches the rest; nothing is written outside this folder but Go's caches.
#
# Variables to set on the command line:
#   DIST=core          which components `make layer` builds in: core, full, or the path of a builder manifest
#   RACE=auto|on|off   auto: the race detector wherever cgo works; on: fail where it does not
#   FUZZTIME=30s       how long each fuzz target runs
#   FAULTS='-run X'    flags for test-faults
#   SOAK='-seed 7'     flags for test-soak
#   BENCH='-runs 40'   flags for bench and bench-compare
#   BASE=v0.1.0        the revision that bench-compare compares with

MAKEFLAGS += --warn-undefined-variables --no-builtin-rules
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

DIST     := core
GO       ?= go
RACE     ?= auto
FUZZTIME ?= 30s
FAULTS   ?=
SOAK     ?=
BENCH    ?=
BASE     ?=

BUILD_DIR    := build
DIST_DIR     := dist

STOCK_COLLECTOR := test/stockcollector/_build/stockcollector
LAYER_ARCHES := amd64 arm64

# Nothing here needs a C compiler, and a broken one should not matter. The race detector switches this back.
export CGO_ENABLED := 0
# A workspace around the tree would change which versions are built.
export GOWORK := off
# Each instruction set's baseline: what every Lambda host has, whatever the builder's environment says.
export GOAMD64 := v1
export GOARM64 := v8.0
# golangci-lint's default is the home directory.
export GOLANGCI_LINT_CACHE := $(CURDIR)/$(BUILD_DIR)/golangci-lint

# The manifest says it once. Nothing that varies with time, machine or checkout goes into a build.
VERSION     := $(shell sed -n 's/^  version: *//p' builder-config.yaml)
LAYER_TAGS  := $(shell sed -n 's/^  build_tags: *//p' builder-config.yaml)
LAYER_FLAGS := -trimpath -buildvcs=false -tags $(LAYER_TAGS) -ldflags "-s -w -X main.version=$(VERSION)"

# The tools have a module of their own, so that they do not take part in choosing the collector's versions.
TOOL := $(GO) tool -modfile=$(CURDIR)/internal/tools/go.mod

# Modules besides this one that are tested and linted: the examples' functions and test programs. Those of the
# distributions are no more than a go.mod.
MODULES := $(patsubst %/go.mod,%,$(shell find . -name go.mod -not -path './go.mod' -not -path './internal/tools/*' \
	-not -path './distributions/*' -not -path './$(BUILD_DIR)/*' -not -path '*/_*' | sort))

# What tells another distribution's files from the core's, and the folder for the generated module of its collector.
ifeq ($(DIST),core)
DIST_SUFFIX :=
DIST_MODULE :=
MANIFEST    := builder-config.yaml
else
DIST_NAME   := $(basename $(notdir $(DIST)))
DIST_SUFFIX := -$(DIST_NAME)
DIST_MODULE := $(BUILD_DIR)/distribution-$(DIST_NAME)
MANIFEST    := $(or $(wildcard distributions/$(DIST)/builder-config.yaml),$(abspath $(DIST)))
endif

say = @printf '==> %s\n'

# go build -v names each package it compiles; this makes one line of a hundred, so that a cold build is seen to go on.
PROGRESS := awk '/ / { print; fflush(); next } ++n % 100 == 0 { print "    " n " packages compiled"; fflush() }'

# warm compiles the tool of package $(1) with progress; go tool is silent while it does.
warm = @$(GO) build -modfile=$(CURDIR)/internal/tools/go.mod -v -o /dev/null $(1) 2>&1 | $(PROGRESS)

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

# --- run -------------------------------------------------------------------------------------------------------------

.PHONY: demo
demo: $(BUILD_DIR)/layer$(DIST_SUFFIX) $(BUILD_DIR)/demo ## Run the example function with the layer in the simulator
	$(say) 'running 5 invocations'
	$(BUILD_DIR)/lambdasim run --layer $(BUILD_DIR)/layer$(DIST_SUFFIX) --function $(BUILD_DIR)/functions/go/bootstrap --invocations 5 --show --quiet

# The layer for this machine, unpacked.
.PHONY: $(BUILD_DIR)/layer$(DIST_SUFFIX)
$(BUILD_DIR)/layer$(DIST_SUFFIX): $(DIST_MODULE)
	$(say) 'building the layer'
	$(call build-tree,$@,)

# What else the demo runs.
.PHONY: $(BUILD_DIR)/demo
$(BUILD_DIR)/demo:
	$(say) 'building the example function'
	@$(GO) -C examples/functions/go build -v -trimpath -buildvcs=false -o $(CURDIR)/$(BUILD_DIR)/functions/go/bootstrap . 2>&1 | $(PROGRESS)
	$(say) 'building the simulator'
	@$(GO) build -v -trimpath -buildvcs=false -o $(BUILD_DIR)/lambdasim ./cmd/lambdasim 2>&1 | $(PROGRESS)

.PHONY: bench
bench: $(BUILD_DIR)/layer$(DIST_SUFFIX) $(STOCK_COLLECTOR) ## Measure cold start, CPU, memory and throughput of the layer, what is delivered when, and log lines
	@$(GO) run ./bench -layer $(BUILD_DIR)/layer$(DIST_SUFFIX) -stock $(STOCK_COLLECTOR) $(BENCH)

# The other revision is built as its own Makefile says, in a clone, so that nothing in this tree changes.
BASE_DIR := $(BUILD_DIR)/base

.PHONY: bench-compare
bench-compare: $(BUILD_DIR)/layer$(DIST_SUFFIX) $(STOCK_COLLECTOR) ## Measure the layer beside that of another revision: make bench-compare BASE=v0.1.0
	@[ -n '$(BASE)' ] || { echo 'say with which revision: make bench-compare BASE=HEAD'; exit 1; }
	@revision=$$(git rev-parse --verify --end-of-options '$(BASE)^{commit}'); \
	echo "==> building the layer of $(BASE), $$revision"; \
	rm -rf $(BASE_DIR); \
	git clone -q --no-checkout . $(BASE_DIR); \
	git -C $(BASE_DIR) checkout -q --detach "$$revision"; \
	$(MAKE) --no-print-directory -C $(BASE_DIR) "layer-$$($(GO) env GOARCH)"
	@$(GO) run ./bench -layer $(BUILD_DIR)/layer$(DIST_SUFFIX) -stock $(STOCK_COLLECTOR) -delivery=false -decode=false \
		-compare '$(BASE)=$(BASE_DIR)/$(BUILD_DIR)/layer$(DIST_SUFFIX)-'"$$($(GO) env GOARCH)" $(BENCH)

# --- layer -----------------------------------------------------------------------------------------------------------

# build-tree makes in folder $(1) what Lambda unpacks at /opt. $(2) are variables for go build.
define build-tree
	@rm -rf $(1)
	@mkdir -p $(1)/extensions $(1)/otelcol-lambda $(1)/collector-config
	@$(2) $(GO) build -v $(LAYER_FLAGS) -o $(1)/extensions/otelcol-lambda ./cmd/guard 2>&1 | $(PROGRESS)
	@$(2) $(GO) build -v $(LAYER_FLAGS) -o $(1)/otelcol-lambda/collector . 2>&1 | $(PROGRESS)
	@cp config.yaml $(1)/collector-config/config.yaml
	$(if $(DIST_MODULE),$(call build-fuller,$(1),$(2)))
endef

# build-fuller adds the collector that the guard turns to for a configuration that needs more than the core.
build-fuller = @$(2) GOFLAGS="$$(cat $(DIST_MODULE)/goflags)" $(GO) -C $(DIST_MODULE) build -v \
	-o $(abspath $(1))/otelcol-lambda/collector-full . 2>&1 | $(PROGRESS)

# write-module writes the module of that collector. $(1) are flags.
define write-module
	$(call warm,go.opentelemetry.io/collector/cmd/builder)
	@rm -rf $(DIST_MODULE)
	@$(GO) run ./cmd/distmod -manifest $(MANIFEST) -name $(DIST_NAME) -o $(DIST_MODULE) $(1) -- $(OCB)
endef

ifneq ($(DIST_MODULE),)
.PHONY: $(DIST_MODULE)
$(DIST_MODULE):
	$(say) 'writing the module of $(MANIFEST)'
	$(call write-module,)
endif

.PHONY: layer
layer: $(LAYER_ARCHES:%=layer-%) ## Build dist/otelcol-lambda-layer-{amd64,arm64}.zip, or with DIST another
	@printf '\n%-8s %14s %16s %14s %10s\n' layer 'guard bytes' 'collector bytes' 'zip bytes' packages
	@for arch in $(LAYER_ARCHES); do \
		printf '%-8s %14d %16d %14d %10d\n' $$arch \
			"$$(wc -c < $(BUILD_DIR)/layer$(DIST_SUFFIX)-$$arch/extensions/otelcol-lambda)" \
			"$$(wc -c < $(BUILD_DIR)/layer$(DIST_SUFFIX)-$$arch/otelcol-lambda/collector)" \
			"$$(wc -c < $(DIST_DIR)/otelcol-lambda-layer$(DIST_SUFFIX)-$$arch.zip)" \
			"$$(GOOS=linux GOARCH=$$arch $(GO) list -deps -tags $(LAYER_TAGS) . | wc -l)"; \
	done

.PHONY: layer-%
layer-%: $(DIST_MODULE)
	$(say) 'building the layer for linux/$*'
	$(call build-tree,$(BUILD_DIR)/layer$(DIST_SUFFIX)-$*,GOOS=linux GOARCH=$*)
	@mkdir -p $(DIST_DIR)
	@$(GO) run ./cmd/layerzip -o $(DIST_DIR)/otelcol-lambda-layer$(DIST_SUFFIX)-$*.zip -C $(BUILD_DIR)/layer$(DIST_SUFFIX)-$*

# A manifest that is not part of the tree stays where it is.
DIST_AGAIN = $(if $(filter /%,$(MANIFEST)),DIST=$(MANIFEST))

# The second build happens in a copy of the tree, so path, times, umask and time zone differ.
.PHONY: layer-check
layer-check: layer ## Build the layer twice and compare the bytes
	$(say) 'building the layer again, elsewhere'
	@rm -rf $(BUILD_DIR)/again
	@mkdir -p $(BUILD_DIR)/again
	@tar -cf - --exclude=./.git --exclude=./$(BUILD_DIR) --exclude=./$(DIST_DIR) --exclude='_*' . | tar -xf - -m -C $(BUILD_DIR)/again
	@umask 077 && TZ=Asia/Kathmandu $(MAKE) --no-print-directory -C $(BUILD_DIR)/again layer $(DIST_AGAIN)
	@for arch in $(LAYER_ARCHES); do \
		zip=$(DIST_DIR)/otelcol-lambda-layer$(DIST_SUFFIX)-$$arch.zip; \
		cmp $$zip $(BUILD_DIR)/again/$$zip || { echo "$$zip is not reproducible"; exit 1; }; \
		echo "identical twice: $$zip"; \
	done
	@rm -rf $(BUILD_DIR)/again

# --- check -----------------------------------------------------------------------------------------------------------

# The race detector needs cgo to work, which takes a compiler and the C library's headers.
CGO_WORKS = CGO_ENABLED=1 $(GO) build -o /dev/null runtime/cgo 2>/dev/null
define race-flag
case '$(RACE)' in \
	on) race=-race; $(CGO_WORKS) || { echo 'RACE=on needs a C compiler with its headers (for example gcc and libc6-dev)'; exit 1; };; \
	auto) race=; if $(CGO_WORKS); then race=-race; fi;; \
	off) race=;; \
	*) echo 'RACE is one of auto, on, off'; exit 1;; \
esac; \
if [ -n "$$race" ]; then export CGO_ENABLED=1; fi
endef

# A Collector of upstream components only: a backend for the tests of the whole layer, and what bench compares with.
$(STOCK_COLLECTOR): test/stockcollector/builder-config.yaml internal/tools/go.mod
	$(say) 'building a stock Collector to send to'
	$(call warm,go.opentelemetry.io/collector/cmd/builder)
	@cd $(dir $<) && $(OCB) --config $(notdir $<) --skip-strict-versioning=false

# -count=1: tests of whole processes build and start programs that the test cache does not know of.
.PHONY: test
test: $(STOCK_COLLECTOR) ## Run all tests, with the race detector where there is a C compiler
	@$(race-flag); \
	echo "==> race detector: $${race:-off (no working C compiler)}"; \
	failed=0; \
	for dir in $(MODULES) .; do \
		echo "==> compiling $$dir"; \
		$(GO) -C $$dir build $$race -v ./... 2>&1 | $(PROGRESS); \
		echo "==> testing $$dir"; \
		STOCK_COLLECTOR=$(CURDIR)/$(STOCK_COLLECTOR) $(GO) -C $$dir test $$race -count=1 -timeout 15m ./... || failed=1; \
	done; \
	exit $$failed

# The full distribution takes minutes to compile, so it has a target of its own.
.PHONY: test-full
test-full: ## Build the full layer for this machine, and run it
	@$(MAKE) --no-print-directory DIST=full $(BUILD_DIR)/layer-full
	@$(race-flag); \
	FULL_LAYER=$(CURDIR)/$(BUILD_DIR)/layer-full $(GO) test $$race -count=1 -timeout 10m -run '^TestFull' ./test/layer

# Whole processes that wait for bounds rather than compute, so several cells run at a time.
.PHONY: test-faults
test-faults: ## Break the collector in every way at every moment, and print what the function noticed
	@$(GO) run ./test/faults $(FAULTS)

.PHONY: test-soak
test-soak: ## Run 20,000 invocations with everything drawn at random, and account for every item
	@$(GO) run ./test/soak $(SOAK)

.PHONY: size
size: ## Print and gate the sizes of budget_test.go, and what is linked
	$(GO) test -count=1 -run '^Test(SizeBudget|Footprint)$$' -v .

.PHONY: update-footprint
update-footprint: ## Write down anew what is linked (testdata/*/*.golden)
	$(GO) test -count=1 -run '^TestFootprint$$' . -update

.PHONY: fuzz
fuzz: ## Run each fuzz target for FUZZTIME
	@grep -rn --include='*_test.go' --exclude-dir=$(BUILD_DIR) -oE '^func Fuzz[A-Za-z0-9_]+' . | \
	while IFS=: read -r file _ decl; do \
		echo "==> $${decl#func } in $$(dirname $$file)"; \
		$(GO) -C "$$(dirname $$file)" test -run '^$$' -fuzz "^$${decl#func }\$$" -fuzztime $(FUZZTIME) .; \
	done

.PHONY: lint
lint: lint-format lint-headers lint-tidy lint-go ## Check format, headers, go.mod files, vet and golangci-lint

GO_FILES = find . -name '*.go' -not -path './.git/*' -not -path './$(BUILD_DIR)/*' -not -path '*/_*'

.PHONY: lint-format
lint-format:
	$(say) 'gofmt -s'
	@bad=$$($(GO_FILES) -print0 | xargs -0 gofmt -s -l); \
	[ -z "$$bad" ] || { printf 'not formatted; run gofmt -s -w on:\n%s\n' "$$bad"; exit 1; }

.PHONY: lint-headers
lint-headers:
	$(say) 'licence headers'
	@bad=$$($(GO_FILES) -print | sort | while read -r f; do \
		case "$$(head -n 2 "$$f")" in \
		'// Copyright The otelcol-lambda Authors'$$'\n''// SPDX-License-Identifier: Apache-2.0'*) ;; \
		'// Code generated by "go.opentelemetry.io/collector/cmd/builder". DO NOT EDIT.'*) ;; \
		*) echo "$$f";; \
		esac; \
	done); \
	[ -z "$$bad" ] || { printf 'without the two header lines:\n%s\n' "$$bad"; exit 1; }

.PHONY: lint-tidy
lint-tidy:
	@for dir in . $(MODULES); do \
		echo "==> go mod tidy -diff in $$dir"; \
		$(GO) -C $$dir mod tidy -diff || { echo "run go mod tidy in $$dir"; exit 1; }; \
	done

.PHONY: lint-go
lint-go:
	$(say) 'compiling golangci-lint'
	$(call warm,github.com/golangci/golangci-lint/v2/cmd/golangci-lint)
	@# Exclusions that only the main module needs are warned of in the others: hence the LOG_LEVEL.
	@failed=0; \
	for dir in . $(MODULES); do \
		echo "==> go vet in $$dir"; \
		$(GO) -C $$dir vet -tags $(LAYER_TAGS) ./... || failed=1; \
		echo "==> golangci-lint in $$dir"; \
		(cd $$dir && if [ $$dir != . ]; then export LOG_LEVEL=error; fi && \
			$(TOOL) golangci-lint run --allow-serial-runners --config $(CURDIR)/.golangci.yml ./...) || failed=1; \
	done; \
	exit $$failed

# --- generate --------------------------------------------------------------------------------------------------------

# The builder merges the environment over the manifest, so a variable that happens to be called EXPORTERS would replace
# a section.
OCB := env -u DIST -u RECEIVERS -u PROCESSORS -u EXPORTERS -u CONNECTORS -u EXTENSIONS -u PROVIDERS -u CONVERTERS \
	-u TELEMETRY -u REPLACES -u EXCLUDES $(TOOL) builder

# The builder writes five files with fixed names, main.go among them, so it writes beside the tree and one is taken.
.PHONY: _ocb/components.go
_ocb/components.go:
	$(say) 'running the collector builder'
	$(call warm,go.opentelemetry.io/collector/cmd/builder)
	@rm -rf _ocb
	@$(OCB) --config builder-config.yaml --skip-compilation --skip-get-modules
	@gofmt -s -w $@

.PHONY: generate
generate: _ocb/components.go ## Write components.go from builder-config.yaml, and documentation.md from metadata.yaml
	@cp _ocb/components.go components.go
	@$(GO) test -count=1 -run '^TestDocumentation$$' ./receiver/telemetryapireceiver -update

.PHONY: check-generated
check-generated: _ocb/components.go ## Fail when what make generate writes is stale
	@diff -u components.go _ocb/components.go || { echo 'components.go is stale: run make generate'; exit 1; }
	@$(GO) test -count=1 -run '^TestDocumentation$$' ./receiver/telemetryapireceiver

.PHONY: lock
lock: ## Write go.mod and go.sum of the distribution DIST
	$(if $(DIST_MODULE),,$(error make lock is for other distributions than the core: say DIST=full))
	$(call write-module,-lock)

.PHONY: check-lock
check-lock: ## Fail when go.mod and go.sum of the distribution DIST are not what its manifest makes
	$(if $(DIST_MODULE),,$(error make check-lock is for other distributions than the core: say DIST=full))
	$(call write-module,-check)

# What somebody gets who lists our components in a manifest of their own: upstream's main.go, and versions resolved anew.
.PHONY: stock-ocb
stock-ocb: ## Build the manifest with the stock collector builder and validate config.yaml with the result
	$(say) 'building with the stock collector builder'
	$(call warm,go.opentelemetry.io/collector/cmd/builder)
	@rm -rf _ocb
	@$(OCB) --config builder-config.yaml --skip-strict-versioning=false --verbose
	$(say) 'validating config.yaml'
	_ocb/otelcol-lambda validate --config config.yaml
	@echo 'config.yaml is valid'

.PHONY: clean
clean: ## Delete everything the other targets made
	rm -rf $(BUILD_DIR) $(DIST_DIR) _ocb $(dir $(STOCK_COLLECTOR))

# make run    build, and show what the first configuration would have done on this machine's journal
# make test   all tests: unit, golden, and live ones against a real journald and real nftables
# make bench  the figures of docs/benchmarks/README.md
# make lint   golangci-lint, with the import directions of the rooms
# make fuzz   every fuzz target for FUZZTIME each
# make build  only build bin/pyruse
#
# Whatever is missing on a Debian 12 machine is installed first (as root, or with sudo).

SHELL       := /bin/bash
VERSION     := $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
TAGS        := libsqlite3
FUZZTIME    ?= 20s
GOLANGCI    := v2.6.2
GO          := .ci/go
export CGO_ENABLED := 1

.PHONY: build run test bench lint fuzz clean setup-build setup-test
.DEFAULT_GOAL := build

setup-build:
	@.ci/setup build

setup-test:
	@.ci/setup build test

build: setup-build
	$(GO) build -trimpath -tags $(TAGS) -ldflags "-X main.version=$(VERSION)" -o bin/pyruse ./cmd/pyruse

run: build
	@.ci/show

test: setup-test
	$(GO) test -race -tags $(TAGS) ./...

bench: build setup-test
	$(GO) run -tags $(TAGS) ./docs/benchmarks

LINTER := bin/golangci-lint-$(GOLANGCI)

lint: setup-build
	@[ -x $(LINTER) ] || { echo "setup: building golangci-lint $(GOLANGCI)"; \
	  GOBIN=$(CURDIR)/bin $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI) && mv bin/golangci-lint $(LINTER); }
	PATH="$$(.ci/go-path):$$PATH" $(LINTER) run --build-tags $(TAGS) ./...

fuzz: setup-test
	@set -e; for file in $$(grep -rl --include=*_test.go '^func Fuzz' internal cmd); do \
	  for target in $$(grep -o '^func Fuzz[A-Za-z0-9_]*' $$file | cut -c6-); do \
	    echo "== $$target"; $(GO) test -tags $(TAGS) -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) ./$$(dirname $$file); \
	  done; \
	done

clean:
	rm -rf bin

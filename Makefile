# make run      build, and show what the first configuration would have done on this machine's journal
# make test     all tests: unit, golden, and live ones against a real journald and real nftables
# make deb      build the Debian package, bin/pyruse_*.deb
# make test-deb lintian, the licences, a second build with the same bytes, the maintainer scripts, an installation under a systemd, piuparts
#               (needs root)
# make test-vm  install that package on a Debian in qemu, and try all that needs a whole machine (needs root)
# make bench    the figures of docs/benchmarks/README.md
# make lint     golangci-lint, with the import directions of the rooms; shellcheck
# make fuzz     every fuzz target for FUZZTIME each
# make build    only build bin/pyruse
# make install  put the program, man pages, JSON Schemas, shell completions, systemd units and the rules that come with
#               Pyruse below PREFIX (/usr/local; packages take PREFIX=/usr), or below DESTDIR and PREFIX, which needs no
#               root. Builds only if nothing was built. NOTIFY_RELOAD=yes or no: are the units for systemd 253 or newer?
#
# Whatever is missing on a Debian 12 machine is installed first (as root, or with sudo).

SHELL       := /bin/bash
VERSION     := $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
TAGS        := libsqlite3
FUZZTIME    ?= 20s
GOLANGCI    := v2.6.2
GO          := .ci/go
# What makes mounts of its own.
ROOTED      := .ci/rooted
BIN         ?= bin/pyruse
PREFIX      ?= /usr/local
LDFLAGS     := -X main.version=$(VERSION)
export CGO_ENABLED := 1

.PHONY: build install run test deb test-deb test-vm bench lint fuzz clean setup-build setup-test setup-lint setup-deb setup-vm
.DEFAULT_GOAL := build

setup-build:
	@.ci/setup build

setup-test:
	@.ci/setup build test

setup-lint:
	@.ci/setup build lint

setup-deb:
	@.ci/setup build deb

setup-vm:
	@.ci/setup build deb vm

build: setup-build
	$(GO) build -trimpath -tags $(TAGS) -ldflags "$(LDFLAGS)" -o bin/pyruse ./cmd/pyruse

# It builds nothing that is there already, so that root does not build what a user has built.
bin/pyruse:
	@$(MAKE) --no-print-directory build

DEST          := $(DESTDIR)$(PREFIX)
# Where a build looks for rules, wherever it is installed: config.VendorDir.
RULES         := $(DESTDIR)/usr/lib/pyruse.d
SYSTEMD       := $(shell systemctl --version 2>/dev/null | sed -n 's/^systemd \([0-9]*\).*/\1/p')
NOTIFY_RELOAD ?= $(shell [ "$(SYSTEMD)" -ge 253 ] 2>/dev/null && echo yes || echo no)
# What a unit file says of this installation.
UNIT          := sed 's,^\(Exec[A-Za-z]*=\)/usr/bin/,\1$(PREFIX)/bin/,'
ifeq ($(NOTIFY_RELOAD),yes)
UNIT          += | sed -e 's/^Type=notify$$/Type=notify-reload/' -e '/^ExecReload=/d'
endif

install: .SHELLFLAGS := -o pipefail -c
install: $(BIN)
	install -D -m 0755 $(BIN) '$(DEST)/bin/pyruse'
	install -d '$(DEST)/share/man/man8' '$(DEST)/share/man/man5' '$(DEST)/share/pyruse' \
	  '$(DEST)/share/bash-completion/completions' '$(DEST)/share/zsh/site-functions' '$(DEST)/share/fish/vendor_completions.d'
	install -m 0644 docs/man/*.8 '$(DEST)/share/man/man8'
	install -m 0644 docs/man/*.5 '$(DEST)/share/man/man5'
	$(BIN) schema                | install -m 0644 /dev/stdin '$(DEST)/share/pyruse/pyruse.schema.json'
	$(BIN) schema --fragment     | install -m 0644 /dev/stdin '$(DEST)/share/pyruse/fragment.schema.json'
	$(BIN) completion bash       | install -m 0644 /dev/stdin '$(DEST)/share/bash-completion/completions/pyruse'
	$(BIN) completion zsh        | install -m 0644 /dev/stdin '$(DEST)/share/zsh/site-functions/_pyruse'
	$(BIN) completion fish       | install -m 0644 /dev/stdin '$(DEST)/share/fish/vendor_completions.d/pyruse.fish'
	install -d '$(DEST)/lib/systemd/system' '$(DEST)/lib/sysusers.d' '$(DEST)/lib/tmpfiles.d' '$(RULES)' '$(DEST)/share/pyruse/drop-ins'
	for unit in pyruse.service pyruse-boot@.service; do \
	  cat cmd/pyruse/systemd/$$unit | $(UNIT) | install -m 0644 /dev/stdin "$(DEST)/lib/systemd/system/$$unit" || exit 1; done
	install -m 0644 cmd/pyruse/systemd/pyruse.sysusers '$(DEST)/lib/sysusers.d/pyruse.conf'
	install -m 0644 cmd/pyruse/systemd/pyruse.tmpfiles '$(DEST)/lib/tmpfiles.d/pyruse.conf'
	install -m 0644 cmd/pyruse/systemd/drop-ins/*.conf '$(DEST)/share/pyruse/drop-ins'
	install -m 0644 cmd/pyruse/rules/*.json '$(RULES)'
	install -D -m 0644 cmd/pyruse/pyruse.json '$(DEST)/share/pyruse/pyruse.json'

run: build
	@.ci/show

test: setup-test
	$(ROOTED) $(GO) test -race -timeout 20m -tags $(TAGS) ./...
	@[ -n "$$NIXPKGS_LIB" ] || cat nix/tests/unchecked.txt

deb: setup-deb
	.ci/deb build bin
	@touch bin/.deb

test-deb: setup-deb
	$(ROOTED) .ci/deb check bin
	@touch bin/.deb

# When the package was built. What it is tested for is what stands here now, and not what stood here some day.
bin/.deb: $(wildcard $(shell git ls-files --cached --others --exclude-standard -- ':!testvm' 2>/dev/null))
	@$(MAKE) --no-print-directory deb

test-vm: setup-vm bin/.deb
	PATH="$$(.ci/go-path):$$PATH" PYRUSE_DEB="$$(ls $(CURDIR)/bin/pyruse_*.deb)" \
	  $(GO) test -tags '$(TAGS) vm' -count=1 -timeout 45m -v ./testvm

bench: build setup-test
	$(ROOTED) $(GO) run -tags $(TAGS) ./docs/benchmarks

LINTER := bin/golangci-lint-$(GOLANGCI)

SCRIPTS := .ci/* debian/pyruse.p* debian/tests/ban debian/tests/maintainer-scripts debian/tests/with-systemd ansible/testdata/*.sh ansible/testdata/systemctl

lint: setup-lint
	shellcheck $(SCRIPTS)
	@[ -x $(LINTER) ] || { echo "setup: building golangci-lint $(GOLANGCI)"; \
	  GOBIN=$(CURDIR)/bin $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI) && mv bin/golangci-lint $(LINTER); }
	PATH="$$(.ci/go-path):$$PATH" $(LINTER) run --build-tags $(TAGS),vm ./...

fuzz: setup-test
	@set -e; for file in $$(grep -rl --include=*_test.go '^func Fuzz' internal cmd); do \
	  for target in $$(grep -o '^func Fuzz[A-Za-z0-9_]*' $$file | cut -c6-); do \
	    echo "== $$target"; $(ROOTED) $(GO) test -tags $(TAGS) -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) ./$$(dirname $$file); \
	  done; \
	done

clean:
	rm -rf bin

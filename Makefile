# sluice: `make` alone says what there is. `make run` and `make test` set up what they need.

GO      ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
LDFLAGS  = -s -w -X sluice/internal/app.version=$(VERSION)

PROGRAM   ?= bin/sluice
FUZZTIME  ?= 30s
BENCH     ?=
SOAK      ?=
PLATFORMS  = linux/amd64 linux/arm64 linux/arm linux/mipsle freebsd/amd64

export DESTDIR PREFIX SYSCONFDIR LOCALSTATEDIR # of install

LINT = bin/tools/golangci-lint

# Packages with tests behind the build tag e2e: they need other programs (make setup).
E2E = $(shell grep -rl --include='*_test.go' '^//go:build e2e' . | xargs -rn1 dirname | sort -u)

.PHONY: help run build check test fuzz bench bench-front bench-relay bench-origin soak docs install setup fmt lint cross unit e2e clean

help: ## this text
	@echo "sluice: multicast in, any number of HTTP clients out"
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "  make fuzz FUZZTIME=5m    longer        make bench BENCH='-runs 1'    options of ./bench"
	@echo "  make soak SOAK='-seconds 86400'    a day"

run: build ## a live channel made here, to watch in VLC or a browser's admin page
	bin/sluice demo

build: ## bin/sluice, and its other names as links to it
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/sluice .
	for name in gws gng cproxy tcprelay spawnd; do ln -sf sluice bin/$$name; done

check: lint cross ## fast: format, lint, house rules, unit tests, every platform compiles
	$(GO) test ./...

test: setup lint cross unit e2e ## everything a change must pass

fuzz: ## each fuzz target for FUZZTIME
	GO=$(GO) scripts/fuzz.sh $(FUZZTIME)

bench: build ## what a relayed gigabyte costs, beside a yardstick of the same run
	$(GO) run ./bench -sluice bin/sluice $(BENCH)

bench-front: build ## what gws, lists of channels, reports and TLS cost (four minutes)
	$(GO) run ./bench -sluice bin/sluice -scenario front $(BENCH)

bench-relay: setup build ## what the TCP relay costs, beside haproxy and nginx (eight minutes)
	$(GO) run ./bench -sluice bin/sluice -scenario tcp -runs 7 $(BENCH)

bench-origin: setup build ## what the HTTP origin costs, beside nginx and http.ServeContent (five minutes)
	$(GO) run ./bench -sluice bin/sluice -scenario origin -runs 7 $(BENCH)

soak: build ## half an hour of churn, loss and restarts, with a verdict
	$(GO) run ./bench -sluice bin/sluice -scenario soak $(SOAK)

docs: ## make the reference, the tables of options and the manual pages (docs/man) anew
	$(GO) generate ./internal/config ./internal/app ./internal/manual

install: ## install bin/sluice (make build first) with its scripts and manual pages; DESTDIR=, PREFIX=/usr/local
	@scripts/install.sh $(PROGRAM)

setup: ## install what the tests need, or say what is missing
	@scripts/setup.sh

fmt: $(LINT) ## format the sources (gofumpt)
	$(LINT) fmt

clean: ## remove what make built
	rm -rf bin

# Parts of check and test.

lint: $(LINT)
	$(LINT) run

cross:
	@GO=$(GO) scripts/cross.sh $(PLATFORMS)

unit:
	$(GO) test -race -timeout 15m ./...

e2e:
	$(GO) test -race -tags e2e -count 1 -p 1 -parallel 16 -timeout 45m $(E2E)

# Built once, of the versions that scripts/tools/go.mod names; takes some minutes.
$(LINT): scripts/tools/go.mod scripts/tools/go.sum
	@echo "building $@ (once, some minutes)"
	cd scripts/tools && GOFLAGS= $(GO) build -buildvcs=false -o ../../$@ github.com/golangci/golangci-lint/v2/cmd/golangci-lint
	@touch $@

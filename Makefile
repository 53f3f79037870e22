# Sealtrail. `make` lists what there is; every target works again and again.

GO        ?= go
FUZZTIME  ?= 20s
LINT      := .cache/golangci-lint
SHELL     := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo test check lint bench bench-long fuzz fmt

help: ## this list
	@echo "Sealtrail: sealed complaint records with a trail that can be checked."
	@echo
	@sed -n 's/^\([a-z][a-z-]*\):[^#]*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 20
	@echo
	@echo "Needed: Go 1.26 and make. PostgreSQL and Vault are found, installed or built (docs/operate/backends.md)."

demo: ## the whole story on private servers; ARGS=--once ends by itself, DATA=file.csv.gz loads a CFPB file, DIR=folder
	@$(GO) build -o .cache/bin/ ./cmd/...
	@.cache/bin/sealtraild demo $(if $(DATA),--data "$(DATA)") $(if $(DIR),--dir "$(DIR)") $(ARGS)

test: ## vet and all tests, with a PostgreSQL and a Vault of their own
	@$(GO) run ./internal/testrun -- bash -euo pipefail -c '$(GO) vet ./... && $(GO) test -timeout 20m ./...'

check: ## format, vet, plaintext, linter, walls, OpenAPI drift: what a reviewer need not look at
	@unformatted="$$(gofmt -l $$(git ls-files -co --exclude-standard '*.go'))"; \
	  if [ -n "$$unformatted" ]; then echo "not formatted (make fmt): $$unformatted" >&2; exit 1; fi
	@$(GO) vet ./...
	@$(GO) build -o .cache/plainvet ./internal/plainvet
	@$(GO) vet -vettool=.cache/plainvet ./...
	@$(GO) test -count=1 ./internal/arch
	@linked="$$($(GO) list -deps ./cmd/trailcheck | grep -E 'jackc/pgx|hashicorp/vault|open-policy-agent|opentelemetry|alecthomas/kong' || true)"; \
	  if [ -n "$$linked" ]; then echo "trailcheck links what it verifies: $$linked" >&2; exit 1; fi
	@$(GO) test -count=1 -run '^TestOpenAPIDocumentIsTheCommittedOne$$' ./internal/httpapi
	@$(MAKE) --no-print-directory lint

lint: ## golangci-lint, built once from tools/lint (about 75 s)
	@if [ ! -x $(LINT) ] || [ tools/lint/go.sum -nt $(LINT) ]; then \
	  echo "building golangci-lint from tools/lint, once (about 75 s)"; \
	  mkdir -p .cache; \
	  $(GO) build -C tools/lint -o "$(CURDIR)/$(LINT)" github.com/golangci/golangci-lint/v2/cmd/golangci-lint || \
	    { echo "make lint: golangci-lint could not be built here (is the module proxy reachable?): NOT LINTED" >&2; exit 1; }; \
	  touch $(LINT); \
	fi
	@$(LINT) run ./...

bench: ## the figures of record: a table and bench.json, at most 10 minutes
	@$(GO) run ./internal/testrun -- $(GO) run ./internal/bench $(ARGS)

bench-long: ## the figures that take longer
	@$(GO) run ./internal/testrun -- $(GO) run ./internal/bench -long $(ARGS)

fuzz: ## every fuzz target for FUZZTIME (20s)
	@grep -rl --include='*_test.go' '^func Fuzz' . | sort | while read -r file; do \
	  for name in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$$file"); do \
	    echo "== $$(dirname "$$file") $$name"; \
	    $(GO) test "$$(dirname "$$file")" -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME); \
	  done; \
	done

fmt: ## format all Go files
	@gofmt -w $$(git ls-files -co --exclude-standard '*.go')

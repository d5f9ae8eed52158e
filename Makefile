# `make up` and `make test` work on a fresh clone; the rest is for people who stay.
GO      ?= go
BIN     := bin/millrace
CACHE   := $(CURDIR)/.cache
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
COMMIT  ?= $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X main.version=$(VERSION) -X main.commit=$(COMMIT)
GOLANGCI_VERSION := v2.15.0

export MILLRACE_NODE_MODULES ?= $(CACHE)/node/node_modules
export MILLRACE_API_NODE_MODULES ?= $(CACHE)/api/node_modules
export MILLRACE_KAFKA_LIBS ?= $(CACHE)/kafka
export MILLRACE_READERS ?= $(CACHE)/readers
export MILLRACE_RIVALS ?= $(CACHE)/rivals

.PHONY: up build test test-go test-browser test-bugs test-data test-beacon test-long test-setup sim lint clean generate

up: build ## build everything and start it with the demo shop
	@exec ./$(BIN) up --demo $(ARGS)

build: ## compile the one binary; says how long the compiler took
	@start=$$(date +%s); echo "compiling (the first build takes a few minutes)..."; \
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN) . && \
	echo "compiled in $$(( $$(date +%s) - start )) s: $(BIN)"

test: test-setup test-go test-browser test-bugs test-data ## every suite; a suite whose tool is missing is skipped with one line (with CI=true: fails)

test-setup: ## fetch what the suites drive: browser driver, Kafka artefacts, other readers of the lake
	@sh scripts/test-setup.sh

# Whether a bug is noticed, or a kill survived, does not hang on the race detector, which would make the hundreds of
# schedules and restarts five to ten times slower; the same code runs under it in the other tests. What other engines read of a
# lake that was landed under kills is of this kind, and so are the kills at each step of a grow, an erasure, a rebuild and an upload.
KILLS := ^(TestSimulationNoticesBugs|TestCompactCrashing|TestKilledCompactions|TestEraseKilled|TestKilledWriters|TestKillNine|TestTenCrashes|TestReaders|TestReadersOfS3|TestEraseSurvivesDeath|TestGrowSurvivesDeath|TestRebuildSurvivesDeath|TestKilledAnywhere|TestKilledWhileUploading)$$

# These do the same on each of six kinds of lake. Races are looked for on two of them, in which every kind of file and two of the
# catalogs are; the third catalog runs under the detector in the other tests that know all kinds. Without it they run on all six.
KINDS := ^(TestErase|TestEvolve|TestRollback|TestVerify)$$
KINDS_WITHOUT_RACE := $(KINDS)/^local$$/^(postgres|rest)$$|$(KINDS)/^s3$$/^(sqlite|rest)$$

# A sorter of rows has no goroutines: its hundreds of runs need no detector, under which they take ten times as long.
SORTS := ^TestSorterRuns$$

# The detector would let every process sleep a second before it ends, for what still runs then: orderly stops have ended that before.
# Vet is lint's.
test-go: ## everything but the real histories, the planted bugs, the long series of kills and most kinds of lake, under the race detector
	MILLRACE_TEST_DATA= GORACE="atexit_sleep_ms=0 $$GORACE" $(GO) test -race -vet=off -timeout 20m -skip '$(KILLS)|$(KINDS_WITHOUT_RACE)|$(SORTS)|^TestFewShoppers$$|^TestInBrowser$$' ./...

# Pages wait for real time: of a browser beside all other suites they would say how busy the machine is.
test-browser: ## the beacon in Chromium, every goal
	$(GO) test -count=1 -timeout 10m -run '^TestInBrowser$$' ./tracker/beacon

test-bugs: ## the simulation of the stream must notice each bug that is planted into it; kills at every step, what other engines read then; each kind of lake; long sorts
	$(GO) test -timeout 20m -count=1 -run '$(KILLS)|$(KINDS)|$(SORTS)' . ./stream ./lake

# The race detector makes the searches over real histories ten times slower and finds nothing there that it does not
# find on the planted ones, so these run without it, and so does the training for simulated shoppers. What must not allocate is
# counted here too: the detector allocates by itself.
test-data: ## quality on real click histories, where MILLRACE_TEST_DATA names their folder; what must not allocate
	$(GO) test -timeout 5m -count=1 -run '^TestFewShoppers$$' .
	$(GO) test -timeout 20m -count=1 -run '^TestReal|NotAllocate$$' ./trainer/... ./tracker/importer ./internal/model/...

test-beacon: test-setup ## the browser script in Chromium; GOAL=3 runs the scenarios of one goal (docs/decisions/0004-beacon.md)
	MILLRACE_TEST_GOAL=$(GOAL) $(GO) test -count=1 -v -run 'TestInBrowser|TestGoal$(GOAL)' ./tracker/beacon/...

# Without cgo, as the product is built: the databases' memory is then Go's, and is measured as such.
test-long: test-setup ## what takes minutes: real clusters whose brokers and processes are killed and frozen, the lake and the fits of models beside their rivals
	CGO_ENABLED=0 MILLRACE_TEST_LONG=1 $(GO) test -v -count=1 -timeout 60m -run '^TestLong' ./...

# Other seeds: make sim SIM_FIRST=5000. Without a list of packages `go test` shows progress as it comes.
SIM_SEEDS ?= 1000
SIM_FIRST ?= 1

sim: ## 1,000 seeded schedules of crashes, zombies and faults around the stream, and planted bugs that they must catch
	cd stream && $(GO) test -timeout 60m -count=1 -run '^TestSimulation' -sim.seeds=$(SIM_SEEDS) -sim.first=$(SIM_FIRST)

lint: ## formatting, vet and golangci-lint
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { echo "not gofmt-ed:"; gofmt -l $$(git ls-files '*.go'); exit 1; }
	$(GO) vet ./...
	$(GO) run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION) run ./...

generate: ## rebuild generated files (the beacon, pages of documentation, the OpenAPI document)
	$(GO) generate ./...

crawlers: ## take in the newest list of crawlers (npm crawler-user-agents)
	@mkdir -p $(CACHE)/crawlers
	cd $(CACHE)/crawlers && rm -rf package *.tgz && npm pack --silent crawler-user-agents && tar -xzf *.tgz
	@{ echo "# npm crawler-user-agents $$(node -p 'require("$(CACHE)/crawlers/package/package.json").version'), MIT, (c) Martin Monperrus: regular expressions of User-Agent headers. Made by \`make crawlers\`."; \
	  $(GO) run ./internal/agent/crawlers < $(CACHE)/crawlers/package/crawler-user-agents.json; } > internal/agent/crawlers.new
	@mv internal/agent/crawlers.new internal/agent/crawlers.txt

clean:
	rm -rf bin $(CACHE)

# make          build and run the demo
# make test     all tests; what this machine cannot do is skipped with a reason
# make check    what every change has to pass
# make lab      good and bad days on emulated links, all scenarios
# make measurements  measures, and writes docs/measurements.md with its figures; PART=setup or links renews a part
#
# Needs Go and make; the demo needs Linux and root, race tests a C compiler.

GO       ?= go
FUZZTIME ?= 60s
BENCH    ?= .

.DEFAULT_GOAL := demo
.PHONY: build demo lab measurements test check fmt vet staticcheck layout race tidy cross fuzz bench clean

build:
	CGO_ENABLED=0 $(GO) build -trimpath -o tributary ./cmd/tributary

# The demo makes network namespaces, which takes root; building does not.
demo: build
	@if [ "$$(id -u)" = 0 ]; then exec ./tributary lab demo; \
	elif command -v sudo >/dev/null; then echo "The demo makes network namespaces, which needs root: asking sudo."; exec sudo ./tributary lab demo; \
	else echo "The demo makes network namespaces, which needs root. As root run: ./tributary lab demo" >&2; exit 1; fi

# Both need root, as the demo does, and most of an hour.
lab: build
	./tributary lab run all

# On a machine that does nothing else, with sing-box in PATH (CONTRIBUTING.md) to
# compare with.
measurements:
	CGO_ENABLED=0 $(GO) build -buildvcs=auto -trimpath -o tributary ./cmd/tributary # the page names the commit
	./tributary lab measurements docs $(if $(PART),--part $(PART))

# Never from the cache: kernel, namespaces and installed programs are part of what
# is tested. TRIBUTARY_REQUIRE=kernel,lab,interop makes a skip of that kind a failure.
test:
	$(GO) test -count=1 -timeout 15m ./...

check: fmt vet staticcheck layout race tidy cross

fmt:
	@files=$$(gofmt -l .); if [ -n "$$files" ]; then echo "gofmt would change:"; echo "$$files"; exit 1; fi

vet:
	$(GO) vet ./...
	GOOS=darwin $(GO) vet ./...
	GOOS=windows $(GO) vet ./...

staticcheck:
	$(GO) tool staticcheck ./...

layout:
	$(GO) test -count=1 .

# The lab measures rates, which the race detector would spoil: -short leaves its
# long rows to make test.
#
# Go 1.26 crashes now and then in (*timer).maybeRunChan, with testing/synctest under the
# race detector: when goroutines of one bubble find their timers due at the same moment, as
# those that begin with time.NewTimer(0) do. That is no finding, and is tried again;
# anything else is one.
race:
	@out=$$(mktemp); trap 'rm -f "$$out"' EXIT; \
	for try in 1 2 3; do \
		if $(GO) test -race -short -count=1 -timeout 15m ./... >"$$out" 2>&1; then cat "$$out"; exit 0; fi; \
		cat "$$out"; \
		grep -q '^SIGSEGV' "$$out" && grep -q 'timer).maybeRunChan' "$$out" || exit 1; \
		if grep -q -e '--- FAIL' -e 'DATA RACE' "$$out"; then exit 1; fi; \
		echo "Go itself crashed: once more"; \
	done; exit 1

tidy:
	$(GO) mod tidy -diff

# Systems that must build. Only Linux has multipath; the others run on a single path.
LINUX  := amd64 arm64 arm mipsle
OTHERS := darwin/amd64 darwin/arm64 windows/amd64 windows/arm64

cross:
	@set -e; for target in $(LINUX:%=linux/%) $(OTHERS); do \
		echo "build $$target"; \
		CGO_ENABLED=0 GOMIPS=softfloat GOOS=$${target%/*} GOARCH=$${target#*/} $(GO) build -o /dev/null ./...; \
	done

# Every fuzz target of the tree, one after the other. Go before 1.27 may fail at the
# very end of the time with nothing but "context deadline exceeded"
# (go.dev/issue/75804); that is no finding: a finding names its input.
fuzz:
	@grep -rE '^func Fuzz' --include='*_test.go' . | sed -E 's|^\./(.*)/[^/]*:func (Fuzz[A-Za-z0-9_]*).*|\1 \2|' | sort | { \
	while read -r dir target; do \
		echo "fuzz $$dir $$target $(FUZZTIME)"; \
		out=$$($(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) "./$$dir" 2>&1) && continue; \
		if echo "$$out" | grep -q 'context deadline exceeded' && ! echo "$$out" | grep -qE 'Failing input|panic:|_test\.go:'; then continue; fi; \
		echo "$$out"; exit 1; \
	done; }

bench:
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem ./...

clean:
	rm -rf tributary dist

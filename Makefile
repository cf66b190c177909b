# make demo    wanctl at work on a simulated line, for 80 seconds
# make test    passes the tests (installs what they need)
# make check   format, lints, documentation
# make bench   prints every promised figure beside its goal, fourteen minutes (docs/benchmarks.md)
# make suite   all control laws in all scenarios of tests/scenarios: table, figures and plots in target/suite
# make soak    the full counts, hours
# make cake    the test on a real queue with the real CAKE, in user-mode Linux (root, Debian)
# make recordings   makes the recorded test runs anew, after a change on purpose
# make deb     a Debian package of a build for this machine (PROGRAM=… ARCHITECTURE=… for another) into dist/
# make tar     the same as a tar for OpenWrt
# make fuzz    one fuzz target (TARGET=router_input RUNS=10000000), minutes to hours
# make dist    the release files of all targets in dist/ (TARGETS=... for some): programs, bills of materials, sums
# make image   the same, and a container image of each
# make image-test   looks at what the two made with the tools of others, and runs it: container, emulated ARM (root)
# make reproducible   builds a commit in two places and compares
# make release   all of that, of a clean tree
.PHONY: demo test check bench profile suite soak cake fuzz compiler tools clean recordings cross dist image image-tools image-test \
  shipped reproducible figures release deb tar
CARGO ?= cargo

compiler:
	@command -v $(CARGO) >/dev/null || { echo "Rust is missing: install it from rustup.rs or your distribution" >&2; exit 1; }
	@command -v cc >/dev/null || { [ "$$(id -u)" = 0 ] && apt-get update -qq && apt-get install -y -qq gcc libc6-dev; } || \
	  { echo "a C compiler is missing: install gcc and the C library's headers (Debian: gcc libc6-dev)" >&2; exit 1; }

# iproute2 builds the namespaces of the tests on real kernel queues, nftables is the firewall in them.
tools: compiler
	@command -v nft >/dev/null || { [ "$$(id -u)" = 0 ] && apt-get update -qq && apt-get install -y -qq --no-install-recommends nftables >/dev/null; } || \
	  echo "nftables is missing and can't be installed without root; the namespace tests will say so" >&2
	@command -v ip >/dev/null && command -v tc >/dev/null || { [ "$$(id -u)" = 0 ] && apt-get update -qq && apt-get install -y -qq iproute2; } || \
	  echo "iproute2 is missing and can't be installed without root; the namespace tests will say so" >&2
	@command -v chromium >/dev/null || { [ "$$(id -u)" = 0 ] && apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core >/dev/null; } || \
	  echo "chromium is missing and can't be installed without root; tests/browser will say so" >&2
	@command -v promtool >/dev/null || { [ "$$(id -u)" = 0 ] && apt-get update -qq && \
	  RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends prometheus >/dev/null; } || \
	  echo "prometheus is missing and can't be installed without root; tests/browser will say so" >&2
	@$(MAKE) --no-print-directory $(CLIENTS)

# Public clients of RouterOS's REST API, for the test of the double (tests/double), in an environment of their own, and
# what speaks to a browser (tests/browser).
CLIENTS = target/clients/installed
$(CLIENTS): tests/double/requirements.txt
	@python3 -c "import ensurepip" 2>/dev/null || { [ "$$(id -u)" = 0 ] && apt-get update -qq && apt-get install -y -qq python3-venv; } || true
	@python3 -m venv target/clients && target/clients/bin/pip install --quiet --disable-pip-version-check --no-deps -r $< && touch $@ || \
	  { rm -rf target/clients; echo "python3 with venv, or the Python package index, is missing; tests/double will say so" >&2; }

demo: compiler
	@echo "Building wanctl (the first time this takes a minute or two)..."
	@$(CARGO) build --release
	@$(CARGO) run --release --quiet -- demo

test: tools
	CARGO=$(CARGO) tests/all.sh
	@if [ "$$(id -u)" = 0 ] && command -v dpkg >/dev/null; then \
	  $(MAKE) shipped TARGETS=x86_64-unknown-linux-musl DIST=$(CURDIR)/target/shipped; \
	else echo "NOT TESTED without root on Debian: the static program and the container image (make image-test)" >&2; fi

check:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --features roots -- -D warnings
	$(CARGO) clippy --workspace --no-default-features -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --quiet

# valgrind counts instructions; without it the bench says what it could not measure. ARGS=--json for machines.
bench: compiler
	@command -v valgrind >/dev/null || { [ "$$(id -u)" = 0 ] && apt-get update -qq && apt-get install -y -qq valgrind; } || \
	  echo "valgrind is missing and can't be installed without root; instructions will not be counted" >&2
	$(CARGO) build --profile dist --no-default-features
	$(CARGO) bench --bench figures -- $(ARGS)

CYCLES ?= 360000
CYCLE_MS ?= 10
profile: compiler
	$(CARGO) build --profile dist --no-default-features
	$(CARGO) bench --bench figures -- profile $(CYCLES) $(CYCLE_MS) $(or $(CARGO_TARGET_DIR),target)/dist/wanctl

LAWS ?= adaptive,classic,cake-autorate,sqm-autorate,fixed,oracle
suite: compiler
	$(CARGO) build --release
	$(CARGO) run --release --quiet -- simulate --suite --law $(LAWS) --seeds 20 --out target/suite

soak:
	PROPTEST_CASES=20000 WANCTL_SOAK=1 $(CARGO) test --release --workspace --all-targets --features roots
	@if [ "$$(id -u)" = 0 ]; then $(MAKE) cake; else echo "not run without root: make cake" >&2; fi

recordings:
	$(CARGO) test --test record --test simulate -- --ignored make_recordings

# The fuzzer's instrumentation is unstable, so a stable compiler is told to allow it; cargo-fuzz is installed if missing.
# What it finds by the way goes to tests/fuzz/found, so that the kept inputs stay few; a crash to tests/fuzz/artifacts.
TARGET ?= router_input
RUNS ?= 10000000
fuzz: compiler
	@$(CARGO) fuzz --version >/dev/null 2>&1 || $(CARGO) install cargo-fuzz --locked
	@mkdir -p tests/fuzz/found/$(TARGET)
	RUSTC_BOOTSTRAP=1 $(CARGO) fuzz run --fuzz-dir tests/fuzz $(TARGET) tests/fuzz/found/$(TARGET) tests/fuzz/corpus/$(TARGET) -- \
	  -runs=$(RUNS) -max_len=8192 -timeout=10 -rss_limit_mb=2048 -print_final_stats=1

# The test on a real queue, with the real CAKE: on user-mode Linux, whose kernel has it. As root.
cake: tools
	@command -v linux.uml >/dev/null && command -v insmod >/dev/null || { apt-get update -qq && apt-get install -y -qq user-mode-linux kmod; }
	$(CARGO) test --no-run --test real_line
	tests/real_line/uml.sh $$($(CARGO) test --no-run --test real_line 2>&1 | sed -n 's/.*(\(.*real_line-[^)]*\)).*/\1/p') --nocapture

# What is shipped. The toolchain comes from Debian's packages and pip (cross/README.md).
TARGETS ?=
DIST ?= $(CURDIR)/dist
cross:
	cross/toolchain.sh $(TARGETS)

dist:
	DIST=$(DIST) cross/dist.sh $(TARGETS)

image: dist
	DIST=$(DIST) cross/image.sh

image-tools: tools
	@for tool in runc skopeo umoci qemu-arm-static; do command -v $$tool >/dev/null || \
	  { apt-get update -qq && apt-get install -y -qq --no-install-recommends runc skopeo umoci qemu-user-static >/dev/null; break; }; done

image-test: image-tools
	DIST=$(DIST) TARGETS="$(TARGETS)" $(CARGO) test --workspace --features roots --test image -- --test-threads=1 --nocapture

shipped: image
	$(MAKE) image-test

reproducible:
	cross/reproducible.sh $(TARGETS)

figures: image-tools
	DIST=$(DIST) TARGETS="$(TARGETS)" $(CARGO) test --test image first_probe -- --ignored --nocapture

# Nothing goes out that nobody can build again.
release:
	@[ -z "$$(git status --porcelain)" ] || { git status --short >&2; echo "the work tree has changes; a release is made of a commit" >&2; exit 1; }
	@version=$$(sed -n '/^\[workspace.package\]/,/^$$/s/^version = "\(.*\)"/\1/p' Cargo.toml); \
	grep -q "^## $$version" CHANGELOG.md || { echo "CHANGELOG.md has no section \"## $$version\"" >&2; exit 1; }; \
	! git rev-parse -q --verify "refs/tags/v$$version" >/dev/null || [ "$$(git rev-parse "v$$version^{commit}")" = "$$(git rev-parse HEAD)" ] || \
	  { echo "v$$version is another commit; choose a new version" >&2; exit 1; }
	rm -rf $(DIST)
	$(MAKE) check test image image-test
	$(MAKE) reproducible
	@cat $(DIST)/SHA256SUMS
# Without PROGRAM, a build in the size profile for this machine; ARCHITECTURE is Debian's word (armhf), or for the tar any.
PROGRAM ?= $(or $(CARGO_TARGET_DIR),target)/dist/wanctl
ARCHITECTURE ?= $(shell dpkg --print-architecture 2>/dev/null || uname -m)
deb tar: compiler
	@[ "$(origin PROGRAM)" != file ] || $(CARGO) build --profile dist --no-default-features
	SOURCE_DATE_EPOCH=$${SOURCE_DATE_EPOCH:-$$(git log -1 --format=%ct 2>/dev/null || echo 0)} \
	  cross/units/package.sh $@ $(PROGRAM) $(ARCHITECTURE) dist

clean:
	$(CARGO) clean

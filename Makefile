# The targets of this project. `make` alone lists them.
SHELL := /usr/bin/env bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

export CARGO_TARGET_DIR ?= $(HOME)/.cache/tallystick/target
export CARGO_TERM_COLOR ?= auto
# Tests wait for blocks, payments and timers more than for the processor: more of them at once than there are cores.
export RUST_TEST_THREADS ?= 6
TOOLS := $(HOME)/.cache/tallystick/tools
export PATH := $(TOOLS)/bin:$(PATH)

# A target without std, on which the proofs must build.
BARE := thumbv7em-none-eabi
CARGO_DENY := 0.20.2
CARGO_MACHETE := 0.9.2

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  %-12s %s\n", $$1, $$2 }'

.PHONY: setup
setup: ## install what a build needs: a C compiler, and nothing else (tests need PostgreSQL as well)
	@scripts/setup

.PHONY: postgres
postgres: setup
	@scripts/setup initdb=postgresql

.PHONY: components
components: setup
	@scripts/setup rustfmt clippy

.PHONY: tools
tools: setup
	@scripts/tool cargo-deny $(CARGO_DENY) "$(TOOLS)"
	@scripts/tool cargo-machete $(CARGO_MACHETE) "$(TOOLS)"

.PHONY: bitcoind
bitcoind: setup ## build Bitcoin Core for the tests, once, unless there is one; print where it is
	@scripts/bitcoind "$(TOOLS)"
	@scripts/bitcoind --path "$(TOOLS)"

.PHONY: build
build: setup ## build the tally binary with optimisations
	cargo build --release --locked -p tally

.PHONY: install
install: setup ## build the tally binary and install it where cargo installs programs
	cargo install --locked --path crates/tally

.PHONY: demo
demo: setup ## play the stories of escrow on a private Bitcoin and Lightning network
	cargo build --release --locked -p tally
	"$(CARGO_TARGET_DIR)/release/tally" demo

.PHONY: test
test: setup fmt house clippy no-std deny docs check-tests ## everything that must hold; what CI runs

.PHONY: fmt
fmt: components ## check the formatting
	cargo fmt --all --check

.PHONY: house
house: ## check the arrows between crates and the sizes of files
	cargo test --locked -p house

.PHONY: clippy
clippy: components ## lint
	cargo clippy --locked --workspace --all-targets --features tally/crash-points -- -D warnings
	cargo clippy --locked -p tally -- -D warnings

.PHONY: no-std
no-std: setup ## build the log's verifier, without anchors, for a machine without an operating system
	@scripts/setup --target $(BARE)
	cargo build --locked -p tallystick-log --no-default-features --target $(BARE)

.PHONY: deny
deny: tools ## check licences, sources and duplicates of dependencies, and find unused ones
	cargo deny --locked check bans licenses sources
	cargo machete

.PHONY: docs
docs: ## build the documentation without a warning
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps --document-private-items

.PHONY: check-tests
check-tests: postgres bitcoind ## run the tests, the crash harness and the short fuzz
	TALLY_BITCOIND="$$(scripts/bitcoind --path "$(TOOLS)")" \
		cargo test --locked --workspace --exclude house --features tally/crash-points

.PHONY: soak
soak: postgres bitcoind ## a thousand tasks on real nodes; ten times as many kills, random stories and simulated seeds as `make test`
	TALLY_SOAK_TASKS=1000 cargo test --release --locked -p tally --test it soak::a_town -- --nocapture
	TALLY_BITCOIND="$$(scripts/bitcoind --path "$(TOOLS)")" TALLY_KILLS=500 PROPTEST_CASES=10000 TALLY_SIM_SEEDS=50000 \
		cargo test --locked --workspace --features tally/crash-points

.PHONY: hammer
hammer: setup ## load a throw-away node for 30 seconds, and check every reply, the log and its proofs
	TALLY_HAMMER_SECS=30 cargo test --release --locked -p tally --test it hammer::a_node -- --nocapture

.PHONY: bench
bench: postgres ## measure what docs/benchmarks.md tells
	cargo bench --locked -p tallystick-log
	cargo bench --locked -p tallystick-store
	cargo bench --locked -p tallystick-bundle
	cargo bench --locked -p tallystick-civics
	cargo bench --locked -p tallystick-lightning
	cargo bench --locked -p tally

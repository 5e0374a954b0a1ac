# Two commands matter: `make demo` shows the main job on real molecules, `make test` proves it. `make` lists the rest.

CARGO ?= cargo
PREFIX ?= /usr/local
BUILT := $(or $(CARGO_TARGET_DIR),target)
# Tests of one suite at a time: each may run a Slurm, a PostgreSQL and programs of its own. 4 at most, however large the machine.
TEST_THREADS := $(shell cores=$$(nproc); echo $$((cores < 4 ? cores : 4)))
# Rust as rustup installs it, when the login shell has not put it on PATH.
export PATH := $(PATH):$(HOME)/.cargo/bin

.DEFAULT_GOAL := help
.PHONY: help setup build dist demo-build demo test test-live test-setup check bench bench-first-run docs install clean

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' Makefile | awk -F'|' '{ printf "%-18s %s\n", $$1, $$2 }'

setup: ## Install what a run needs: PostgreSQL server programs, Python with QCEngine, MOPAC, Psi4
	@config/setup/all.sh run >/dev/null

build: ## Build the program: target/release/qcbatch
	@config/setup/compiler.sh
	$(CARGO) build --release --locked

dist: ## Build the program as it is distributed, optimised across crates: target/dist/qcbatch
	@config/setup/compiler.sh
	$(CARGO) build --profile dist --locked

demo-build: ## Build the program that make demo runs: target/demo/qcbatch
	@config/setup/compiler.sh
	@echo "demo: compiling a program for a first look, not optimised: three to four minutes on two cores" >&2
	$(CARGO) build --profile demo --locked

demo: ## Calculate the molecules of config/demo on this machine and print a table
	@$(MAKE) --no-print-directory -j2 demo-build setup
	@config/setup/demo.sh

test-setup: ## Install what the tests need: the same, a second QCEngine, Slurm with munge, QEMU
	@config/setup/all.sh test >/dev/null

test: ## Run every test against the real parts
	@found=$$(config/setup/all.sh test) || exit 1; set -a; eval "$$found"; set +a; \
	export RUST_TEST_THREADS=$${RUST_TEST_THREADS:-$(TEST_THREADS)}; exec $(CARGO) test --locked --workspace --features failpoints --no-fail-fast --tests

test-live: ## Run the scenarios of an ordinary life on schedulers you have: QCBATCH_TEST_LIVE=pbs,lsf make test-live
	@test -n "$$QCBATCH_TEST_LIVE" || { echo "test-live: name schedulers: QCBATCH_TEST_LIVE=pbs,lsf make test-live" >&2; exit 2; }
	$(CARGO) test --locked --test it conformance::live::

check: ## Formatting, lints, unit tests and structure rules; needs nothing installed
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets --features failpoints -- -D warnings
	$(CARGO) test --locked --workspace --lib --test tidy

bench: ## Measure the bounds that docs/ quotes
	@found=$$(config/setup/all.sh test && config/setup/hyperqueue.sh) || exit 1; set -a; eval "$$found"; set +a; \
	exec $(CARGO) bench --locked --benches

bench-first-run: ## Measure a newcomer's first run: a fresh clone to the table of make demo
	@config/setup/first_run.sh

docs: ## API documentation in target/doc, the book in target/book where mdbook is installed
	$(CARGO) doc --locked --workspace --no-deps --document-private-items
	@if command -v mdbook >/dev/null; then mdbook build docs; else echo "docs: no mdbook; the pages are plain Markdown under docs/"; fi

# Builds nothing, so that `sudo make install` needs no Rust of root's and leaves no files of root's behind.
install: ## Copy the program that was built and the example configuration below PREFIX (default /usr/local)
	@test -x $(BUILT)/release/qcbatch || { echo "install: no $(BUILT)/release/qcbatch; run make build first" >&2; exit 1; }
	install -D -m 755 $(BUILT)/release/qcbatch $(DESTDIR)$(PREFIX)/bin/qcbatch
	install -D -m 644 config/qcbatch.example.toml $(DESTDIR)$(PREFIX)/share/qcbatch/qcbatch.example.toml

clean: ## Remove what was built, the Python environments and the demo's state
	$(CARGO) clean
	rm -rf .venv-v1 .venv-v2 .venv-bench .machine .qcbatch-demo

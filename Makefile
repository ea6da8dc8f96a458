# `make help` lists what there is. The work is done by scripts/ and cmake; nothing here needs make.
SHELL := bash
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# Builds whose tests are part of `make test` beside the ordinary one. SANITIZERS= leaves them out.
SANITIZERS ?= asan-core
# More arguments for ctest, e.g. ARGS='-R ledger'.
ARGS ?=
# Seconds for each fuzzer.
FUZZ_SECONDS ?= 20
# Of `make chaos`: kill -9 of workers and servers after which it ends. SEED= and JOB= repeat what an earlier run did.
KILLS ?= 1000
SEED ?=
JOB ?=
# Deeds of `make soak`.
ACTIONS ?= 200

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s  %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "Variables: ELEPHAS_BUILD_JOBS (cores), ELEPHAS_TEST_JOBS (2), SANITIZERS ('$(SANITIZERS)'),"
	@echo "ARGS (for ctest), CHECK_SINCE (a revision: check only what changed since), FUZZ_SECONDS ($(FUZZ_SECONDS)),"
	@echo "SEED, KILLS ($(KILLS)) and JOB (for chaos), ACTIONS ($(ACTIONS)) (for soak), NIGHTLY (parts of nightly)"

.PHONY: setup
setup: ## Install what building and testing need: apt packages, LibTorch, Python for the tests
	@scripts/setup.sh

.PHONY: setup-tools
setup-tools:
	@scripts/setup.sh --tools

.PHONY: setup-cluster
setup-cluster:
	@scripts/setup.sh --cluster

.PHONY: setup-bench
setup-bench:
	@scripts/setup.sh --bench

.PHONY: build
build: setup ## Build the programs, optimised and with debug information, into build/bin/
	@scripts/build.sh release elephas_programs

.PHONY: run
run: ## Train examples/digits on this machine, then evaluate it on held-out rows
	@scripts/run_digits.sh

.PHONY: test
test: setup $(if $(filter 0,$(ELEPHAS_E2E)),,setup-cluster) ## Build and run all tests, those of the sanitizer builds without LibTorch included
	@for preset in release $(SANITIZERS); do scripts/build.sh $$preset || exit; done
	@scripts/test.sh build $(addprefix build-,$(SANITIZERS)) -- $(ARGS)

.PHONY: test-asan
test-asan: setup ## Build everything with AddressSanitizer and UBSan, run all tests
	@scripts/build.sh asan
	@scripts/test.sh build-asan -- $(ARGS)

.PHONY: test-tsan
test-tsan: setup ## Build all but the worker with ThreadSanitizer, run its tests
	@scripts/build.sh tsan-core
	@scripts/test.sh build-tsan-core -- $(ARGS)

.PHONY: images
images: build setup-cluster ## Build the images of operator, paramserver and worker into build/images/, without Docker
	@scripts/images.sh

.PHONY: release
release: build setup-cluster ## Put chart, images, programs and checksums of this version into build/release/; publishes nothing
	@scripts/release.sh

.PHONY: cluster-up
cluster-up: images ## Start a real Kubernetes on this machine with the images loaded (as root)
	@scripts/cluster.sh up

.PHONY: cluster-down
cluster-down: ## Remove that cluster and everything in it
	@scripts/cluster.sh down

.PHONY: e2e
e2e: build setup-cluster ## The end-to-end tests alone: a cluster, the chart, jobs, and what can go wrong
	@scripts/test.sh build -- -R '^(e2e|manifests)$$' -V

.PHONY: check
check: setup setup-tools ## Format, clang-tidy, shellcheck and Python syntax; changes nothing
	@scripts/check.sh

.PHONY: generate
generate: setup ## Write anew what is generated: CRD, references of manifest, metrics and Keras
	@scripts/generate.sh

.PHONY: format
format: setup-tools ## Reformat the C++ sources
	@scripts/format.sh

.PHONY: bench
bench: setup-bench ## Measure the data plane, and training beside LibTorch alone and TensorFlow's Keras, and scraping
	@scripts/build.sh release elephas_programs elephas_bench
	@bench/run.sh

.PHONY: gpu-package
gpu-package: setup ## Collect the programs for gpu-test and gpu-bench into build/gpu, to be carried to a GPU
	@scripts/build.sh release elephas_programs elephas_loopback elephas_direct_step_graph elephas-keras-probe bench-bare-loop bench-collective
	@scripts/gpu_package.sh

.PHONY: gpu-test
gpu-test: ## Test what only a GPU can show; builds nothing where build/gpu is there
	@[[ -d build/gpu ]] || $(MAKE) gpu-package
	@python3 tests/gpu/gpu_test.py build/gpu

.PHONY: gpu-bench
gpu-bench: ## Measure training on a GPU; builds nothing where build/gpu is there
	@[[ -d build/gpu ]] || $(MAKE) gpu-package
	@python3 bench/gpu/gpu_bench.py build/gpu

.PHONY: fuzz
fuzz: setup setup-tools ## Run every fuzzer for FUZZ_SECONDS
	@scripts/build.sh fuzz elephas_fuzzers
	@scripts/fuzz.sh $(FUZZ_SECONDS)

.PHONY: chaos
chaos: build ## kill -9 of workers and servers, KILLS times, over jobs of every mode; SEED= and JOB= repeat one
	@scripts/chaos.sh --kills $(KILLS) $(if $(SEED),--seed $(SEED)) $(if $(JOB),--job $(JOB))

.PHONY: soak
soak: build setup-cluster ## ACTIONS deeds of users and tenants on a real cluster (as root); SEED= repeats them
	@scripts/soak.sh --actions $(ACTIONS) $(if $(SEED),--seed $(SEED))

.PHONY: nightly
nightly: ## What is slow and rarely tells anything: chaos, soak, sanitizers, long fuzzing, benchmarks
	@scripts/nightly.sh

.PHONY: clean
clean: ## Remove everything that was built (not what setup installed)
	@rm -rf build build-asan build-asan-core build-tsan-core build-debug build-fuzz build-test build-tidy build-nightly

# Everything a developer runs; `make help` lists it. `make demo` and `make test` set up all they need, in .venv; torch is
# not among what `make demo` needs.
PYTHON ?= python3
BIN := .venv/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
QUALITY ?= 75
SAMPLING ?= 4:2:0
PHOTO ?= tests/data/grace_hopper.jpg
SECONDS ?= 60
# PIP_EXTRA_INDEX_URL in the environment names an index with CPU builds of torch, which are much smaller.
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
UV := $(BIN)/uv pip install --quiet

.PHONY: help demo test rust doc simd aarch64 s390x msrv print-msrv miri deny fuzz python golden install-desktop lint lowest oldest lock wheels wheel sdist \
	check-wheel check-sdist bench gpu gpu-pack gpu-export peers table rd domains compat latency

help: ## List these commands
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/\1\t\2/p' Makefile | expand -t 14

demo: .venv/installed ## Compress and restore a photograph, and compare: PHOTO=photo.jpg
	@folder=$$(mktemp -d) && trap 'rm -r "$$folder"' EXIT && set -ex && \
	$(BIN)/lic-native compress "$(PHOTO)" -o "$$folder/small.lic" && \
	$(BIN)/lic-native inspect "$$folder/small.lic" && \
	$(BIN)/lic-native decompress "$$folder/small.lic" -o "$$folder/restored" && \
	cmp "$(PHOTO)" "$$folder/restored" && echo "restored byte for byte"

# The compiler leaves one of two cores idle at times, in which torch is installed and the package linted.
test: ## Run all tests and linters on this processor
	$(MAKE) --jobs 2 rust lint
	$(MAKE) python

# One profile for all, so that C code and macros are compiled once. The first call lints the coder alone, without C code.
rust: doc ## Format check, Clippy, documentation and tests of the crate
	cargo fmt --check
	cargo clippy --quiet --locked --profile checked --no-default-features -- -D warnings
	cargo clippy --quiet --locked --profile checked --all-targets --features python -- -D warnings
	cargo test --quiet --locked --profile checked
	! cargo tree --locked --edges normal | grep pyo3

doc: export RUSTDOCFLAGS := -D warnings
doc: ## Build the crate's documentation without a warning
	cargo doc --quiet --locked --profile checked --no-deps

# A named level that the processor lacks is an error; the default omits AVX-512 where it is missing.
AVX512 := $(if $(shell grep -sw avx512_vbmi2 /proc/cpuinfo),avx512)
SIMD ?= scalar $(if $(filter x86_64,$(shell uname -m)),avx2 $(AVX512),neon)
simd: ## Run the crate's tests on each instruction set: SIMD="scalar avx2"
	set -e; for level in $(SIMD); do \
		LIC_SIMD=$$level LIC_REQUIRE_SIMD=$$level cargo test --quiet --locked --profile checked; \
	done

aarch64: ## Run the crate's tests on an emulated 64-bit ARM processor
	tests/emulated.sh aarch64

s390x: ## Run the crate's tests on an emulated big-endian processor
	tests/emulated.sh s390x

# Clippy's incompatible_msrv, part of `make rust`, finds newer library calls without the old compiler.
MSRV := $(shell sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
print-msrv:
	@echo $(MSRV)

msrv: ## Compile with the oldest supported Rust, which rustup must have installed
	cargo +$(MSRV) check --locked --features python --target-dir target/msrv

# Miri runs no C code: these are the modules that need none.
miri: export MIRIFLAGS := -Zmiri-disable-isolation
miri: export PROPTEST_CASES := 2
miri: export LIC_SIMD := scalar
miri: ## Run the coder's tests in Miri, which needs a nightly Rust with miri and rust-src
	cargo +nightly miri test --locked --no-default-features --lib ans:: tables:: bytes::

deny: ## Check licences, advisories, duplicates and sources of dependencies; needs cargo-deny
	cargo deny --all-features check $(DENY)

# Inputs that fail are kept in rust/fuzz/artifacts; move each to rust/fuzz/regressions/TARGET when its fault is fixed. No
# target needs an allocation of 64 MB. The flag is for zstd's constants, which GCC takes to be out of scope.
FUZZ := $(notdir $(basename $(wildcard rust/fuzz/fuzz_targets/*.rs)))
fuzz: export RUSTC_BOOTSTRAP := 1
fuzz: export CFLAGS := -fno-sanitize-address-use-after-scope
fuzz: ## Feed each decoder hostile input for SECONDS=60 each; needs cargo-fuzz
	set -e; for target in $(FUZZ); do \
		mkdir -p rust/fuzz/corpus/$$target; \
		cargo fuzz run --fuzz-dir rust/fuzz $$target rust/fuzz/corpus/$$target rust/fuzz/seeds -- \
			-max_total_time=$(SECONDS) -timeout=20 -rss_limit_mb=2048 -malloc_limit_mb=64 -len_control=0 \
			-max_len=4096; \
	done

# The program must be on the PATH of the desktop. Packagers set DESTDIR, and run update-mime-database themselves.
PREFIX ?= /usr/local
SHARE := $(DESTDIR)$(PREFIX)/share
install-desktop: .venv/installed ## Install man page, completions, MIME type, thumbnails: PREFIX=/usr/local DESTDIR=
	folder=$$(mktemp -d) && trap 'rm -r "$$folder"' EXIT && set -e && put="install -D -m 644" && \
	$(BIN)/python share/manual.py "$$folder" && \
	$$put "$$folder/lic-native.1" "$(SHARE)/man/man1/lic-native.1" && \
	$$put "$$folder/bash-lic-native" "$(SHARE)/bash-completion/completions/lic-native" && \
	$$put "$$folder/zsh-_lic-native" "$(SHARE)/zsh/site-functions/_lic-native" && \
	$$put "$$folder/fish-lic-native.fish" "$(SHARE)/fish/vendor_completions.d/lic-native.fish" && \
	$$put share/lic-native.xml "$(SHARE)/mime/packages/lic-native.xml" && \
	$$put share/lic-native.thumbnailer "$(SHARE)/thumbnailers/lic-native.thumbnailer" && \
	$$put share/lic-native.magic "$(SHARE)/lic-native/lic-native.magic" && \
	$$put share/lic-native.exiftool "$(SHARE)/lic-native/lic-native.exiftool" && \
	if test -z "$(DESTDIR)" && command -v update-mime-database; then update-mime-database "$(SHARE)/mime"; fi

lint: .venv/tested ## Ruff, mypy, stubtest and the contracts on imports
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(BIN)/python -m mypy.stubtest lic_native._native

python: .venv/tested ## Tests of the package, examples in documents included: PYTEST_FLAGS="-k jpeg"
	OMP_NUM_THREADS=1 $(BIN)/pytest -q --numprocesses auto --dist worksteal $(PYTEST_FLAGS)

golden: .venv/torch ## Restore the files of earlier releases
	cargo test --quiet --locked --profile checked --test golden
	$(BIN)/python tests/restore_golden.py

lowest: .venv-lowest/installed ## Tests with the oldest supported dependencies: LOWEST_TESTS=tests/test_golden.py
	OMP_NUM_THREADS=1 .venv-lowest/bin/python -m pytest -q --numprocesses auto --dist worksteal $(LOWEST_TESTS)

oldest: lowest

lock: $(BIN)/uv ## Pin the developer tools anew, in requirements-dev.txt
	$(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --group test --group dev --no-annotate \
		--custom-compile-command "make lock" --output-file requirements-dev.txt

wheels: wheel check-wheel ## Build a wheel for this machine, and restore golden files with it

# For Linux, Zig links against an old C library, so that the wheel runs on old systems:
# make wheel WHEEL_FLAGS="--zig --compatibility manylinux_2_17" (or musllinux_1_2, --target aarch64-unknown-linux-gnu)
wheel: $(BIN)/uv ## Build a wheel in dist: WHEEL_FLAGS="--zig --compatibility manylinux_2_17"
	$(PIP) --constraint requirements-dev.txt maturin ziglang==0.17.1
	$(BIN)/maturin build --locked --release --out dist $(WHEEL_FLAGS)

sdist: $(BIN)/uv ## Build a source distribution in dist
	$(PIP) --constraint requirements-dev.txt maturin
	$(BIN)/maturin sdist --out dist

check-wheel: $(BIN)/uv ## Restore golden files with the wheel in dist, without torch
	folder=$$(mktemp -d) && trap 'rm -r "$$folder"' EXIT && set -ex && \
	$(BIN)/uv venv --quiet --python $(PYTHON) "$$folder/venv" && \
	$(UV) --python "$$folder/venv" numpy pillow "typer<0.29" && \
	$(UV) --python "$$folder/venv" --no-deps --no-index --find-links dist --only-binary lic-native lic-native && \
	cp -r tests/restore_golden.py tests/golden "$$folder" && \
	"$$folder/$(BIN:.%=%)/python" "$$folder/restore_golden.py"

check-sdist: sdist ## Build a wheel offline from the source distribution in dist
	cargo fetch --locked
	PATH="$(CURDIR)/$(BIN):$$PATH" CARGO_NET_OFFLINE=true $(BIN)/python -m pip wheel --quiet --no-deps \
		--no-build-isolation --wheel-dir dist/from-sdist dist/lic_native-*.tar.gz

bench: .venv/tested ## Measure the crate's and the package's speed
	$(PIP) --editable ".[bench]"
	cargo bench --quiet
	$(BIN)/pytest -q benches

# On a GPU machine without this .venv: python benches/gpu.py. Here: make gpu GPU_FLAGS="--device cpu --small"
gpu: .venv/torch ## Compare files of a GPU with those of the CPU, and time every path, in two minutes
	$(BIN)/python benches/gpu.py --json gpu.json $(GPU_FLAGS)

# Saving and speed next to Lepton, JPEG XL, brunsli and other peers on the PATH. Qualities, samplings (4:2:0, 4:2:2,
# 4:4:4, gray) and options can be listed, e.g.
# make table IMAGES=photographs QUALITY="50 75" SAMPLING="4:2:0 4:4:4" TABLE_FLAGS="--stages --plot table.png"
table: .venv/installed ## Compare JPEG recompression with its peers: IMAGES=photographs
	$(PIP) --editable ".[bench]"
	$(BIN)/lic-native evaluate jpeg "$(IMAGES)" $(QUALITY:%=--quality %) $(SAMPLING:%=--sampling %) $(TABLE_FLAGS)

# Rate and distortion next to Pillow's codecs, JPEG XL and published curves, e.g.
# make rd IMAGES=kodak RD_FLAGS="--anchors rd_kodak.json --means docs/rd.csv --plot docs/rd.png"
rd: .venv/torch ## Compare lossy images with classic codecs: IMAGES=kodak
	$(PIP) --editable ".[bench]"
	$(BIN)/lic-native evaluate image "$(IMAGES)" $(RD_FLAGS)

# The gain of latent overfitting with profile fast on images unlike the training images, e.g.
# make domains DOMAINS_FLAGS="--lof 200"
DOMAINS_FLAGS ?= --lof 30 --quality 2 --quality 4 --quality 6
DOMAINS_CODECS ?= --codec "lic_native fast" --codec "lic_native fast LOF 30"
domains: .venv/torch ## Measure latent overfitting on unusual images
	$(PIP) --editable ".[bench]" scikit-image pooch
	@folder=$$(mktemp -d) && trap 'rm -r "$$folder"' EXIT && $(BIN)/python benches/domains.py "$$folder" && \
	for domain in medical screen cartoon; do \
		$(BIN)/lic-native evaluate image "$$folder/$$domain" $(DOMAINS_FLAGS) $(DOMAINS_CODECS); \
	done

compat: .venv-compressai/installed ## Tests of the drop-in inside CompressAI, in .venv-compressai
	.venv-compressai/bin/python -m pytest -q tests/test_compat_compressai.py

# Times by stage, in .venv-compressai too, e.g.
# make latency LATENCY_FLAGS="--device cpu --threads 1 --csv latency.csv"
latency: .venv-compressai/installed ## Compare the time of image profiles with CompressAI's models
	.venv-compressai/bin/python -m lic_native evaluate latency $(LATENCY_FLAGS)

# What a training on a GPU machine needs is put in one folder, from which one command runs there (docs/training.md); the
# run that comes back is exported here, e.g.
# make gpu-pack PHOTOGRAPHS=photographs START=python/lic_native/weights/mlcc-best.weights GPU_FLAGS="--camera camera"
GPU ?= runs/gpu
SKIP ?= 0
gpu-pack: .venv/torch ## Put together what a GPU machine needs: PHOTOGRAPHS=folder START=weights SKIP=0
	$(BIN)/lic-native train pack "$(GPU)" --data "$(PHOTOGRAPHS)" $(START:%=--start "%") --skip $(SKIP) $(GPU_FLAGS)

gpu-export: .venv/torch ## Export the network of a run that a GPU machine made: RUN=folder PHOTOGRAPHS=folder
	$(BIN)/lic-native train export "$(RUN)" --data "$(PHOTOGRAPHS)" $(GPU_FLAGS)

# Debian's libhtscodecs2 is compared too if it is installed. The peers are installed without their dependencies, because
# CompressAI's would take NumPy back to version 1.
peers: .venv/tested ## Compare the entropy coder with its peers
	$(PIP) --editable ".[bench]"
	$(PIP) --no-deps torch_ans==0.4.0 compressai==1.2.8 constriction==0.5.0 torchac==0.9.3
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python benches/entropy.py $(PEERS_FLAGS)

# Installs are editable: Python runs the files of this tree, and the compiled extension module is stored among them.
SOURCES := Cargo.toml Cargo.lock pyproject.toml $(shell find rust/src -name '*.rs' -o -name '*.bin')

.venv/installed: $(SOURCES)
	test -d .venv || $(PYTHON) -m venv .venv
	$(PIP) --editable .
	touch $@

.venv/torch: .venv/installed
	$(PIP) --editable ".[torch]"
	touch $@

$(BIN)/uv:
	test -d .venv || $(PYTHON) -m venv .venv
	$(PIP) --constraint requirements-dev.txt uv

# The wheels of torchjpeg are tied to old releases of torch; its source builds against any (needs g++ and make), but asks
# for C++17, which the headers of torch 2.15 refuse.
.venv/tested: .venv/torch requirements-dev.txt
	$(PIP) --requirement requirements-dev.txt
	@folder=$$(mktemp -d) && trap 'rm -r "$$folder"' EXIT && set -ex && \
	$(BIN)/python -m pip download --quiet --disable-pip-version-check --no-build-isolation --no-deps \
		--no-binary torchjpeg --dest "$$folder" torchjpeg==0.9.33 && \
	tar -xzf "$$folder"/*.tar.gz -C "$$folder" && sed -i s/c++17/c++20/ "$$folder"/*/build.py && \
	$(PIP) --no-build-isolation --no-deps "$$folder"/*/
	touch $@

# Without lic_native's own dependencies: its NumPy is too new for CompressAI, but an older one does. CompressAI takes
# any torch and torchvision, but these two must fit each other.
.venv-compressai/installed: $(SOURCES) | $(BIN)/uv
	$(BIN)/uv venv --quiet --allow-existing --python $(PYTHON) .venv-compressai
	$(UV) --python .venv-compressai \
		compressai==1.2.8 torch==2.14.1 torchvision==0.29.2 pillow typer pytest pytest-benchmark hypothesis
	$(UV) --python .venv-compressai --no-deps --editable .
	touch $@

# The lowest versions that pyproject.toml allows, on the lowest Python.
.venv-lowest/installed: $(SOURCES) | $(BIN)/uv
	$(BIN)/uv venv --quiet --allow-existing --python 3.11 .venv-lowest
	$(UV) --python .venv-lowest --resolution lowest-direct --group test --editable ".[torch]"
	touch $@

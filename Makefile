# Everything a developer runs. `make demo` and `make test` set up all they need, in .venv.
PYTHON ?= python3
BIN := .venv/bin
QUALITY ?= 75
SAMPLING ?= 4:2:0
PHOTO ?= tests/data/grace_hopper.jpg
SECONDS ?= 60
# Where torch has CPU builds of its own, name their index: PIP_FLAGS="--extra-index-url ..."
PIP := $(BIN)/pip install --quiet --disable-pip-version-check $(PIP_FLAGS)

.PHONY: demo test rust aarch64 fuzz python oldest lint bench peers table rd domains compat latency

demo: .venv/installed
	@folder=$$(mktemp -d) && trap 'rm -r "$$folder"' EXIT && set -ex && \
	$(BIN)/lic-native compress "$(PHOTO)" -o "$$folder/small.lic" && \
	$(BIN)/lic-native inspect "$$folder/small.lic" && \
	$(BIN)/lic-native decompress "$$folder/small.lic" -o "$$folder/restored" && \
	cmp "$(PHOTO)" "$$folder/restored" && echo "restored byte for byte"

test: rust aarch64 lint python

rust:
	cargo fmt --check
	cargo clippy --quiet --all-targets -- -D warnings
	cargo clippy --quiet --all-targets --features python -- -D warnings
	cargo test --quiet --profile checked
	! cargo tree --edges normal | grep pyo3

# The Rust tests on an emulated ARM processor, where tests/aarch64.sh finds what that takes; else it says what to install.
aarch64:
	tests/aarch64.sh

# Hostile input, each target for so many seconds, e.g. make fuzz SECONDS=600; needs cargo-fuzz. What fails is kept in
# rust/fuzz/artifacts, and its place once it is mended is rust/fuzz/regressions/TARGET. No target has use for an
# allocation of 64 MB. GCC sees a scope end where zstd's constants live on: hence the flag.
FUZZ := $(notdir $(basename $(wildcard rust/fuzz/fuzz_targets/*.rs)))
fuzz: export RUSTC_BOOTSTRAP := 1
fuzz: export CFLAGS := -fno-sanitize-address-use-after-scope
fuzz:
	set -e; for target in $(FUZZ); do \
		mkdir -p rust/fuzz/corpus/$$target; \
		cargo fuzz run --fuzz-dir rust/fuzz $$target rust/fuzz/corpus/$$target rust/fuzz/seeds -- \
			-max_total_time=$(SECONDS) -timeout=20 -rss_limit_mb=2048 -malloc_limit_mb=64 -len_control=0 \
			-max_len=4096; \
	done

lint: .venv/tested
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/python -m mypy.stubtest lic_native._native

python: .venv/tested
	OMP_NUM_THREADS=1 $(BIN)/pytest -q --numprocesses auto --dist worksteal

# The same bytes on the oldest torch that is supported: in .venv-oldest. The wheel that PyPI has is large (5 GB with
# CUDA); a CPU's index, named in PIP_FLAGS, has a smaller one.
oldest: .venv-oldest/installed
	.venv-oldest/bin/python -m pytest -q tests/test_golden.py tests/test_exact.py

bench: .venv/tested
	$(PIP) --editable ".[bench]"
	cargo bench --quiet
	$(BIN)/pytest -q benches

# Saving and speed beside Lepton, JPEG XL and brunsli, and other peers on the PATH; several qualities, samplings (4:2:0,
# 4:2:2, 4:4:4, gray) and other options if asked for, e.g.
# make table IMAGES=photographs QUALITY="50 75" SAMPLING="4:2:0 4:4:4" TABLE_FLAGS="--stages --plot table.png"
table: .venv/installed
	$(PIP) --editable ".[bench]"
	$(BIN)/lic-native evaluate jpeg "$(IMAGES)" $(QUALITY:%=--quality %) $(SAMPLING:%=--sampling %) $(TABLE_FLAGS)

# Rate and distortion beside Pillow's codecs and JPEG XL, and published curves, e.g.
# make rd IMAGES=kodak RD_FLAGS="--anchors rd_kodak.json --means docs/rd.csv --plot docs/rd.png"
rd: .venv/installed
	$(PIP) --editable ".[bench]"
	$(BIN)/lic-native evaluate image "$(IMAGES)" $(RD_FLAGS)

# What latent overfitting gains on images unlike those of the training, profile fast, e.g.
# make domains DOMAINS_FLAGS="--lof 200"
DOMAINS_FLAGS ?= --lof 30 --quality 2 --quality 4 --quality 6
DOMAINS_CODECS ?= --codec "lic_native fast" --codec "lic_native fast LOF 30"
domains: .venv/installed
	$(PIP) --editable ".[bench]" scikit-image pooch
	@folder=$$(mktemp -d) && trap 'rm -r "$$folder"' EXIT && $(BIN)/python benches/domains.py "$$folder" && \
	for domain in medical screen cartoon; do \
		$(BIN)/lic-native evaluate image "$$folder/$$domain" $(DOMAINS_FLAGS) $(DOMAINS_CODECS); \
	done

# The drop-in for CompressAI's coder inside CompressAI itself, which needs an older NumPy: in .venv-compressai.
compat: .venv-compressai/installed
	.venv-compressai/bin/python -m pytest -q tests/test_compat_compressai.py

# Time of our image profiles by stage beside CompressAI's models, in .venv-compressai too, e.g.
# make latency LATENCY_FLAGS="--device cpu --threads 1 --csv latency.csv"
latency: .venv-compressai/installed
	.venv-compressai/bin/python -m lic_native evaluate latency $(LATENCY_FLAGS)

# The entropy coder beside its peers; Debian's libhtscodecs2 joins in where it is installed. Without their dependencies:
# all are here but CompressAI's, which are many, and would take NumPy back to 1.
peers: .venv/tested
	$(PIP) --editable ".[bench]"
	$(PIP) --no-deps torch_ans==0.4.0 compressai==1.2.8 constriction==0.5.0 torchac==0.9.3
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python benches/entropy.py $(PEERS_FLAGS)

# Installs are editable: Python runs the files of this tree, and what is built of Rust lies beside them.
SOURCES := Cargo.toml Cargo.lock pyproject.toml $(shell find rust/src -name '*.rs' -o -name '*.bin')

.venv/installed: $(SOURCES)
	test -d .venv || $(PYTHON) -m venv .venv
	$(PIP) --editable .
	touch $@

# torchjpeg's wheels are tied to old releases of torch; its source builds against any (needs g++ and make), but asks for
# C++17, which the headers of torch 2.15 refuse.
.venv/tested: .venv/installed
	$(PIP) --editable ".[test,dev]" setuptools wheel ninja poetry-core
	@folder=$$(mktemp -d) && trap 'rm -r "$$folder"' EXIT && set -ex && \
	$(BIN)/pip download --quiet --disable-pip-version-check $(PIP_FLAGS) --no-build-isolation --no-deps \
		--no-binary torchjpeg --dest "$$folder" torchjpeg==0.9.33 && \
	tar -xzf "$$folder"/*.tar.gz -C "$$folder" && sed -i s/c++17/c++20/ "$$folder"/*/build.py && \
	$(PIP) --no-build-isolation --no-deps "$$folder"/*/
	touch $@

# Without lic_native's own dependencies: its NumPy is too new for CompressAI, but an older one does. CompressAI takes
# any torch and torchvision, but these two must fit each other.
.venv-compressai/installed: $(SOURCES)
	test -d .venv-compressai || $(PYTHON) -m venv .venv-compressai
	.venv-compressai/bin/pip install --quiet --disable-pip-version-check $(PIP_FLAGS) \
		compressai==1.2.8 torch==2.14.1 torchvision==0.29.2 safetensors pillow typer pytest pytest-benchmark hypothesis
	.venv-compressai/bin/pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

# Without lic_native's own dependencies, which would do with any newer torch: of the others what these tests use.
.venv-oldest/installed: $(SOURCES)
	test -d .venv-oldest || $(PYTHON) -m venv .venv-oldest
	.venv-oldest/bin/pip install --quiet --disable-pip-version-check $(PIP_FLAGS) \
		torch==2.4.1 numpy safetensors pillow pytest hypothesis
	.venv-oldest/bin/pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

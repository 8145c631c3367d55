#!/usr/bin/env bash
# Run the crate's tests and decode the golden files on an emulated processor: tests/emulated.sh aarch64|s390x
#
# aarch64 compiles and runs the NEON code; s390x is big-endian. On Debian 12 install, for one or the other:
#   dpkg --add-architecture arm64 && apt-get update
#   apt-get install --no-install-recommends rustc-web libstd-rust-web-dev:arm64 gcc-aarch64-linux-gnu \
#       libc6-dev-arm64-cross qemu-user
#   apt-get install --no-install-recommends rustc-web rust-web-src gcc-s390x-linux-gnu libc6-dev-s390x-cross qemu-user
# Debian's compiler is then used with any cargo, because a standard library fits only the compiler it was built by.
# With rustup, `rustup target add TARGET` replaces its three Rust packages. A compiler that has only the sources of its
# standard library builds the library first, which takes a few minutes.
# If something is missing, the tests are skipped with a message; REQUIRE_EMULATOR=1 makes that a failure.
set -euo pipefail
cd "$(dirname "$0")/.."
processor=${1:?usage: tests/emulated.sh aarch64|s390x}
shift
target=$processor-unknown-linux-gnu
runner=qemu-$processor

skip() {
    echo "SKIPPED: the tests for $processor did not run: $1 (tests/emulated.sh says what to install)" >&2
    [ -z "${REQUIRE_EMULATOR:-}" ] || exit 1
    exit 0
}

has_library() {
    command -v "$1" >/dev/null && compgen -G "$("$1" --print target-libdir --target "$target")/libcore-*" >/dev/null
}

has_library_sources() {
    command -v "$1" >/dev/null && [ -e "$("$1" --print sysroot)/lib/rustlib/src/rust/library/Cargo.lock" ]
}

case $processor in
aarch64)
    export LIC_REQUIRE_SIMD=neon
    # With the C library of `-L /usr/aarch64-linux-gnu`, Debian 12's QEMU hangs where a thread begins.
    [ -e /lib/ld-linux-aarch64.so.1 ] || skip "libc6:arm64 is not installed"
    ;;
s390x) runner="$runner -L /usr/s390x-linux-gnu" ;;
*) echo "unknown processor '$processor'; choose from: aarch64, s390x" >&2 && exit 2 ;;
esac
for tool in cargo "$processor-linux-gnu-gcc" "qemu-$processor"; do
    command -v "$tool" >/dev/null || skip "$tool is not installed"
done

find_compiler() {
    for compiler in "${RUSTC:-rustc}" /usr/bin/rustc; do
        "$1" "$compiler" && export RUSTC=$compiler && return
    done
    return 1
}

build_library=()
if ! find_compiler has_library; then
    find_compiler has_library_sources || skip "no compiler here has a standard library for $target"
    export RUSTC_BOOTSTRAP=1
    build_library=(-Zbuild-std)
fi

variable=CARGO_TARGET_$(tr a-z- A-Z_ <<<"$target")
export "${variable}_LINKER=$processor-linux-gnu-gcc" "${variable}_RUNNER=$runner"
# Skip what takes the emulator longest and is the same code on every processor: damaged files, and distributions that
# are compared with real arithmetic. Compile faster, too.
export CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16
export PROPTEST_CASES=${PROPTEST_CASES:-8}
skipped=(damage flipped noise_is_an_error costs_little_more steps_change_in_any_row bands_give_the_same_bytes)
cargo test --quiet --locked --release --target "$target" "${build_library[@]}" --lib --test golden -- \
    "${skipped[@]/#/--skip=}" "$@"

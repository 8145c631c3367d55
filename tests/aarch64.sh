#!/usr/bin/env bash
# The crate's tests on an emulated 64-bit ARM processor, so that what only ARM compiles is compiled and run.
#
# Needs a compiler with that target's standard library, a C cross compiler and QEMU. On Debian 12:
#   dpkg --add-architecture arm64 && apt-get update
#   apt-get install --no-install-recommends rustc-web libstd-rust-web-dev:arm64 gcc-aarch64-linux-gnu \
#       libc6-dev-arm64-cross qemu-user
# Debian's compiler is then used beside whichever cargo there is: a standard library fits its own compiler only.
# Without these the tests are skipped, which is said; REQUIRE_AARCH64=1 makes that a failure.
set -euo pipefail
cd "$(dirname "$0")/.."
target=aarch64-unknown-linux-gnu

skip() {
    echo "SKIPPED: the tests for ARM did not run: $1 (tests/aarch64.sh says what to install)" >&2
    [ -z "${REQUIRE_AARCH64:-}" ] || exit 1
    exit 0
}

complete() {
    command -v "$1" >/dev/null && compgen -G "$("$1" --print target-libdir --target $target)/libcore-*" >/dev/null
}

for tool in cargo aarch64-linux-gnu-gcc qemu-aarch64; do
    command -v $tool >/dev/null || skip "there is no $tool"
done
for compiler in "${RUSTC:-rustc}" /usr/bin/rustc; do
    complete "$compiler" && export RUSTC=$compiler && break
done
complete "${RUSTC:-rustc}" || skip "no compiler here has a standard library for $target"
# With the C library of `-L /usr/aarch64-linux-gnu`, Debian 12's QEMU hangs where a thread begins.
[ -e /lib/ld-linux-aarch64.so.1 ] || skip "there is no libc6:arm64"

export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER=qemu-aarch64
# Less time for the compiler, and for the emulator: what takes longest, and is the same code on every processor, is left
# to the tests on this one (files that are damaged, distributions that are compared with real arithmetic).
export CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16
export PROPTEST_CASES=${PROPTEST_CASES:-8} LIC_REQUIRE_SIMD=neon
skipped=(damage flipped noise_is_an_error costs_little_more steps_change_in_any_row bands_give_the_same_bytes)
cargo test --quiet --locked --release --target $target --lib -- "${skipped[@]/#/--skip=}" "$@"

//! Any bytes as a file with embedded JPEGs, which the context model codes.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| lic_native_fuzz::hostile::carve(data));

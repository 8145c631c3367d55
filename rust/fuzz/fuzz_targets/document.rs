//! Any bytes as a file with pictures in it, which the native coder codes.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| lic_native_fuzz::hostile::document(data));

//! Any bytes as a JPEG file.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| lic_native_fuzz::hostile::jpeg(data));

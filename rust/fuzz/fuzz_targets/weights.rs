//! Any bytes as weights, as the body of such a file, and as the payload of an array.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| lic_native_fuzz::hostile::weights(data));

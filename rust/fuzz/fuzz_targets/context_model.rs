//! Any bytes as the context model's code of a small frame.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| lic_native_fuzz::hostile::context_model(data));

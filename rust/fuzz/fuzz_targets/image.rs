//! The sections of image files, and image files that are altered, with the right checksums.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| lic_native_fuzz::hostile::image(data));

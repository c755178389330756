#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ambisign_fuzz::bundle(data));

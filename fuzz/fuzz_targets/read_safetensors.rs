//! libFuzzer's entry to [`gan_fuzz::read_safetensors`].

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| gan_fuzz::read_safetensors(bytes));

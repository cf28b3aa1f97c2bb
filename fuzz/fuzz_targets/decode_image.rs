//! libFuzzer's entry to [`gan_fuzz::decode_image`].

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| gan_fuzz::decode_image(bytes));

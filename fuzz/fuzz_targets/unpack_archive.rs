//! libFuzzer's entry to [`gan_fuzz::unpack_archive`].

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| gan_fuzz::unpack_archive(bytes));

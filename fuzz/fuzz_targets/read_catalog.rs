//! libFuzzer's entry to [`gan_fuzz::read_catalog`].

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| gan_fuzz::read_catalog(bytes));

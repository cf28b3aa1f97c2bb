//! libFuzzer's entry to [`gan_fuzz::read_reference_folder`].

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| gan_fuzz::read_reference_folder(bytes));

//! Reads arbitrary bytes as a `.pth` file. From `crates/gan-weights`:
//!
//! ```text
//! cargo +nightly fuzz run read_pth fuzz/corpus/read_pth tests/fixtures/pth -- -max_len=16384 -malloc_limit_mb=64 -timeout=1
//! ```
//!
//! The first folder collects what the fuzzer finds, the second are its seeds.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|file: &[u8]| {
    // What is read can be named and walked; everything else is an error, not a panic.
    if let Ok(loaded) = gan_weights::pth::read_bytes(file) {
        let elements: usize = loaded.state.iter().map(|(_, tensor)| tensor.elem_count()).sum();
        assert!(elements <= 4 * file.len() + (4 << 20), "{elements} elements in {} bytes", file.len());
    }
});

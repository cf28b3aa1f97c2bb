//! Reads arbitrary bytes as a y4m stream. From `crates/gan-video`:
//!
//! ```text
//! cargo +nightly fuzz run read_y4m fuzz/corpus/read_y4m -- -max_len=8192 -malloc_limit_mb=64 -timeout=1
//! ```

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|stream: &[u8]| {
    // Frames have the size that the header says, and not more of them come than the bytes hold; everything else is an error.
    if let Ok(mut reader) = gan_video::y4m::Reader::new(stream) {
        let layout = reader.header().layout();
        let mut bytes = 0;
        while let Ok(Some(rgb)) = reader.next_frame() {
            assert_eq!(rgb.len(), 3 * layout.width * layout.height);
            bytes += layout.bytes();
        }
        assert!(bytes <= stream.len());
    }
});

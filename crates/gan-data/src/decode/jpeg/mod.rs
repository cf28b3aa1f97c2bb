//! Whether a JPEG file holds all of its image.
//!
//! Decoders fill in grey, or zeros, where coded data is missing, so the data has to be counted: every scan is walked over,
//! Huffman code by Huffman code, without computing a pixel (ITU-T T.81).

mod bits;
mod frame;
mod huffman;
mod scan;
mod segments;

pub(super) use self::scan::check;
pub(super) use self::segments::source;

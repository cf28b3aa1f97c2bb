//! How large frames may be: nothing is allocated for a header that announces more.

/// Longest side of a frame in pixels.
pub const MAX_SIDE: usize = 65_535;
/// Most pixels of a frame.
pub const MAX_PIXELS: usize = 64 << 20;

/// Why frames of this size are refused, if they are.
pub(crate) fn refused(width: usize, height: usize) -> Option<String> {
    if width == 0 || height == 0 {
        Some(format!("it announces frames of {width}x{height}"))
    } else if width > MAX_SIDE || height > MAX_SIDE || width * height > MAX_PIXELS {
        Some(format!("it announces frames of {width}x{height}, and {} megapixels are allowed", MAX_PIXELS >> 20))
    } else {
        None
    }
}

//! YUV4MPEG2 streams: the frames of a video without compression, as `mjpegtools`, ffmpeg, x264 and mpv pipe them.

mod header;
mod read;
mod write;

pub use header::{Chroma, Header};
pub use read::Reader;
pub use write::Writer;

//! Writing a stream.

use super::header::Header;
use crate::{Error, Result};
use std::io::Write;

/// Writes a stream frame by frame.
#[derive(Debug)]
pub struct Writer<W> {
    stream: W,
    header: Header,
}

impl<W: Write> Writer<W> {
    /// Writes the header.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn new(mut stream: W, header: Header) -> Result<Self> {
        stream.write_all(header.line().as_bytes()).map_err(Error::write)?;
        Ok(Writer { stream, header })
    }

    /// Writes a frame of RGB, three bytes a pixel.
    ///
    /// # Errors
    /// [`Error::Stream`] for a frame of another size, [`Error::Io`].
    pub fn write(&mut self, rgb: &[u8]) -> Result<()> {
        let Header { width, height, .. } = self.header;
        if rgb.len() != 3 * width * height {
            let reason =
                format!("a frame has {} bytes, and frames of {width}x{height} have {}", rgb.len(), 3 * width * height);
            return Err(Error::stream(reason, "write frames of one size"));
        }
        let planes = self.header.layout().of_rgb(rgb, self.header.coding());
        self.stream.write_all(b"FRAME\n").and_then(|()| self.stream.write_all(&planes)).map_err(Error::write)
    }

    /// Hands over what the system holds back, and gives the stream back.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn finish(mut self) -> Result<W> {
        self.stream.flush().map_err(Error::write)?;
        Ok(self.stream)
    }
}

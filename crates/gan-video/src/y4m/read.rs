//! Reading a stream.

use super::header::{Header, MAX_LINE};
use crate::{Error, Result};
use std::io::{BufReader, Read};

/// Longest line in front of a frame.
const MAX_FRAME_LINE: usize = 256;

/// Reads a stream frame by frame. Of a damaged one, the frames in front of the damage come first, then an error.
#[derive(Debug)]
pub struct Reader<R> {
    stream: BufReader<R>,
    header: Header,
    frames: u64,
}

impl<R: Read> Reader<R> {
    /// Reads the header.
    ///
    /// # Errors
    /// [`Error::Stream`] as [`Header::parse`] says, [`Error::Io`].
    pub fn new(stream: R) -> Result<Self> {
        let mut stream = BufReader::with_capacity(1 << 16, stream);
        let line = match line(&mut stream, MAX_LINE)? {
            Line::Whole(line) => line,
            Line::End => return Err(Error::stream("nothing came: the stream is empty", "check what sends it")),
            // What begins otherwise is told from what is cut off.
            Line::TooLong(start) => {
                Header::parse(&start)?;
                return Err(Error::stream("the header of the y4m stream has no end", "write the stream anew"));
            }
        };
        Ok(Reader { header: Header::parse(&line)?, stream, frames: 0 })
    }

    /// What the header says.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The next frame as RGB, three bytes a pixel; `None` at the end.
    ///
    /// # Errors
    /// [`Error::Stream`] where a frame is cut off or something else comes, [`Error::Io`].
    pub fn next_frame(&mut self) -> Result<Option<Vec<u8>>> {
        Ok(self.next_planes()?.map(|planes| self.header.layout().to_rgb(&planes, self.header.coding())))
    }

    /// The next frame as it is in the stream; `None` at the end.
    ///
    /// # Errors
    /// As [`Reader::next_frame`].
    pub fn next_planes(&mut self) -> Result<Option<Vec<u8>>> {
        let number = self.frames + 1;
        let broken =
            |what: &str| Error::stream(format!("frame {number} of the y4m stream {what}"), "write the stream anew");
        match line(&mut self.stream, MAX_FRAME_LINE)? {
            Line::End => return Ok(None),
            Line::Whole(line) if line == "FRAME" => {}
            Line::Whole(line) if line.starts_with("FRAME ") => {
                let interlaced = line.split(' ').skip(1).any(|tag| tag.starts_with('I') && !tag.ends_with(['p', '?']));
                if interlaced {
                    return Err(broken("is interlaced"));
                }
            }
            Line::Whole(_) | Line::TooLong(_) => return Err(broken("does not begin as a frame does")),
        }
        let bytes = self.header.layout().bytes();
        // Not more at once than has come: the header may announce what it likes.
        let mut planes = Vec::new();
        (&mut self.stream).take(bytes as u64).read_to_end(&mut planes).map_err(Error::read)?;
        if planes.len() < bytes {
            return Err(broken("is cut off"));
        }
        self.frames = number;
        Ok(Some(planes))
    }
}

enum Line {
    Whole(String),
    TooLong(String),
    End,
}

/// A line without its end; bytes that are no ASCII become question marks.
fn line(stream: &mut impl Read, most: usize) -> Result<Line> {
    let mut text = String::new();
    loop {
        let mut byte = [0];
        match stream.read(&mut byte) {
            Ok(0) if text.is_empty() => return Ok(Line::End),
            Ok(0) => return Ok(Line::TooLong(text)),
            Ok(_) if byte[0] == b'\n' => return Ok(Line::Whole(text)),
            Ok(_) if text.len() == most => return Ok(Line::TooLong(text)),
            Ok(_) => text.push(if byte[0].is_ascii_graphic() || byte[0] == b' ' { byte[0].into() } else { '?' }),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Error::read(error)),
        }
    }
}

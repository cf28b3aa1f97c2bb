//! Frames as images of the format PPM (`P6`, 8 bits), one behind the other, as ffmpeg writes them into a pipe.

use crate::limits::refused;
use crate::{Error, Result};
use std::io::{ErrorKind, Read};

/// Longest header that is read.
const MAX_HEADER: usize = 256;
const BROKEN: &str = "this is no frame of the format PPM";

/// A frame as a file of the format PPM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    file: Vec<u8>,
    pixels: usize,
    size: (usize, usize),
}

impl Frame {
    /// Of RGB, three bytes a pixel; `None` if there are not as many.
    pub fn of_rgb(width: usize, height: usize, rgb: &[u8]) -> Option<Self> {
        if rgb.len() != 3 * width * height || rgb.is_empty() {
            return None;
        }
        let mut file = format!("P6\n{width} {height}\n255\n").into_bytes();
        let pixels = file.len();
        file.extend_from_slice(rgb);
        Some(Frame { file, pixels, size: (width, height) })
    }

    /// The whole file.
    pub fn file(&self) -> &[u8] {
        &self.file
    }

    /// RGB, three bytes a pixel.
    pub fn rgb(&self) -> &[u8] {
        &self.file[self.pixels..]
    }

    /// `(width, height)` in pixels.
    pub fn size(&self) -> (usize, usize) {
        self.size
    }
}

/// The next frame of a stream; `None` at its end.
///
/// # Errors
/// [`Error::Stream`] where something else comes, or a frame is cut off; [`Error::Io`].
pub fn next_frame(stream: &mut impl Read) -> Result<Option<Frame>> {
    let mut file = Vec::new();
    let mut words: Vec<String> = Vec::new();
    let mut word = String::new();
    while words.len() < 4 {
        let mut byte = [0];
        match stream.read_exact(&mut byte) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::UnexpectedEof && file.is_empty() => return Ok(None),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Err(cut_off()),
            Err(error) => return Err(Error::read(error)),
        }
        file.push(byte[0]);
        if file.len() > MAX_HEADER {
            return Err(Error::stream(BROKEN, "decode the video again"));
        }
        if byte[0].is_ascii_whitespace() {
            if !word.is_empty() {
                words.push(std::mem::take(&mut word));
            }
        } else {
            word.push(byte[0].into());
        }
    }
    let number = |i: usize| words[i].parse::<usize>().ok();
    let (Some(width), Some(height), true) = (number(1), number(2), words[0] == "P6" && words[3] == "255") else {
        return Err(Error::stream(BROKEN, "decode the video again"));
    };
    if let Some(reason) = refused(width, height) {
        return Err(Error::stream(reason, "scale the video down"));
    }
    let (pixels, wanted) = (file.len(), 3 * width * height);
    // Not more at once than has come.
    stream.take(wanted as u64).read_to_end(&mut file).map_err(Error::read)?;
    if file.len() < pixels + wanted {
        return Err(cut_off());
    }
    Ok(Some(Frame { file, pixels, size: (width, height) }))
}

fn cut_off() -> Error {
    Error::stream("the last frame is cut off", "decode the video again")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn frames_come_one_after_the_other() {
        let frames: Vec<Frame> = (0..3u8)
            .map(|i| Frame::of_rgb(2, 1 + usize::from(i), &vec![i; 6 * (1 + usize::from(i))]).unwrap())
            .collect();
        let stream: Vec<u8> = frames.iter().flat_map(|frame| frame.file().to_vec()).collect();
        let mut rest = &stream[..];
        for frame in &frames {
            assert_eq!(next_frame(&mut rest).unwrap().as_ref(), Some(frame));
        }
        assert_eq!(next_frame(&mut rest).unwrap(), None);
        for length in (1..stream.len()).filter(|n| ![17, 34].contains(n)) {
            let mut cut = &stream[..length];
            let all: Result<Vec<Frame>> = std::iter::from_fn(|| next_frame(&mut cut).transpose()).collect();
            let whole = [frames[0].file().len(), frames[0].file().len() + frames[1].file().len()];
            assert_eq!(all.is_ok(), whole.contains(&length), "{length}");
        }
        for bad in [
            "P5\n1 1\n255\nabc",
            "P6\n0 1\n255\n",
            "P6\n99999 99999\n255\n",
            "P6 1 1 65535 abcdef",
            "P6\n-1 1\n255\nabc",
        ] {
            assert!(next_frame(&mut bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(Frame::of_rgb(2, 2, &[0; 11]).is_none());
    }
}

//! Frames out of a video.

use super::process::{Running, command};
use super::{Ffmpeg, Video, file};
use crate::ppm::{Frame, next_frame};
use crate::{Error, Result};
use std::io::BufReader;
use std::path::Path;
use std::process::ChildStdout;

/// Which part of a video.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Section {
    /// Seconds from its beginning.
    pub start: Option<f64>,
    /// Seconds.
    pub duration: Option<f64>,
}

impl Section {
    /// The options in front of an input.
    pub(super) fn arguments(&self) -> Vec<String> {
        let option = |name: &str, seconds: Option<f64>| seconds.map(|s| [name.to_owned(), format!("{s:.6}")]);
        [option("-ss", self.start), option("-t", self.duration)].into_iter().flatten().flatten().collect()
    }
}

/// The frames of a video, one after the other.
#[derive(Debug)]
pub struct Decoder {
    process: Option<Running>,
    stream: BufReader<ChildStdout>,
}

impl Ffmpeg {
    /// Begins to decode a part of a video. Frames are turned upright, progressive, and at the constant rate of `video`.
    ///
    /// # Errors
    /// [`Error::NoFfmpeg`].
    pub fn decode(&self, path: &Path, video: &Video, section: &Section) -> Result<Decoder> {
        let mut filters = Vec::new();
        if video.interlaced {
            filters.push("yadif=deint=interlaced".to_owned());
        }
        if video.variable {
            filters.push(format!("fps={}", video.rate));
        }
        let matrix = video.colour.matrix(video.size.1);
        let range = video.colour.range.as_deref().filter(|range| matches!(*range, "tv" | "pc"));
        let range = range.map_or(String::new(), |range| format!(":in_range={range}"));
        // Of RGB the matrix is not looked at.
        filters.push(format!(
            "scale=in_color_matrix={matrix}{range}:flags=bicubic+accurate_rnd+full_chroma_int,format=rgb24"
        ));
        let mut ffmpeg = command(&self.program);
        ffmpeg.args(["-v", "error", "-nostdin"]).args(section.arguments()).arg("-i").arg(file(path));
        ffmpeg.args(["-map", "0:V:0", "-an", "-sn", "-dn", "-vf", &filters.join(",")]);
        ffmpeg.args([self.sync_option(), "passthrough", "-f", "image2pipe", "-c:v", "ppm", "pipe:1"]);
        let mut process = Running::start(ffmpeg, "decode", path)?;
        let Some(stdout) = process.child.stdout.take() else {
            return Err(Error::read(std::io::ErrorKind::BrokenPipe.into()));
        };
        Ok(Decoder { process: Some(process), stream: BufReader::with_capacity(1 << 18, stdout) })
    }
}

impl Decoder {
    /// The next frame; `None` at the end.
    ///
    /// # Errors
    /// [`Error::Ffmpeg`] with what ffmpeg says, where it cannot go on.
    pub fn next_frame(&mut self) -> Result<Option<Frame>> {
        let Some(process) = self.process.take() else { return Ok(None) };
        match next_frame(&mut self.stream) {
            Ok(Some(frame)) => {
                self.process = Some(process);
                Ok(Some(frame))
            }
            Ok(None) => process.finish().map(|()| None),
            Err(error) => Err(process.or(error)),
        }
    }
}

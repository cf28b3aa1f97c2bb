//! Frames into a video.

use super::process::{Running, command};
use super::{Colour, Ffmpeg, file};
use crate::{Error, Rate, Result};
use std::io::Write;
use std::path::Path;

/// How a video is coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    /// H.264, which every player knows.
    H264,
    /// VP9, of WebM.
    Vp9,
    /// MPEG-4 part 2, where there is no H.264.
    Mpeg4,
    /// FFV1: without loss, and without colours of fewer samples.
    Ffv1,
    /// H.264 of RGB without loss.
    H264Lossless,
}

/// How good, and large, a video is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quality {
    /// Constant rate factor: 0 to 51 for H.264, to 63 for VP9; lower is better. Without a number, 16 and 24.
    Crf(Option<u8>),
    /// Every level as it is.
    Lossless,
}

impl Codec {
    /// The codec of a file by its extension, of those that this ffmpeg has; `None` for an extension that is none of a video.
    pub fn of(ffmpeg: &Ffmpeg, extension: &str, quality: Quality) -> Option<Self> {
        let lossless = quality == Quality::Lossless;
        let h264 = if ffmpeg.encodes("libx264") { Codec::H264 } else { Codec::Mpeg4 };
        Some(match extension {
            "mkv" | "mov" | "avi" if lossless => Codec::Ffv1,
            "mp4" | "m4v" if lossless => Codec::H264Lossless,
            "webm" => Codec::Vp9,
            "mp4" | "m4v" | "mov" | "mkv" => h264,
            "avi" => Codec::Mpeg4,
            // Its palette is made of all frames at the end.
            "gif" => Codec::Ffv1,
            _ => return None,
        })
    }

    /// The container in which parts of a video are kept, and its extension.
    pub fn container(self) -> (&'static str, &'static str) {
        match self {
            Codec::Ffv1 => ("matroska", "mkv"),
            _ => ("mp4", "mp4"),
        }
    }
}

/// How frames are coded.
#[derive(Debug, Clone, PartialEq)]
pub struct Encoding {
    /// Width and height.
    pub size: (usize, usize),
    /// Frames a second.
    pub rate: Rate,
    /// The codec.
    pub codec: Codec,
    /// Its quality.
    pub quality: Quality,
    /// Tags of colour that the video has, and after which it is coded.
    pub colour: Colour,
    /// Width and height of a pixel, if they differ.
    pub aspect: Option<(u32, u32)>,
}

impl Encoding {
    fn arguments(&self) -> Vec<String> {
        let (width, height) = self.size;
        let even = width.is_multiple_of(2) && height.is_multiple_of(2);
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let crf = |usual: u8| match self.quality {
            Quality::Crf(crf) => crf.unwrap_or(usual),
            Quality::Lossless => 0,
        };
        // H.264 of 4:2:0 has sides of even length.
        let planes = if even { "yuv420p" } else { "yuv444p" };
        let (mut codec, format) = match self.codec {
            Codec::H264 => (words(&format!("-c:v libx264 -preset medium -crf {}", crf(16))), planes),
            Codec::Vp9 => {
                let lossless = if self.quality == Quality::Lossless { " -lossless 1" } else { "" };
                let format = if self.quality == Quality::Lossless { "gbrp" } else { planes };
                (words(&format!("-c:v libvpx-vp9 -b:v 0 -crf {} -row-mt 1{lossless}", crf(24))), format)
            }
            Codec::Mpeg4 => (words("-c:v mpeg4 -q:v 2"), "yuv420p"),
            Codec::Ffv1 => (words("-c:v ffv1 -level 3 -g 1"), "bgr0"),
            Codec::H264Lossless => (words("-c:v libx264rgb -preset medium -qp 0"), "rgb24"),
        };
        let mut filters = vec![];
        if format.starts_with("yuv") {
            let matrix = self.colour.matrix(height);
            let range = self.colour.range.as_deref().filter(|range| *range == "pc").unwrap_or("tv");
            filters.push(format!(
                "scale=out_color_matrix={matrix}:out_range={range}:flags=bicubic+accurate_rnd+full_chroma_int"
            ));
            let tags = [
                ("-colorspace", self.colour.space.as_deref().filter(|space| *space != "gbr")),
                ("-color_primaries", self.colour.primaries.as_deref()),
                ("-color_trc", self.colour.transfer.as_deref()),
                ("-color_range", Some(range)),
            ];
            codec.extend(
                tags.into_iter().filter_map(|(option, tag)| Some([option.to_owned(), tag?.to_owned()])).flatten(),
            );
        }
        filters.push(format!("format={format}"));
        if let Some((across, down)) = self.aspect {
            filters.push(format!("setsar={across}/{down}"));
        }
        codec.extend(["-vf".to_owned(), filters.join(",")]);
        codec
    }
}

/// A video that is being coded.
#[derive(Debug)]
pub struct Encoder {
    process: Running,
    bytes: usize,
}

impl Ffmpeg {
    /// Begins to code frames into a file, which is replaced.
    ///
    /// # Errors
    /// [`Error::NoFfmpeg`].
    pub fn encode(&self, path: &Path, encoding: &Encoding) -> Result<Encoder> {
        let (width, height) = encoding.size;
        let mut ffmpeg = command(&self.program);
        ffmpeg.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::null());
        ffmpeg.args(["-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "rgb24"]);
        ffmpeg.args([
            "-video_size",
            &format!("{width}x{height}"),
            "-framerate",
            &encoding.rate.to_string(),
            "-i",
            "pipe:0",
        ]);
        ffmpeg.args(encoding.arguments());
        ffmpeg.args([self.sync_option(), "passthrough", "-f", encoding.codec.container().0]).arg(file(path));
        Ok(Encoder { process: Running::start(ffmpeg, "write", path)?, bytes: 3 * width * height })
    }
}

impl Encoder {
    /// Codes a frame of RGB, three bytes a pixel.
    ///
    /// # Errors
    /// [`Error::Stream`] for a frame of another size, [`Error::Io`]; what ffmpeg says comes from [`Encoder::finish`].
    pub fn write(&mut self, rgb: &[u8]) -> Result<()> {
        if rgb.len() != self.bytes {
            let reason = format!("a frame has {} bytes, and the frames before had {}", rgb.len(), self.bytes);
            return Err(Error::stream(reason, "translate frames of one size"));
        }
        match &mut self.process.child.stdin {
            Some(stdin) => stdin.write_all(rgb).map_err(Error::write),
            None => Err(Error::write(std::io::ErrorKind::BrokenPipe.into())),
        }
    }

    /// Ends the video.
    ///
    /// # Errors
    /// [`Error::Ffmpeg`].
    pub fn finish(mut self) -> Result<()> {
        drop(self.process.child.stdin.take());
        self.process.finish()
    }

    /// What ffmpeg says of a frame that could not be written.
    #[must_use]
    pub fn complaint(self, error: Error) -> Error {
        self.process.or(error)
    }
}

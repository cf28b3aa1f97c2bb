//! What a video is.

use super::process::command;
use super::{Ffmpeg, file};
use crate::yuv::Matrix;
use crate::{Error, Rate, Result};
use serde_json::Value;
use std::path::Path;

/// Rates that differ by less, relatively, are one.
const SAME_RATE: f64 = 1e-3;
/// Rate that is taken where a video does not tell.
const USUAL: u32 = 25;
/// Highest rate of frames whose distances vary.
const HIGHEST: f64 = 120.0;

/// Tags of colour, in ffmpeg's words; `None` where the video does not tell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Colour {
    /// The matrix: `bt709`, `smpte170m`, …
    pub space: Option<String>,
    /// The primaries.
    pub primaries: Option<String>,
    /// The transfer characteristic.
    pub transfer: Option<String>,
    /// `tv` or `pc`.
    pub range: Option<String>,
}

impl Colour {
    /// The matrix in the words of the filter `scale`. Where the video does not tell, that of its size, as players take it.
    pub(super) fn matrix(&self, height: usize) -> &str {
        match self.space.as_deref() {
            // RGB, and what `scale` has no coefficients for.
            Some(
                "gbr" | "ycgco" | "reserved" | "chroma-derived-nc" | "chroma-derived-c" | "ictcp" | "bt2020c"
                | "smpte2085",
            )
            | None => match Matrix::of_size(height) {
                Matrix::Bt601 => "bt601",
                Matrix::Bt709 => "bt709",
            },
            Some("bt470bg" | "smpte170m") => "bt601",
            Some("bt2020nc") => "bt2020",
            Some(space) => space,
        }
    }
}

/// What a video is.
#[derive(Debug, Clone, PartialEq)]
pub struct Video {
    /// Width and height of its frames as they are stored, which may be turned when they are decoded.
    pub size: (usize, usize),
    /// Frames a second, at a constant rate.
    pub rate: Rate,
    /// Whether the distances of its frames vary: they are decoded at the constant rate, for which some are repeated or left out.
    pub variable: bool,
    /// Number of frames, if it is known; not always exact.
    pub frames: Option<u64>,
    /// Seconds, if known.
    pub duration: Option<f64>,
    /// Seconds from the beginning of the file to the first frame.
    pub start: f64,
    /// Width and height of a pixel, if they differ.
    pub aspect: Option<(u32, u32)>,
    /// Tags of colour.
    pub colour: Colour,
    /// Whether its frames are interlaced.
    pub interlaced: bool,
    /// The codecs of its sound tracks.
    pub sound: Vec<String>,
}

impl Ffmpeg {
    /// Looks at a file.
    ///
    /// # Errors
    /// [`Error::NoVideo`], [`Error::NoFfmpeg`] if there is no ffprobe.
    pub fn probe(&self, path: &Path) -> Result<Video> {
        let program = self.probe_program();
        let mut probe = command(&program);
        probe.args(["-v", "error", "-of", "json", "-show_streams", "-show_format"]).arg(file(path));
        let output = probe.output().map_err(|source| Error::NoFfmpeg { program, source })?;
        let no_video = |reason: String| Error::NoVideo { path: path.to_owned(), reason };
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            let last = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("ffprobe cannot read it");
            return Err(no_video(last.trim().chars().take(300).collect()));
        }
        let answer: Value = serde_json::from_slice(&output.stdout).map_err(|error| no_video(error.to_string()))?;
        video(&answer).ok_or_else(|| no_video("it has no frames".into()))
    }
}

/// Of ffprobe's answer.
fn video(answer: &Value) -> Option<Video> {
    let streams = answer["streams"].as_array()?;
    let is = |stream: &&Value, kind: &str| stream["codec_type"] == kind;
    // A cover image is a video of one frame.
    let cover = |stream: &&Value| stream["disposition"]["attached_pic"] == 1;
    let stream = streams.iter().find(|stream| is(stream, "video") && !cover(stream))?;
    let text =
        |value: &Value| value.as_str().filter(|text| !matches!(*text, "unknown" | "unspecified")).map(str::to_owned);
    let number = |value: &Value| value.as_str().and_then(|text| text.parse::<f64>().ok()).filter(|n| n.is_finite());
    let size = |key: &str| stream[key].as_u64().and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0);
    let rate = |key: &str| stream[key].as_str().and_then(|text| text.parse::<Rate>().ok());
    let (real, average) = (rate("r_frame_rate"), rate("avg_frame_rate"));
    let (rate, variable) = match (real, average) {
        (Some(real), Some(average)) => {
            let differ = (real.per_second() / average.per_second() - 1.0).abs() > SAME_RATE;
            // The lowest rate at which every frame has its place may be absurd.
            (if real.per_second() > HIGHEST { average } else { real }, differ)
        }
        (Some(rate), None) | (None, Some(rate)) => (rate, false),
        (None, None) => (Rate::new(USUAL, 1)?, false),
    };
    let duration = number(&stream["duration"]).or_else(|| number(&answer["format"]["duration"]));
    let counted = stream["nb_frames"].as_str().and_then(|text| text.parse::<u64>().ok()).filter(|n| *n > 0);
    let estimated = duration.map(|seconds| (seconds * rate.per_second()).round() as u64);
    let aspect = stream["sample_aspect_ratio"].as_str().and_then(|text| {
        let (a, b) = text.split_once(':')?;
        Some((a.parse::<u32>().ok()?, b.parse::<u32>().ok()?))
    });
    let begin = |value: &Value| number(&value["start_time"]);
    let start = begin(stream).zip(begin(&answer["format"])).map_or(0.0, |(stream, file)| (stream - file).max(0.0));
    Some(Video {
        size: (size("width")?, size("height")?),
        rate,
        variable,
        frames: if variable { estimated } else { counted.or(estimated) },
        duration,
        start,
        aspect: aspect.filter(|(a, b)| a != b && *a > 0 && *b > 0),
        colour: Colour {
            space: text(&stream["color_space"]),
            primaries: text(&stream["color_primaries"]),
            transfer: text(&stream["color_transfer"]),
            range: text(&stream["color_range"]),
        },
        interlaced: matches!(stream["field_order"].as_str(), Some("tt" | "bb" | "tb" | "bt")),
        sound: streams.iter().filter(|stream| is(stream, "audio")).filter_map(|s| text(&s["codec_name"])).collect(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::json;

    #[test]
    fn answers_of_ffprobe() {
        let answer = json!({
            "streams": [
                {"codec_type": "audio", "codec_name": "aac"},
                {"codec_type": "video", "width": 640, "height": 360, "disposition": {"attached_pic": 1}},
                {"codec_type": "video", "width": 1280, "height": 720, "r_frame_rate": "30000/1001",
                 "avg_frame_rate": "30000/1001", "nb_frames": "150", "duration": "5.005", "start_time": "0.033367",
                 "sample_aspect_ratio": "1:1", "color_space": "bt709", "color_range": "tv", "color_transfer": "unknown",
                 "field_order": "progressive"}
            ],
            "format": {"duration": "5.021", "start_time": "0.000000"}
        });
        let found = video(&answer).unwrap();
        assert_eq!((found.size, found.rate.fraction()), ((1280, 720), (30_000, 1001)));
        assert_eq!((found.frames, found.variable, found.aspect), (Some(150), false, None));
        assert!((found.start - 0.033367).abs() < 1e-9);
        assert_eq!(found.colour.space.as_deref(), Some("bt709"));
        assert_eq!((found.colour.transfer.as_deref(), found.colour.matrix(720)), (None, "bt709"));
        assert_eq!(found.sound, ["aac"]);
        assert!(!found.interlaced);
    }

    #[test]
    fn rates_that_vary_and_files_without_frames() {
        let of = |real: &str, average: &str| {
            video(&json!({"streams": [{"codec_type": "video", "width": 8, "height": 8, "r_frame_rate": real,
                "avg_frame_rate": average, "duration": "2"}], "format": {}}))
            .unwrap()
        };
        assert_eq!((of("50/1", "22/1").variable, of("50/1", "22/1").rate.fraction()), (true, (50, 1)));
        assert_eq!(of("90000/1", "24/1").rate.fraction(), (24, 1));
        assert_eq!((of("0/0", "0/0").rate.fraction(), of("25/1", "0/0").frames), ((25, 1), Some(50)));
        assert!(video(&json!({"streams": [{"codec_type": "audio", "codec_name": "mp3"}]})).is_none());
        assert_eq!(Colour::default().matrix(576), "bt601");
        assert_eq!(Colour::default().matrix(1080), "bt709");
    }
}

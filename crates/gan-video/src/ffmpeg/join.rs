//! Parts of a video, and the sound of another, as one file.

use super::process::{Running, command};
use super::{Ffmpeg, Section, Video, file};
use crate::Result;
use std::path::Path;

/// Where the sound of a video comes from.
#[derive(Debug, Clone, Copy)]
pub struct Sound<'a> {
    /// The file.
    pub path: &'a Path,
    /// What it is.
    pub video: &'a Video,
    /// The part of it.
    pub section: Section,
}

/// Parts of one codec that become one file.
#[derive(Debug, Clone, Copy)]
pub struct Join<'a> {
    /// A file that lists the parts, as ffmpeg's `concat` reads it.
    pub list: &'a Path,
    /// The extension of the result's name, which tells its container.
    pub extension: &'a str,
    /// Its sound.
    pub sound: Option<Sound<'a>>,
}

impl Join<'_> {
    fn muxer(&self) -> &'static str {
        match self.extension {
            "mkv" => "matroska",
            "webm" => "webm",
            "mov" => "mov",
            "avi" => "avi",
            "gif" => "gif",
            _ => "mp4",
        }
    }

    /// Sound as it is, where the container takes it.
    fn sound_codec(&self, sound: &Sound<'_>) -> &'static str {
        let takes = |codecs: &[&str]| sound.video.sound.iter().all(|codec| codecs.contains(&codec.as_str()));
        match self.extension {
            "mkv" => "copy",
            "webm" if takes(&["opus", "vorbis"]) => "copy",
            "webm" => "libopus",
            "mp4" | "m4v" | "mov" if takes(&["aac", "mp3", "ac3", "eac3", "alac"]) => "copy",
            "avi" if takes(&["mp3", "ac3", "pcm_s16le"]) => "copy",
            "avi" => "ac3",
            _ => "aac",
        }
    }
}

impl Ffmpeg {
    /// Writes the parts as one file, which is replaced. Nothing is coded again, but for the palette of a GIF, and for sound that the container does
    /// not take.
    ///
    /// # Errors
    /// [`crate::Error::Ffmpeg`], [`crate::Error::NoFfmpeg`].
    pub fn join(&self, path: &Path, join: &Join<'_>) -> Result<()> {
        let mut ffmpeg = command(&self.program);
        ffmpeg.stdout(std::process::Stdio::null());
        ffmpeg.args(["-v", "error", "-nostdin", "-y"]);
        if join.extension == "gif" {
            ffmpeg.args(["-f", "concat", "-safe", "0", "-i"]).arg(file(join.list));
            // One palette for all frames, and a pattern that stands still.
            let palette =
                "[0:v]split[a][b];[a]palettegen=stats_mode=full[p];[b][p]paletteuse=dither=bayer:bayer_scale=4";
            ffmpeg.args(["-filter_complex", palette, "-loop", "0"]);
        } else {
            let sound = join.sound.filter(|sound| !sound.video.sound.is_empty());
            if let Some(sound) = &sound
                && sound.section.start.is_none()
                && sound.video.start > 1e-3
            {
                ffmpeg.args(["-itsoffset", &format!("{:.6}", sound.video.start)]);
            }
            ffmpeg.args(["-f", "concat", "-safe", "0", "-i"]).arg(file(join.list));
            if let Some(sound) = &sound {
                ffmpeg.args(sound.section.arguments()).arg("-i").arg(file(sound.path));
            }
            ffmpeg.args(["-map", "0:v:0", "-c:v", "copy"]);
            if let Some(sound) = &sound {
                ffmpeg.args(["-map", "1:a", "-map_metadata", "1", "-c:a", join.sound_codec(sound)]);
            }
            if matches!(join.extension, "mp4" | "m4v" | "mov") {
                ffmpeg.args(["-movflags", "+faststart"]);
            }
        }
        ffmpeg.args(["-f", join.muxer()]).arg(file(path));
        Running::start(ffmpeg, "write", path)?.finish()
    }
}

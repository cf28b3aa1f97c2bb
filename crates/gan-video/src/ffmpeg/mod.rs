//! An installed ffmpeg, driven through pipes.

mod decode;
mod encode;
mod join;
mod probe;
mod process;

pub use decode::{Decoder, Section};
pub use encode::{Codec, Encoder, Encoding, Quality};
pub use join::{Join, Sound};
pub use probe::{Colour, Video};

use crate::{Error, Result};
use process::command;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// An ffmpeg that can be run.
#[derive(Debug, Clone)]
pub struct Ffmpeg {
    program: PathBuf,
    /// Major and minor version; that of builds from the newest source is taken as new.
    version: (u32, u32),
    encoders: Vec<String>,
}

impl Ffmpeg {
    /// The ffmpeg at a path, or the one that the system finds.
    ///
    /// # Errors
    /// [`Error::NoFfmpeg`].
    pub fn find(program: Option<&Path>) -> Result<Self> {
        let program = program.unwrap_or(Path::new("ffmpeg")).to_owned();
        let ask = |argument: &str| {
            let run = command(&program).args(["-hide_banner", argument]).output();
            run.map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
        };
        let version = ask("-version").map_err(|source| Error::NoFfmpeg { program: program.clone(), source })?;
        if !version.starts_with("ffmpeg ") {
            let source = std::io::Error::other("it does not answer as ffmpeg does");
            return Err(Error::NoFfmpeg { program, source });
        }
        let list = ask("-encoders").map_err(|source| Error::NoFfmpeg { program: program.clone(), source })?;
        // ` V....D libx264   H.264 …`
        let names = list.lines().filter_map(|line| line.split_whitespace().nth(1)).map(str::to_owned);
        let encoders = names.collect();
        Ok(Ffmpeg { version: parse_version(&version), encoders, program })
    }

    /// The program.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Whether it has an encoder of this name.
    pub fn encodes(&self, name: &str) -> bool {
        self.encoders.iter().any(|encoder| encoder == name)
    }

    /// ffprobe lies beside it.
    fn probe_program(&self) -> PathBuf {
        let name = self.program.file_name().map(|name| name.to_string_lossy().replacen("ffmpeg", "ffprobe", 1));
        self.program.with_file_name(name.filter(|name| name.contains("ffprobe")).unwrap_or_else(|| "ffprobe".into()))
    }

    /// The option that says how frames become those of another rate.
    fn sync_option(&self) -> &'static str {
        if self.version >= (5, 1) { "-fps_mode" } else { "-vsync" }
    }
}

/// `ffmpeg version 5.1.9-0+deb12u1 …`; builds from source call themselves `N-12345-g…`.
fn parse_version(text: &str) -> (u32, u32) {
    let word = text.split_whitespace().nth(2).unwrap_or("");
    let mut numbers = word.trim_start_matches('n').split(|c: char| !c.is_ascii_digit()).map(str::parse);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor),
        (Some(Ok(major)), _) => (major, 0),
        _ => (u32::MAX, 0),
    }
}

/// A path as an argument: never a protocol, never an option.
fn file(path: &Path) -> OsString {
    let mut argument = OsString::from("file:");
    argument.push(path);
    argument
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_builds_write_them() {
        for (text, version) in [
            ("ffmpeg version 5.1.9-0+deb12u1 Copyright", (5, 1)),
            ("ffmpeg version 4.4.2-0ubuntu0.22.04.1 Copyright", (4, 4)),
            ("ffmpeg version n7.0 Copyright", (7, 0)),
            ("ffmpeg version 6 Copyright", (6, 0)),
            ("ffmpeg version N-109542-g2eb6b1d Copyright", (u32::MAX, 0)),
        ] {
            assert_eq!(parse_version(text), version, "{text}");
        }
    }

    #[test]
    fn what_is_not_there_is_an_error() {
        let error = Ffmpeg::find(Some(Path::new("/none/ffmpeg")));
        assert!(matches!(error, Err(Error::NoFfmpeg { .. })));
        let path = Path::new("-i");
        assert_eq!(file(path), "file:-i");
    }
}

//! Where frames go: a video, a y4m stream, or a folder.

use super::input::Source;
use super::partial::{Partial, State};
use crate::exit::{BAD_DATA, Coded, USAGE};
use anyhow::{Context, bail};
use gan_data::{Image, write_image};
use gan_fs::temporary_beside;
use gan_video::Rate;
use gan_video::ffmpeg::{Codec, Colour, Encoder, Encoding, Ffmpeg, Join, Quality, Sound};
use gan_video::y4m::{Chroma, Header, Writer};
use std::fs::{self, File};
use std::io::{BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};

/// What the output is, by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Destination {
    Standard,
    Y4m(PathBuf),
    Folder(PathBuf),
    Video { path: PathBuf, extension: String },
}

const VIDEOS: [&str; 7] = ["mp4", "m4v", "mov", "mkv", "webm", "avi", "gif"];

impl Destination {
    /// # Errors
    /// [`Coded`]: a name that is none of a video.
    pub(super) fn of(path: &Path) -> anyhow::Result<Self> {
        if path == Path::new("-") {
            return Ok(Destination::Standard);
        }
        let separator = path.as_os_str().as_encoded_bytes().last().is_some_and(|&b| std::path::is_separator(b.into()));
        let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
        let (path, shown) = (path.to_owned(), path.display());
        match extension.as_deref() {
            _ if separator || path.is_dir() => Ok(Destination::Folder(path)),
            None if path.exists() => {
                bail!(Coded(USAGE, format!("{shown} is a file: name a folder for the frames, or a video")))
            }
            None => Ok(Destination::Folder(path)),
            Some("y4m") => Ok(Destination::Y4m(path)),
            Some(extension) if VIDEOS.contains(&extension) => {
                Ok(Destination::Video { extension: extension.to_owned(), path })
            }
            Some(_) => bail!(Coded(
                USAGE,
                format!(
                    "{shown}: name a video that ends in {} or y4m, or a folder for the frames ({shown}/)",
                    VIDEOS.join(", ")
                )
            )),
        }
    }
}

/// Takes the frames in order.
pub(super) enum Sink<'a> {
    Y4m(Stream),
    Folder { folder: PathBuf, stems: Vec<PathBuf>, first: usize, every: usize },
    Video(Box<Parts<'a>>),
}

/// A y4m stream, which begins with the first frame.
pub(super) struct Stream {
    /// With the size of the frames, once that is known.
    header: Header,
    /// The file; standard output without one.
    target: Option<PathBuf>,
    writer: Option<Writer<Box<dyn Write>>>,
    temporary: Option<Temporary>,
}

/// A video in parts.
pub(super) struct Parts<'a> {
    ffmpeg: &'a Ffmpeg,
    partial: &'a Partial,
    path: PathBuf,
    extension: String,
    codec: Codec,
    quality: Quality,
    rate: Rate,
    colour: Colour,
    aspect: Option<(u32, u32)>,
    size: Option<(usize, usize)>,
    encoder: Option<(Encoder, String)>,
}

/// A file that is removed unless it took its name.
pub(super) struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

impl<'a> Sink<'a> {
    pub(super) fn open(
        destination: &Destination,
        source: &Source,
        (first, every): (usize, usize),
        rate: Rate,
        quality: Quality,
        ffmpeg: Option<&'a Ffmpeg>,
        partial: Option<&'a Partial>,
    ) -> anyhow::Result<Self> {
        let (colour, aspect) = source.tags();
        Ok(match destination {
            Destination::Standard | Destination::Y4m(_) => {
                let target = if let Destination::Y4m(path) = destination { Some(path.clone()) } else { None };
                // The kind of stream that came, if one did; its size is that of the first result.
                let kind = source.header().copied();
                let chroma =
                    kind.map_or(
                        Chroma::C444,
                        |header| if header.chroma == Chroma::Mono { Chroma::C444 } else { header.chroma },
                    );
                let full_range = kind.is_some_and(|header| header.full_range);
                let aspect = kind.map_or(aspect.unwrap_or((1, 1)), |header| header.aspect);
                let template = Header { rate, chroma, full_range, aspect, ..Header::new(1, 1, rate) };
                Sink::Y4m(Stream { header: template, target, writer: None, temporary: None })
            }
            Destination::Folder(folder) => {
                fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
                let stems = source.stems().map_or_else(Vec::new, <[_]>::to_vec);
                Sink::Folder { folder: folder.clone(), stems, first, every }
            }
            Destination::Video { path, extension } => {
                let (Some(ffmpeg), Some(partial)) = (ffmpeg, partial) else { bail!("{} needs ffmpeg", path.display()) };
                let Some(codec) = Codec::of(ffmpeg, extension, quality) else {
                    bail!("{} is no video", path.display())
                };
                Sink::Video(Box::new(Parts {
                    ffmpeg,
                    partial,
                    path: path.clone(),
                    extension: extension.clone(),
                    codec,
                    quality,
                    rate,
                    colour,
                    aspect,
                    size: partial.state().size,
                    encoder: None,
                }))
            }
        })
    }

    /// Writes the frame of this number.
    pub(super) fn write(&mut self, index: u64, image: &Image) -> anyhow::Result<()> {
        match self {
            Sink::Y4m(stream) => stream.write(image),
            Sink::Folder { folder, stems, first, every } => {
                let number = index as usize;
                let path = match stems.get(*first + number * *every) {
                    Some(stem) => named(folder, stem),
                    None => folder.join(format!("frame-{:06}.png", number + 1)),
                };
                if let Some(parent) = path.parent() {
                    fs::create_dir_all(parent).with_context(|| format!("cannot create {}", parent.display()))?;
                }
                Ok(write_image(&path, image)?)
            }
            Sink::Video(parts) => parts.write(index, image),
        }
    }

    /// Completes what has been written so far, so that a later call can go on behind it.
    pub(super) fn end_part(&mut self, state: &mut State) -> anyhow::Result<()> {
        if let Sink::Video(parts) = self {
            parts.end_part(state)?;
        }
        Ok(())
    }

    /// Completes the result.
    pub(super) fn finish(self, state: &mut State, sound: Option<Sound<'_>>) -> anyhow::Result<()> {
        match self {
            Sink::Y4m(stream) => stream.finish(),
            Sink::Folder { .. } => Ok(()),
            Sink::Video(parts) => parts.finish(state, sound),
        }
    }
}

impl Stream {
    fn write(&mut self, image: &Image) -> anyhow::Result<()> {
        let (width, height) = image.size();
        let writer = match &mut self.writer {
            Some(writer) => writer,
            None => {
                self.header = Header { width, height, ..self.header };
                let out: Box<dyn Write> = match &self.target {
                    None => Box::new(std::io::stdout()),
                    Some(path) => {
                        let temporary = Temporary(temporary_beside(path));
                        let file = File::create_new(&temporary.0)
                            .with_context(|| format!("cannot write {}", path.display()))?;
                        self.temporary = Some(temporary);
                        Box::new(file)
                    }
                };
                let out: Box<dyn Write> = Box::new(BufWriter::with_capacity(1 << 18, out));
                self.writer.insert(Writer::new(out, self.header)?)
            }
        };
        listened_to(writer.write(&rgb(image)), self.target.is_none())
    }

    fn finish(self) -> anyhow::Result<()> {
        if let Some(writer) = self.writer {
            listened_to(writer.finish().map(drop), self.target.is_none())?;
        }
        if let (Some(path), Some(temporary)) = (&self.target, &self.temporary) {
            fs::rename(&temporary.0, path).with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(())
    }
}

/// A reader of standard output that has seen enough ends the program quietly.
fn listened_to(written: gan_video::Result<()>, piped: bool) -> anyhow::Result<()> {
    match written {
        Err(gan_video::Error::Io { source, .. }) if piped && source.kind() == ErrorKind::BrokenPipe => {
            std::process::exit(0)
        }
        other => Ok(other?),
    }
}

impl Parts<'_> {
    fn write(&mut self, index: u64, image: &Image) -> anyhow::Result<()> {
        let size = image.size();
        if *self.size.get_or_insert(size) != size {
            bail!(Coded(
                BAD_DATA,
                format!(
                    "frame {} is {}x{}, unlike those before: a video has frames of one size; name a folder as OUT",
                    index + 1,
                    size.0,
                    size.1
                )
            ));
        }
        let (mut encoder, name) = match self.encoder.take() {
            Some(encoder) => encoder,
            None => {
                let name = format!("part-{index:08}.{}", self.codec.container().1);
                let Parts { rate, codec, quality, colour, aspect, .. } = &*self;
                let encoding = Encoding {
                    size,
                    rate: *rate,
                    codec: *codec,
                    quality: *quality,
                    colour: colour.clone(),
                    aspect: *aspect,
                };
                (self.ffmpeg.encode(&self.partial.path(&name), &encoding)?, name)
            }
        };
        match encoder.write(&rgb(image)) {
            Ok(()) => {
                self.encoder = Some((encoder, name));
                Ok(())
            }
            Err(error) => Err(encoder.complaint(error).into()),
        }
    }

    fn end_part(&mut self, state: &mut State) -> anyhow::Result<()> {
        if let Some((encoder, name)) = self.encoder.take() {
            encoder.finish()?;
            state.parts.push(name);
        }
        state.size = self.size;
        Ok(())
    }

    fn finish(mut self, state: &mut State, sound: Option<Sound<'_>>) -> anyhow::Result<()> {
        self.end_part(state)?;
        let list = self.partial.path("list.txt");
        let lines: Vec<String> = state.parts.iter().map(|name| format!("file '{name}'\n")).collect();
        fs::write(&list, lines.concat()).with_context(|| format!("cannot write {}", list.display()))?;
        let joined = Temporary(temporary_beside(&self.path));
        let join = Join { list: &list, extension: &self.extension, sound };
        self.ffmpeg.join(&joined.0, &join)?;
        fs::rename(&joined.0, &self.path).with_context(|| format!("cannot write {}", self.path.display()))
    }
}

/// The PNG of a frame of a folder.
fn named(folder: &Path, stem: &Path) -> PathBuf {
    let mut name = stem.as_os_str().to_owned();
    name.push(".png");
    folder.join(name)
}

/// An image as RGB of 8 bits, without alpha.
fn rgb(image: &Image) -> Vec<u8> {
    let channels = image.channels();
    let level = |i: usize| match image {
        Image::U8(raster) => raster.samples()[i],
        Image::U16(raster) => (raster.samples()[i] / 257) as u8,
    };
    let (width, height) = image.size();
    let colour = |pixel: usize| if channels < 3 { [0, 0, 0] } else { [0, 1, 2] }.map(|c| level(pixel * channels + c));
    (0..width * height).flat_map(colour).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn names_tell_what_is_written() {
        let of = |name: &str| Destination::of(Path::new(name));
        assert_eq!(of("-").unwrap(), Destination::Standard);
        assert_eq!(of("a.Y4M").unwrap(), Destination::Y4m("a.Y4M".into()));
        assert_eq!(of("none/out").unwrap(), Destination::Folder("none/out".into()));
        assert_eq!(of("out.mp4/").unwrap(), Destination::Folder("out.mp4/".into()));
        assert_eq!(of("a.MP4").unwrap(), Destination::Video { path: "a.MP4".into(), extension: "mp4".into() });
        assert!(of("a.png").unwrap_err().to_string().contains("gif or y4m"));
    }
}

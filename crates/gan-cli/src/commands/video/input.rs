//! Where frames come from: a video, a y4m stream, or a folder.

use super::numbering::by_number;
use crate::exit::{BAD_DATA, Coded, USAGE};
use anyhow::{Context, bail};
use gan_data::{Exclude, list_images};
use gan_translate::is_planes;
use gan_video::ffmpeg::{Colour, Decoder, Ffmpeg, Section, Sound, Video};
use gan_video::y4m::{Header, Reader};
use gan_video::{Rate, ppm};
use std::collections::VecDeque;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// One frame.
pub(super) enum Frame {
    /// Of a video or a stream.
    Decoded(ppm::Frame),
    /// A file of a folder.
    File(PathBuf),
}

type Stream = Reader<Box<dyn Read + Send>>;

enum Kind {
    Video {
        ffmpeg: Ffmpeg,
        video: Video,
    },
    /// A stream on standard input, until it is taken.
    Standard {
        stream: Option<Stream>,
        header: Header,
    },
    Y4m {
        header: Header,
    },
    Folder {
        files: Vec<PathBuf>,
        stems: Vec<PathBuf>,
        rate: Rate,
        left_out: Option<String>,
    },
}

/// What is translated.
pub(super) struct Source {
    path: PathBuf,
    kind: Kind,
}

fn is_y4m(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("y4m"))
}

impl Source {
    /// Whether ffmpeg has to read it.
    ///
    /// # Errors
    /// [`Coded`]: there is nothing.
    pub(super) fn needs_ffmpeg(path: &Path) -> anyhow::Result<bool> {
        if path == Path::new("-") {
            return Ok(false);
        }
        if !path.exists() {
            bail!(Coded(BAD_DATA, format!("there is no {}; check the path", path.display())));
        }
        if path.is_dir() && is_planes(path) {
            bail!(Coded(USAGE, format!("{} is one image: name a folder of frames", path.display())));
        }
        if !path.is_dir() && !path.is_file() {
            bail!(Coded(USAGE, format!("{} is no file: name a video, or send a y4m stream to -", path.display())));
        }
        Ok(!path.is_dir() && !is_y4m(path))
    }

    /// Opens it. Below an input folder, `output` is left out.
    pub(super) fn open(path: &Path, output: &Path, rate: Rate, ffmpeg: Option<&Ffmpeg>) -> anyhow::Result<Self> {
        let kind = if path == Path::new("-") {
            let stream = open_stream(Box::new(std::io::stdin()), path)?;
            Kind::Standard { header: *stream.header(), stream: Some(stream) }
        } else if path.is_dir() {
            let listing = list_images(path, &Exclude::outputs([output]))?;
            let mut listed: Vec<_> = listing.files.into_iter().map(|file| (file.path, file.stem)).collect();
            if listed.is_empty() {
                bail!(Coded(BAD_DATA, format!("there are no images in {}", path.display())));
            }
            listed.sort_by(|(a, _), (b, _)| by_number(&a.to_string_lossy(), &b.to_string_lossy()));
            let (files, stems) = listed.into_iter().unzip();
            Kind::Folder { files, stems, rate, left_out: listing.left_out.note() }
        } else if is_y4m(path) {
            Kind::Y4m { header: *open_file(path)?.header() }
        } else {
            let Some(ffmpeg) = ffmpeg else { bail!("{} needs ffmpeg", path.display()) };
            Kind::Video { video: ffmpeg.probe(path)?, ffmpeg: ffmpeg.clone() }
        };
        Ok(Source { path: path.to_owned(), kind })
    }

    /// The folder of frames, if it is one.
    pub(super) fn folder(&self) -> Option<&Path> {
        matches!(self.kind, Kind::Folder { .. }).then_some(&*self.path)
    }

    /// The stems of the frames of a folder, in order.
    pub(super) fn stems(&self) -> Option<&[PathBuf]> {
        match &self.kind {
            Kind::Folder { stems, .. } => Some(stems),
            _ => None,
        }
    }

    /// Whether it can be read once only.
    pub(super) fn is_stream(&self) -> bool {
        matches!(self.kind, Kind::Standard { .. })
    }

    /// Frames a second.
    pub(super) fn rate(&self) -> Rate {
        match &self.kind {
            Kind::Video { video, .. } => video.rate,
            Kind::Standard { header, .. } | Kind::Y4m { header } => header.rate,
            Kind::Folder { rate, .. } => *rate,
        }
    }

    /// The header of a y4m stream.
    pub(super) fn header(&self) -> Option<&Header> {
        match &self.kind {
            Kind::Standard { header, .. } | Kind::Y4m { header } => Some(header),
            _ => None,
        }
    }

    /// Tags of colour, and the aspect of a pixel where it is no square.
    pub(super) fn tags(&self) -> (Colour, Option<(u32, u32)>) {
        match &self.kind {
            Kind::Video { video, .. } => (video.colour.clone(), video.aspect),
            Kind::Standard { header, .. } | Kind::Y4m { header } => {
                let (across, down) = header.aspect;
                (Colour::default(), (across != down && across > 0 && down > 0).then_some((across, down)))
            }
            Kind::Folder { .. } => (Colour::default(), None),
        }
    }

    /// What the user should know.
    pub(super) fn notes(&self) -> Vec<String> {
        match &self.kind {
            Kind::Video { video, .. } if video.variable => vec![format!(
                "the distances of its frames vary: they are translated at {:.3} frames a second, for which some are repeated or left out",
                video.rate.per_second()
            )],
            Kind::Folder { left_out: Some(note), .. } => vec![format!("{}: {note}", self.path.display())],
            _ => Vec::new(),
        }
    }

    /// What tells it from another source.
    pub(super) fn identity(&self) -> String {
        let file = |path: &Path| {
            let metadata = std::fs::metadata(path).ok();
            let changed = metadata.as_ref().and_then(|m| m.modified().ok()?.duration_since(UNIX_EPOCH).ok());
            format!("{} bytes of {:?}", metadata.map_or(0, |m| m.len()), changed.map(|t| t.as_secs()))
        };
        let path = gan_fs::resolve(&self.path);
        match &self.kind {
            Kind::Folder { files, .. } => {
                let ends = files.first().into_iter().chain(files.last()).map(|path| file(path));
                format!("{} with {} files, {}", path.display(), files.len(), ends.collect::<Vec<_>>().join(", "))
            }
            _ => format!("{}, {}", path.display(), file(&self.path)),
        }
    }

    /// How many frames there will be, if it is known; of videos not always exact.
    pub(super) fn count(&self, section: &Section, every: u32) -> Option<u64> {
        let all = match &self.kind {
            Kind::Video { video, .. } => video.frames?,
            Kind::Standard { .. } => return None,
            Kind::Y4m { header } => {
                let bytes = std::fs::metadata(&self.path).ok()?.len();
                bytes / (header.layout().bytes() as u64 + 6)
            }
            Kind::Folder { files, .. } => files.len() as u64,
        };
        let (first, most) = in_frames(section, self.rate());
        let taken = all.saturating_sub(first);
        Some(most.map_or(taken, |most| taken.min(most)).div_ceil(u64::from(every)))
    }

    /// The first frame of a part, of a folder or a stream.
    pub(super) fn first_of(&self, section: &Section) -> usize {
        if matches!(self.kind, Kind::Video { .. }) { 0 } else { in_frames(section, self.rate()).0 as usize }
    }

    /// The frames of a part of it, every `every`-th, after the first `done` of those.
    pub(super) fn frames(&mut self, section: &Section, every: u32, done: u64) -> anyhow::Result<Frames> {
        let rate = self.rate();
        let (mut skipped, most) = in_frames(section, rate);
        let reader = match &mut self.kind {
            Kind::Video { ffmpeg, video } => {
                skipped = 0;
                FrameReader::Video(Box::new(ffmpeg.decode(&self.path, video, section)?))
            }
            Kind::Standard { stream, .. } => match stream.take() {
                Some(stream) => FrameReader::Y4m(stream),
                None => bail!("standard input can be read once only"),
            },
            Kind::Y4m { .. } => FrameReader::Y4m(open_file(&self.path)?),
            Kind::Folder { files, .. } => FrameReader::Folder(files.iter().cloned().collect()),
        };
        let most = most.filter(|_| !matches!(reader, FrameReader::Video(_)));
        let every = u64::from(every);
        Ok(Frames {
            reader,
            path: self.path.clone(),
            at: 0,
            first: skipped + done * every,
            start: skipped,
            most,
            every,
            ended: false,
        })
    }

    /// The sound that belongs to a part of it.
    pub(super) fn sound(&self, section: Section) -> Option<Sound<'_>> {
        match &self.kind {
            Kind::Video { video, .. } if !video.sound.is_empty() => Some(Sound { path: &self.path, video, section }),
            _ => None,
        }
    }
}

/// Frames in front of a part, and the most that it has.
fn in_frames(section: &Section, rate: Rate) -> (u64, Option<u64>) {
    let frames = |seconds: f64| (seconds * rate.per_second()).round() as u64;
    (section.start.map_or(0, frames), section.duration.map(|seconds| frames(seconds).max(1)))
}

fn open_file(path: &Path) -> anyhow::Result<Stream> {
    let file = File::open(path).map_err(|error| Coded(BAD_DATA, format!("cannot open {}: {error}", path.display())))?;
    open_stream(Box::new(file), path)
}

fn open_stream(stream: Box<dyn Read + Send>, path: &Path) -> anyhow::Result<Stream> {
    Reader::new(stream).with_context(|| format!("cannot read {}", shown(path)))
}

fn shown(path: &Path) -> String {
    if path == Path::new("-") { "standard input".into() } else { path.display().to_string() }
}

enum FrameReader {
    Video(Box<Decoder>),
    Y4m(Stream),
    Folder(VecDeque<PathBuf>),
}

/// Frames in order.
pub(super) struct Frames {
    reader: FrameReader,
    path: PathBuf,
    /// The number of the next frame of the reader.
    at: u64,
    /// The first that is taken, and where the part begins that `every` counts from.
    first: u64,
    start: u64,
    most: Option<u64>,
    every: u64,
    ended: bool,
}

impl Frames {
    fn read(&mut self) -> anyhow::Result<Option<Frame>> {
        let failed = || format!("cannot read frame {} of {}", self.at + 1, shown(&self.path));
        Ok(match &mut self.reader {
            FrameReader::Video(decoder) => decoder.next_frame().with_context(failed)?.map(Frame::Decoded),
            FrameReader::Folder(files) => files.pop_front().map(Frame::File),
            FrameReader::Y4m(reader) => {
                let (width, height) = (reader.header().width, reader.header().height);
                let rgb = reader.next_frame().with_context(failed)?;
                rgb.and_then(|rgb| ppm::Frame::of_rgb(width, height, &rgb)).map(Frame::Decoded)
            }
        })
    }
}

impl Iterator for Frames {
    type Item = anyhow::Result<Frame>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.ended {
            if self.most.is_some_and(|most| self.at >= self.start + most) {
                break;
            }
            let frame = self.read();
            let at = self.at;
            self.at += 1;
            match frame {
                Ok(Some(frame)) if at >= self.first && (at - self.start).is_multiple_of(self.every) => {
                    return Some(Ok(frame));
                }
                Ok(Some(_)) => {}
                Ok(None) => self.ended = true,
                Err(error) => {
                    self.ended = true;
                    return Some(Err(error));
                }
            }
        }
        None
    }
}

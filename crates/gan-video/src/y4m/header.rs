//! The first line of a stream.

use crate::limits::refused;
use crate::yuv::{Coding, Layout, Matrix, Siting};
use crate::{Error, Rate, Result};

/// What every stream begins with.
pub(super) const MAGIC: &str = "YUV4MPEG2";
/// Longest line that is read.
pub(super) const MAX_LINE: usize = 1024;

const NOT_READ: &str = "convert it, for example with `ffmpeg -i IN -pix_fmt yuv420p OUT.y4m`";
const DAMAGED: &str = "write the stream anew";

/// How colour is sampled (the tag `C`). All are of 8 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chroma {
    /// 4:2:0, samples in the middle of four pixels (`420jpeg`, `420`).
    C420Jpeg,
    /// 4:2:0, samples on columns and between rows (`420mpeg2`).
    C420Mpeg2,
    /// 4:2:0, samples on pixels (`420paldv`).
    C420Paldv,
    /// 4:2:2, samples on every second column.
    C422,
    /// 4:4:4: a sample for each pixel.
    C444,
    /// None: grey.
    Mono,
}

impl Chroma {
    const NAMES: [(&'static str, Chroma); 7] = [
        ("420jpeg", Chroma::C420Jpeg),
        ("420mpeg2", Chroma::C420Mpeg2),
        ("420paldv", Chroma::C420Paldv),
        ("420", Chroma::C420Jpeg),
        ("422", Chroma::C422),
        ("444", Chroma::C444),
        ("mono", Chroma::Mono),
    ];

    /// The word of the tag.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, chroma)| *chroma == self).map_or("420", |(name, _)| name)
    }

    fn sitings(self) -> Option<(Siting, Siting)> {
        Some(match self {
            Chroma::C420Jpeg => (Siting::Middle, Siting::Middle),
            Chroma::C420Mpeg2 => (Siting::First, Siting::Middle),
            Chroma::C420Paldv => (Siting::First, Siting::First),
            Chroma::C422 => (Siting::First, Siting::Each),
            Chroma::C444 => (Siting::Each, Siting::Each),
            Chroma::Mono => return None,
        })
    }
}

/// What the first line of a stream says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Columns of a frame.
    pub width: usize,
    /// Rows of a frame.
    pub height: usize,
    /// Frames a second.
    pub rate: Rate,
    /// Width and height of a pixel; 0:0 if not known.
    pub aspect: (u32, u32),
    /// How colour is sampled.
    pub chroma: Chroma,
    /// Whether levels fill 0 to 255 (`XCOLORRANGE=FULL`).
    pub full_range: bool,
}

impl Header {
    /// Square pixels, a sample of colour for each, levels from 16 on.
    pub fn new(width: usize, height: usize, rate: Rate) -> Self {
        Header { width, height, rate, aspect: (1, 1), chroma: Chroma::C444, full_range: false }
    }

    /// The planes of a frame.
    pub fn layout(&self) -> Layout {
        Layout { width: self.width, height: self.height, colour: self.chroma.sitings() }
    }

    /// How levels are coded. Streams do not say by which matrix: that of their size.
    pub fn coding(&self) -> Coding {
        Coding { matrix: Matrix::of_size(self.height), full_range: self.full_range }
    }

    /// Reads a line without its end.
    ///
    /// # Errors
    /// [`Error::Stream`]: it is no header, contradicts itself, or is of a stream that is not read.
    pub fn parse(line: &str) -> Result<Self> {
        let mut tags = line.split(' ');
        if tags.next() != Some(MAGIC) {
            return Err(Error::stream(
                "this is no YUV4MPEG2 stream (y4m): it does not begin as one",
                "send one, for example with `ffmpeg -i IN -f yuv4mpegpipe -`",
            ));
        }
        let (mut width, mut height, mut rate) = (None, None, None);
        let (mut aspect, mut chroma, mut full_range) = (None, None, false);
        let damaged = |what: &str| Error::stream(format!("the header of the y4m stream is damaged: {what}"), DAMAGED);
        for tag in tags.filter(|tag| !tag.is_empty()) {
            let (kind, value) = tag.split_at_checked(1).ok_or_else(|| damaged("a tag is no text"))?;
            let twice = match kind {
                "W" => width.replace(value.parse::<usize>().map_err(|_| damaged("its width"))?).is_some(),
                "H" => height.replace(value.parse::<usize>().map_err(|_| damaged("its height"))?).is_some(),
                "F" => {
                    let fraction = pair(value).ok_or_else(|| damaged("its rate"))?;
                    let read = Rate::new(fraction.0, fraction.1).ok_or_else(|| {
                        Error::stream("the y4m stream does not know its rate", "name it where the stream is made")
                    })?;
                    rate.replace(read).is_some()
                }
                "A" => aspect.replace(pair(value).ok_or_else(|| damaged("its aspect"))?).is_some(),
                "C" => {
                    let known = Chroma::NAMES.iter().find(|(name, _)| *name == value);
                    let Some((_, known)) = known else {
                        let word: String = value.chars().take(24).collect();
                        return Err(Error::stream(
                            format!(
                                "the y4m stream has the colour space {word:?}, and 420, 422, 444 and mono of 8 bits are read"
                            ),
                            NOT_READ,
                        ));
                    };
                    chroma.replace(*known).is_some()
                }
                "I" => match value {
                    "p" | "?" => false,
                    _ => {
                        return Err(Error::stream(
                            "the y4m stream is interlaced",
                            "deinterlace it, for example with `ffmpeg -i IN -vf yadif OUT.y4m`",
                        ));
                    }
                },
                "X" => {
                    full_range |= value == "COLORRANGE=FULL";
                    false
                }
                _ => return Err(damaged("a tag is unknown")),
            };
            if twice {
                return Err(damaged("a tag comes twice"));
            }
        }
        let (Some(width), Some(height), Some(rate)) = (width, height, rate) else {
            return Err(damaged("width, height or rate are missing"));
        };
        if let Some(reason) = refused(width, height) {
            return Err(Error::stream(reason, "scale the video down"));
        }
        let (aspect, chroma) = (aspect.unwrap_or((0, 0)), chroma.unwrap_or(Chroma::C420Jpeg));
        Ok(Header { width, height, rate, aspect, chroma, full_range })
    }

    /// The line, with its end.
    pub fn line(&self) -> String {
        let Header { width, height, rate, aspect: (across, down), chroma, full_range } = self;
        let (numerator, denominator) = rate.fraction();
        let range = if *full_range { "FULL" } else { "LIMITED" };
        let chroma = chroma.name();
        format!(
            "{MAGIC} W{width} H{height} F{numerator}:{denominator} Ip A{across}:{down} C{chroma} XCOLORRANGE={range}\n"
        )
    }
}

fn pair(value: &str) -> Option<(u32, u32)> {
    let (a, b) = value.split_once(':')?;
    Some((a.parse().ok()?, b.parse().ok()?))
}

//! Which label a colour stands for.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io::Cursor;
use std::path::Path;

use image::ImageFormat;
use serde::Deserialize;

use crate::decode::{DecodeLimits, DecodeOptions, decode_bytes};
use crate::dynamic_image::Image;
use crate::error::{Error, Result, UnknownColour};
use crate::ids::IdMap;
use crate::raster::Raster;

/// Most labels of a palette: ids are written with up to 16 bits.
const MOST: usize = 1 << 16;

const FORMATS: &str =
    "write lines `id,r,g,b` or `id,r,g,b,name`, or JSON [{\"id\": 0, \"color\": [0, 0, 0], \"name\": \"road\"}, …]";

/// The colours of labels.
///
/// ```
/// use gan_data::{Image, Palette, Raster};
///
/// let palette = Palette::parse("colours.csv".as_ref(), b"id,r,g,b,name\n0,0,0,0,void\n7,128,64,128,road\n")?;
/// let map = Image::U8(Raster::new(2, 1, 3, vec![128, 64, 128, 0, 0, 0]));
/// assert_eq!(palette.ids(&map, false, "map.png".as_ref())?.0.raster().samples(), [7, 0]);
/// # Ok::<(), gan_data::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Palette {
    labels: Vec<PaletteLabel>,
    by_colour: HashMap<[u8; 3], u32>,
}

/// A label of a palette.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct PaletteLabel {
    /// What pixels of this colour become.
    pub id: u32,
    /// Red, green and blue.
    #[serde(rename = "color", alias = "colour", alias = "rgb")]
    pub colour: [u8; 3],
    /// What it is called.
    pub name: Option<String>,
}

impl Palette {
    /// Reads a palette; what kind it is, its content tells.
    ///
    /// - JSON: an array of objects with `id`, `color` (three levels) and, if they like, `name`.
    /// - Text: a line `id,r,g,b` or `id,r,g,b,name` a label; `;` and tabs separate as well. A line of titles may come first.
    /// - A PNG with a palette: the index of a colour is its id. Another image: its colours in reading order get the ids 0, 1, …
    ///
    /// # Errors
    /// [`Error::Io`] and [`Error::Decode`], naming the line or the label: a colour that stands for two ids, an id above 65535, no label.
    pub fn read(path: &Path) -> Result<Self> {
        Self::parse(path, &DecodeLimits::default().read(path)?)
    }

    /// As [`Palette::read`], of what was read already; `path` is for messages.
    ///
    /// # Errors
    /// As [`Palette::read`].
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<Self> {
        let labels = match image::guess_format(bytes) {
            Ok(format) => of_image(path, bytes, format)?,
            Err(_) if bytes.trim_ascii_start().starts_with(b"[") => serde_json::from_slice(bytes)
                .map_err(|error| Error::decode(path, format!("it is no palette: {error}"), FORMATS))?,
            Err(_) => of_text(path, bytes)?,
        };
        let mut by_colour = HashMap::new();
        for PaletteLabel { id, colour, .. } in &labels {
            let refused =
                |reason: String| Err(Error::decode(path, reason, "give every label an id and a colour of its own"));
            if *id as usize >= MOST {
                return refused(format!("the id {id} is above {}", MOST - 1));
            }
            match by_colour.entry(*colour) {
                Entry::Vacant(free) => _ = free.insert(*id),
                Entry::Occupied(other) if other.get() != id => {
                    let [r, g, b] = colour;
                    return refused(format!("the colour {r},{g},{b} stands for the ids {} and {id}", other.get()));
                }
                Entry::Occupied(_) => {}
            }
        }
        if labels.is_empty() {
            return Err(Error::decode(path, "there is no label in it", FORMATS));
        }
        Ok(Palette { labels, by_colour })
    }

    /// The labels in the order of the file.
    #[must_use]
    pub fn labels(&self) -> &[PaletteLabel] {
        &self.labels
    }

    /// The ids of a map of colours, and how many pixels had a colour that no label has. Those get the label of the nearest colour (by
    /// the squares of the differences; the first of several), if `nearest` is set. Alpha does not matter. `path` is for messages.
    ///
    /// # Errors
    /// [`Error::UnknownColours`] for colours that no label has, without `nearest`; [`Error::Item`] for an image of more than four channels.
    pub fn ids(&self, map: &Image, nearest: bool, path: &Path) -> Result<(IdMap, usize)> {
        let channels = map.channels();
        let Some(image) = map.clone().with_channels(3) else {
            let reason = format!("it has {channels} channels, and colours have three");
            return Err(Error::item(path, reason, "export the map in colour"));
        };
        let (width, height) = image.size();
        let samples = match image {
            Image::U8(raster) => raster.samples().to_vec(),
            Image::U16(raster) => raster.samples().iter().map(|&v| ((u32::from(v) + 128) / 257) as u8).collect(),
        };
        let mut unknown = HashMap::<[u8; 3], (u32, UnknownColour)>::new();
        let mut ids = Vec::with_capacity(width * height);
        for (at, &colour) in samples.as_chunks::<3>().0.iter().enumerate() {
            ids.push(match self.by_colour.get(&colour) {
                Some(&id) => id,
                None => {
                    let first =
                        || (self.nearest(colour), UnknownColour { colour, x: at % width, y: at / width, pixels: 0 });
                    let (id, counted) = unknown.entry(colour).or_insert_with(first);
                    counted.pixels += 1;
                    *id
                }
            });
        }
        let mut unknown: Vec<UnknownColour> = unknown.into_values().map(|(_, counted)| counted).collect();
        unknown.sort_by_key(|counted| (std::cmp::Reverse(counted.pixels), counted.y, counted.x));
        if !nearest && !unknown.is_empty() {
            return Err(Error::UnknownColours { path: path.to_path_buf(), unknown });
        }
        let pixels = unknown.iter().map(|counted| counted.pixels).sum();
        Ok((IdMap::new(Raster::new(width, height, 1, ids)), pixels))
    }

    fn nearest(&self, colour: [u8; 3]) -> u32 {
        let distance = |label: &&PaletteLabel| -> u32 {
            label.colour.iter().zip(colour).map(|(&a, b)| u32::from(a.abs_diff(b)).pow(2)).sum()
        };
        self.labels.iter().min_by_key(distance).map_or(0, |label| label.id)
    }
}

fn of_text(path: &Path, bytes: &[u8]) -> Result<Vec<PaletteLabel>> {
    let text =
        std::str::from_utf8(bytes).map_err(|_| Error::decode(path, "it is no palette: it is not text", FORMATS))?;
    let mut labels = Vec::new();
    let lines = text.trim_start_matches('\u{feff}').lines().enumerate();
    for (number, line) in lines.filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#')) {
        let mut fields = line.splitn(5, [',', ';', '\t']).map(str::trim);
        let numbers: Vec<_> = fields.by_ref().take(4).map(str::parse::<u32>).collect();
        let levels = |at: usize| u8::try_from(*numbers.get(at)?.as_ref().ok()?).ok();
        let label = (|| {
            let id = *numbers.first()?.as_ref().ok()?;
            let name = fields.next().filter(|name| !name.is_empty()).map(str::to_owned);
            Some(PaletteLabel { id, colour: [levels(1)?, levels(2)?, levels(3)?], name })
        })();
        match label {
            Some(label) => labels.push(label),
            // A line of titles.
            None if labels.is_empty() && numbers.iter().all(std::result::Result::is_err) => {}
            None => {
                let reason = format!("line {} is no label: {line}", number + 1);
                return Err(Error::decode(path, reason, FORMATS));
            }
        }
    }
    Ok(labels)
}

fn of_image(path: &Path, bytes: &[u8], format: ImageFormat) -> Result<Vec<PaletteLabel>> {
    let numbered = |colours: &mut dyn Iterator<Item = (usize, [u8; 3])>| {
        let mut seen = HashMap::new();
        let fresh = colours.filter(|(_, colour)| seen.insert(*colour, ()).is_none());
        fresh.take(MOST + 1).map(|(id, colour)| PaletteLabel { id: id as u32, colour, name: None }).collect::<Vec<_>>()
    };
    if format == ImageFormat::Png
        && let Ok(reader) = png::Decoder::new(Cursor::new(bytes)).read_info()
        && let Some(palette) = &reader.info().palette
    {
        return Ok(numbered(&mut palette.as_chunks::<3>().0.iter().copied().enumerate()));
    }
    let Some(Image::U8(image)) = decode_bytes(path, bytes, &DecodeOptions::default())?.with_channels(3) else {
        return Err(Error::decode(path, "the colours of a palette have three channels of 8 bits", FORMATS));
    };
    let labels = numbered(&mut image.samples().as_chunks::<3>().0.iter().map(|colour| (0, *colour)));
    Ok(labels.into_iter().zip(0..).map(|(label, id)| PaletteLabel { id, ..label }).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn parse(text: &[u8]) -> Result<Palette> {
        Palette::parse(Path::new("p"), text)
    }

    #[test]
    fn kinds_of_palettes_are_told_apart() {
        let road = |name: Option<&str>| PaletteLabel { id: 7, colour: [128, 64, 128], name: name.map(str::to_owned) };
        let text = parse(b"\xef\xbb\xbfid;r;g;b;name\r\n# comment\n\n7;128;64;128;road, paved\r\n").unwrap();
        assert_eq!(text.labels(), [road(Some("road, paved"))]);
        assert_eq!(parse(b"7,128,64,128").unwrap().labels(), [road(None)]);
        let json = parse(br#" [{"id": 7, "color": [128, 64, 128], "name": "road", "more": 1}]"#).unwrap();
        assert_eq!(json.labels(), [road(Some("road"))]);
    }

    #[test]
    fn images_are_palettes() {
        let mut indexed = Vec::new();
        let mut encoder = png::Encoder::new(&mut indexed, 1, 1);
        encoder.set_color(png::ColorType::Indexed);
        encoder.set_palette(vec![1, 1, 1, 9, 9, 9, 1, 1, 1, 5, 6, 7]);
        encoder.write_header().unwrap().write_image_data(&[0]).unwrap();
        let labels = |palette: Palette| palette.labels().iter().map(|l| (l.id, l.colour)).collect::<Vec<_>>();
        assert_eq!(labels(parse(&indexed).unwrap()), [(0, [1; 3]), (1, [9; 3]), (3, [5, 6, 7])]);
        let strip = b"P6 4 1 255 \x09\x09\x09\x09\x09\x09\x01\x02\x03\x09\x09\x09";
        assert_eq!(labels(parse(strip).unwrap()), [(0, [9; 3]), (1, [1, 2, 3])]);
    }

    #[test]
    fn what_is_no_palette_is_said() {
        for (text, word) in [
            (&b"1,0,0,0\n2,0,0,0"[..], "the ids 1 and 2"),
            (b"1,0,0,0\nx,0,0", "line 2"),
            (b"1,0,0,256", "line 1"),
            (b"70000,0,0,1", "above 65535"),
            (b"id,r,g,b\n", "no label"),
            (b"[{\"id\": 1}]", "color"),
            (b"\xff\xff\0", "not text"),
        ] {
            let said = parse(text).unwrap_err().to_string();
            assert!(said.contains(word), "{said}");
        }
    }

    #[test]
    fn unknown_colours_are_counted_or_become_the_nearest() {
        let palette = parse(b"0,0,0,0\n4,250,0,0\n5,250,0,10").unwrap();
        let map = Image::U8(Raster::new(2, 2, 3, vec![0, 0, 0, 250, 0, 5, 9, 9, 9, 250, 0, 5]));
        let Err(Error::UnknownColours { unknown, .. }) = palette.ids(&map, false, Path::new("m.png")) else { panic!() };
        let expected = [([250, 0, 5], 1, 0, 2), ([9, 9, 9], 0, 1, 1)];
        assert_eq!(unknown, expected.map(|(colour, x, y, pixels)| UnknownColour { colour, x, y, pixels }));
        let (ids, pixels) = palette.ids(&map, true, Path::new("m.png")).unwrap();
        assert_eq!((ids.raster().samples(), pixels), (&[0, 4, 0, 4][..], 3));
    }
}

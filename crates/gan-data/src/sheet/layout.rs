//! Rows of items on one image.

use super::glyphs;
use super::shown::{ShownImage, ShownItem};
use crate::raster::Raster;

/// A sheet of items.
#[derive(Debug, Clone, Default)]
pub struct Sheet {
    /// Lines at the top. Letters are shown as capitals, and signs beyond ASCII as boxes.
    pub title: Vec<String>,
    /// The items.
    pub items: Vec<SheetItem>,
    /// What colours stand for, at the bottom.
    pub legend: Vec<Legend>,
}

/// An item, or why it cannot be shown.
pub type SheetItem = Result<ShownItem, String>;

/// A colour and what it stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Legend {
    /// The colour.
    pub colour: [u8; 3],
    /// What it stands for.
    pub text: String,
}

/// Longest side of an image on the sheet, in pixels.
const MOST: usize = 224;
/// Room around images and text.
const GAP: usize = 12;
/// Side of a glyph's pixel, in captions and in the title.
const SCALE: usize = 2;
/// Width of the sheet, if its items fill it.
const WIDTH: usize = 1400;

const PAPER: [u8; 3] = [250, 250, 250];
const INK: [u8; 3] = [30, 30, 30];
const FAINT: [u8; 3] = [120, 120, 120];
/// Behind the captions of the first part of an item, of the second, and of others.
const MARKS: [[u8; 3]; 3] = [[29, 78, 216], [180, 83, 9], [71, 85, 105]];
const WHITE: [u8; 3] = [255, 255, 255];

const LINE: usize = glyphs::SIZE.1 * SCALE;
/// Height of a caption with its background.
const CAPTION: usize = LINE + 8;

/// Draws a sheet, in three channels.
#[must_use]
pub fn contact_sheet(sheet: &Sheet) -> Raster<u8> {
    let rows: Vec<Vec<ShownImage>> = sheet.items.iter().map(shown).collect();
    let parts = rows.iter().map(Vec::len).max().unwrap_or(0).max(1);
    let sides = |side: fn(&Raster<u8>) -> usize| rows.iter().flatten().map(|image| side(&image.pixels)).max();
    // A caption has to fit.
    let part_width = sides(Raster::width).unwrap_or(MOST).max(text_width("INPUT: LABELS") + 8);
    let part_height = sides(Raster::height).unwrap_or(LINE);
    let item = (parts * part_width + (parts - 1) * 4, CAPTION + part_height + 6 + LINE);
    let columns = ((WIDTH - GAP) / (item.0 + GAP)).clamp(1, sheet.items.len().max(1));
    let titles = sheet.title.iter().map(|line| text_width(line)).max().unwrap_or(0);
    let width = (columns * (item.0 + GAP) + GAP).max((titles + 2 * GAP).min(WIDTH)).max(320);
    let top = GAP + sheet.title.len() * (LINE + 8);
    let lines = sheet.items.len().div_ceil(columns);
    let legend_top = top + lines * (item.1 + GAP);
    let places = legend_places(&sheet.legend, width);
    let height = places.last().map_or(legend_top, |place| legend_top + place.1 + LINE) + GAP;

    let mut canvas = Raster::new(width, height, 3, PAPER.repeat(width * height));
    for (at, line) in sheet.title.iter().enumerate() {
        let colour = if at == 0 { INK } else { FAINT };
        write(&mut canvas, (GAP, GAP + at * (LINE + 8)), &fitted(line, width - 2 * GAP), colour);
    }
    for (at, (shown, images)) in sheet.items.iter().zip(&rows).enumerate() {
        let (x0, y0) = (GAP + at % columns * (item.0 + GAP), top + at / columns * (item.1 + GAP));
        for (at, image) in images.iter().enumerate() {
            let x = x0 + at * (part_width + 4);
            fill(
                &mut canvas,
                (x, y0),
                (image.pixels.width().max(text_width(image.caption) + 8), CAPTION),
                MARKS[at.min(2)],
            );
            write(&mut canvas, (x + 4, y0 + 4), image.caption, WHITE);
            paste(&mut canvas, (x, y0 + CAPTION), &image.pixels);
        }
        let name = match shown {
            Ok(shown) => shown.name.clone(),
            Err(reason) => format!("cannot be shown: {reason}"),
        };
        write(&mut canvas, (x0, y0 + CAPTION + part_height + 6), &fitted(&name, item.0), INK);
    }
    for (entry, (x, y)) in sheet.legend.iter().zip(places) {
        fill(&mut canvas, (x, legend_top + y), (LINE, LINE), INK);
        fill(&mut canvas, (x + 1, legend_top + y + 1), (LINE - 2, LINE - 2), entry.colour);
        write(&mut canvas, (x + LINE + 6, legend_top + y), &entry.text, INK);
    }
    canvas
}

/// The images of an item in the size that they have on the sheet.
fn shown(item: &SheetItem) -> Vec<ShownImage> {
    item.iter().flat_map(|item| &item.images).map(|image| image.at_most(MOST)).collect()
}

/// Where the entries of a legend go, below its upper edge.
fn legend_places(legend: &[Legend], width: usize) -> Vec<(usize, usize)> {
    let (mut x, mut y) = (GAP, 0);
    let place = |entry: &Legend| {
        let wide = LINE + 6 + text_width(&entry.text) + 2 * GAP;
        if x > GAP && x + wide > width {
            (x, y) = (GAP, y + LINE + 8);
        }
        let here = (x, y);
        x += wide;
        here
    };
    legend.iter().map(place).collect()
}

fn text_width(text: &str) -> usize {
    text.chars().count() * (glyphs::SIZE.0 + 1) * SCALE
}

/// As much of a text as fits; of what is too long, the end, which tells files apart.
fn fitted(text: &str, width: usize) -> String {
    let most = width / ((glyphs::SIZE.0 + 1) * SCALE);
    let count = text.chars().count();
    if count <= most {
        return text.to_owned();
    }
    let tail: String = text.chars().skip(count - most.saturating_sub(2).min(count)).collect();
    format!("..{tail}")
}

fn write(canvas: &mut Raster<u8>, (x, y): (usize, usize), text: &str, colour: [u8; 3]) {
    for (at, c) in text.chars().enumerate() {
        let left = x + at * (glyphs::SIZE.0 + 1) * SCALE;
        for (row, bits) in glyphs::rows(c).into_iter().enumerate() {
            for column in (0..glyphs::SIZE.0).filter(|column| bits >> (glyphs::SIZE.0 - 1 - column) & 1 == 1) {
                fill(canvas, (left + column * SCALE, y + row * SCALE), (SCALE, SCALE), colour);
            }
        }
    }
}

/// Fills a rectangle, as far as it lies on the canvas.
fn fill(canvas: &mut Raster<u8>, (x, y): (usize, usize), (width, height): (usize, usize), colour: [u8; 3]) {
    let (right, bottom) = ((x + width).min(canvas.width()), (y + height).min(canvas.height()));
    for y in y..bottom {
        for x in x..right {
            canvas.pixel_mut(x, y).copy_from_slice(&colour);
        }
    }
}

/// Puts an image onto the canvas, as far as it lies on it.
fn paste(canvas: &mut Raster<u8>, (x0, y0): (usize, usize), image: &Raster<u8>) {
    let width = image.width().min(canvas.width().saturating_sub(x0));
    let height = image.height().min(canvas.height().saturating_sub(y0));
    for y in 0..height {
        for x in 0..width {
            canvas.pixel_mut(x0 + x, y0 + y).copy_from_slice(image.pixel(x, y));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(name: &str, colours: &[[u8; 3]]) -> ShownItem {
        let image = |colour: &[u8; 3]| ShownImage {
            caption: "input (A)",
            pixels: Raster::new(300, 150, 3, colour.repeat(300 * 150)),
            ids: true,
        };
        ShownItem { name: name.to_owned(), images: colours.iter().map(image).collect() }
    }

    fn holds(canvas: &Raster<u8>, colour: [u8; 3]) -> usize {
        canvas.samples().chunks(3).filter(|pixel| **pixel == colour).count()
    }

    #[test]
    fn every_part_and_every_legend_is_on_the_sheet() {
        let (red, green) = ([250, 10, 10], [10, 250, 10]);
        let legend = vec![Legend { colour: [1, 2, 3], text: "7: 12.5 %".to_owned() }];
        let items = vec![Ok(item("one", &[red, green])), Err("torn".to_owned()), Ok(item("two", &[red, green]))];
        let sheet = contact_sheet(&Sheet { title: vec!["pairs".to_owned()], items, legend });
        let images = 2 * MOST * (MOST / 2);
        assert_eq!((holds(&sheet, red), holds(&sheet, green)), (images, images));
        assert_eq!(holds(&sheet, [1, 2, 3]), (LINE - 2) * (LINE - 2));
        assert!(sheet.width() <= WIDTH && holds(&sheet, MARKS[0]) > 0 && holds(&sheet, INK) > 0);
    }

    #[test]
    fn an_empty_sheet_and_long_names_are_no_obstacle() {
        let empty = contact_sheet(&Sheet::default());
        assert!(empty.width() > 0 && empty.height() > 0);
        let long = contact_sheet(&Sheet { items: vec![Ok(item(&"x".repeat(500), &[[1, 1, 1]]))], ..Sheet::default() });
        assert!(long.width() <= WIDTH);
        assert_eq!(fitted("abcdefgh", 6 * SCALE * 5), "..fgh");
    }

    #[test]
    fn letters_differ_from_one_another() {
        let letters: Vec<_> =
            ('A'..='Z').chain('0'..='9').chain("-_.,:;/()[]%+='!?#&".chars()).map(glyphs::rows).collect();
        for (at, letter) in letters.iter().enumerate() {
            assert!(!letters[..at].contains(letter) && letter.iter().all(|row| *row < 32), "{at}");
        }
    }
}

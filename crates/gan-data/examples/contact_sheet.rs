//! Lays scenes of the procedural datasets out on one sheet:
//! `cargo run -p gan-data --example contact_sheet -- facades 128 sheet.png`.
#![allow(clippy::print_stdout)]

use std::path::Path;

use gan_data::{FACADE_CLASSES, IdMap, Image, Raster, Result, day, facade, night, street, write_image};

const COLUMNS: usize = 4;
const ROWS: usize = 3;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [kind, size, path] = &arguments[..] else {
        println!("usage: contact_sheet facades|streets|unpaired SIZE FILE.png");
        return Ok(());
    };
    let size: usize = size.parse().unwrap_or(128);
    let mut sheet = Raster::zeros(2 * size * COLUMNS, size * ROWS, 3);
    for index in 0..COLUMNS * ROWS {
        let (left, right) = match kind.as_str() {
            "streets" => {
                let (labels, instances, photo) = street(0, index as u64, size);
                (coloured(&labels, &instances), photo)
            }
            "unpaired" => (day(0, 12 + index as u64, size), night(0, 12 + index as u64, size)),
            _ => facade(0, 12 + index as u64, size),
        };
        let (x0, y0) = (index % COLUMNS * 2 * size, index / COLUMNS * size);
        for (image, x0) in [(left, x0), (right, x0 + size)] {
            for y in 0..size {
                for x in 0..size {
                    sheet.pixel_mut(x0 + x, y0 + y).copy_from_slice(image.pixel(x, y));
                }
            }
        }
    }
    write_image(Path::new(path), &Image::U8(sheet))
}

/// Label maps in the facade colours (and three more), instances told apart by their brightness.
fn coloured(labels: &IdMap, instances: &IdMap) -> Raster<u8> {
    let (width, height) = labels.size();
    Raster::from_fn(width, height, |x, y| {
        let label = labels.raster().pixel(x, y)[0] as usize;
        let extra = [[90, 90, 90], [200, 200, 200], [255, 255, 255]];
        let colour = FACADE_CLASSES.get(label).map_or_else(|| extra[label % 3], |class| class.1);
        let fade = (instances.raster().pixel(x, y)[0] % 1000) as u8 % 4 * 30;
        colour.map(|v: u8| v.saturating_sub(fade))
    })
}

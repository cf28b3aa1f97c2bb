//! Mean absolute error and PSNR between the images of two folders, matched by name:
//! `cargo run --release -p gan-data --example compare -- MADE TRUTH`.
#![allow(clippy::print_stdout)]

use gan_data::{DecodeOptions, Image, Result, decode, image_files, partner};
use std::path::Path;

fn levels(path: &Path) -> Result<Vec<f64>> {
    Ok(match decode(path, &DecodeOptions::default())? {
        Image::U8(raster) => raster.samples().iter().map(|&s| f64::from(s)).collect(),
        Image::U16(raster) => raster.samples().iter().map(|&s| f64::from(s) / 257.0).collect(),
    })
}

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [made, truth] = args.as_slice() else {
        println!("usage: compare MADE TRUTH");
        return Ok(());
    };
    let files = image_files(Path::new(made))?;
    let (mut l1, mut squared) = (0.0, 0.0);
    for file in &files {
        let (a, b) = (levels(&file.path)?, levels(&partner(Path::new(truth), &file.stem)?)?);
        assert_eq!(a.len(), b.len(), "{}: the sizes differ", file.path.display());
        let n = a.len() as f64;
        l1 += a.iter().zip(&b).map(|(a, b)| (a - b).abs()).sum::<f64>() / n;
        squared += a.iter().zip(&b).map(|(a, b)| (a - b).powi(2)).sum::<f64>() / n;
    }
    let n = files.len() as f64;
    println!(
        "{} images: L1 {:.2} of 255, PSNR {:.2} dB",
        files.len(),
        l1 / n,
        10.0 * (255f64.powi(2) * n / squared).log10()
    );
    Ok(())
}

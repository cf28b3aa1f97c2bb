//! Times reading, `resize_and_crop` (286, then 256), mirroring and conversion of the images in a folder:
//!
//! `cargo run -p gan-data --example loading_speed -- FOLDER [WORKERS [EPOCHS [CACHE]]]`
//!
//! Prints images a second and, where the system tells, milliseconds of processor time an image. Without a folder it
//! times the procedural modes. `benches/loading.py` compares the figures with torchvision's.
#![allow(clippy::print_stdout)]

use std::path::PathBuf;
use std::time::Instant;

use gan_data::{DataConfig, DataMode, Loader, Result, open};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |index: usize, default| arguments.get(index).and_then(|text| text.parse().ok()).unwrap_or(default);
    let Some(root) = arguments.first() else {
        for mode in [DataMode::Facades, DataMode::Streets, DataMode::Unpaired] {
            let config = DataConfig { mode, max_dataset_size: Some(60), workers: 0, ..DataConfig::default() };
            println!("{mode:?}, drawn where it is used");
            rate(&config, 2)?;
        }
        return Ok(());
    };
    let config = DataConfig {
        mode: DataMode::Single,
        root: PathBuf::from(root),
        workers: number(1, 0),
        cache: arguments.get(3).map(PathBuf::from).unwrap_or_default(),
        ..DataConfig::default()
    };
    rate(&config, number(2, 3))
}

fn rate(config: &DataConfig, epochs: usize) -> Result<()> {
    let loader = Loader::new(open(config)?, config.loader(1))?;
    // One epoch unmeasured: files enter the system's cache, and ours.
    loader.epoch(0, 0).try_for_each(|batch| batch.map(drop))?;
    let (start, processor) = (Instant::now(), processor_seconds());
    for epoch in 1..=epochs {
        loader.epoch(epoch as u64, 0).try_for_each(|batch| batch.map(drop))?;
    }
    let items = (epochs * loader.dataset().len()) as f64;
    println!("items/s {:.3}", items / start.elapsed().as_secs_f64());
    if let (Some(before), Some(after)) = (processor, processor_seconds()) {
        println!("cpu ms/item {:.3}", 1e3 * (after - before) / items);
    }
    Ok(())
}

/// Processor time of this process so far, where `/proc` tells it.
fn processor_seconds() -> Option<f64> {
    const TICKS_PER_SECOND: f64 = 100.0;
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // User and system time are the 12th and 13th field after the name, which stands in parentheses.
    let fields: Vec<&str> = stat.rsplit(')').next()?.split_whitespace().collect();
    let ticks = fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?;
    Some(ticks / TICKS_PER_SECOND)
}

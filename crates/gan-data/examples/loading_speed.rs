//! Times reading, augmenting and batching, on one thread and with workers:
//! `cargo run -p gan-data --example loading_speed`.
#![allow(clippy::print_stdout)]

use std::path::Path;
use std::time::Instant;

use gan_data::{
    DataConfig, DataMode, Loader, Picture, Result, SynthFiles, SynthKind, decode, list_pictures, open, write_picture,
    write_synth,
};

const PICTURES: usize = 60;

fn main() -> Result<()> {
    let folder = std::env::temp_dir().join(format!("loading-speed-{}", std::process::id()));
    let result = measure(&folder);
    // The folder is temporary either way.
    let _ = std::fs::remove_dir_all(&folder);
    result
}

fn measure(folder: &Path) -> Result<()> {
    let what = SynthFiles { kind: SynthKind::Facades, seed: 0, size: 286, train: PICTURES, test: 0 };
    let start = Instant::now();
    let files = write_synth(folder, &what, |_, _| ())?;
    println!("drawing and writing: {:.1} pairs/s", PICTURES as f64 / start.elapsed().as_secs_f64());
    let jpeg = folder.join("jpeg");
    for file in list_pictures(&folder.join("train"))? {
        let picture: Picture = decode(&file.path, &Default::default())?;
        write_picture(&jpeg.join("train").join(format!("{}.jpg", file.stem)), &picture)?;
    }
    for (kind, root) in [("png", folder), ("jpeg", jpeg.as_path())] {
        for workers in [0, 2] {
            let config = DataConfig {
                root: root.to_path_buf(),
                workers,
                load_size: 286,
                crop_size: 256,
                ..DataConfig::default()
            };
            rate(&format!("{kind}, {workers} workers"), &config)?;
        }
    }
    for mode in [DataMode::Facades, DataMode::Streets, DataMode::Unpaired] {
        let config = DataConfig { mode, max_dataset_size: Some(files.len()), workers: 0, ..DataConfig::default() };
        rate(&format!("{mode:?} from memory, 0 workers"), &config)?;
    }
    Ok(())
}

fn rate(what: &str, config: &DataConfig) -> Result<()> {
    let loader = Loader::new(open(config)?, config.loader(1))?;
    let start = Instant::now();
    for epoch in 0..2 {
        loader.epoch(epoch, 0).try_for_each(|batch| batch.map(drop))?;
    }
    println!("{what}: {:.1} items/s", 2.0 * PICTURES as f64 / start.elapsed().as_secs_f64());
    Ok(())
}

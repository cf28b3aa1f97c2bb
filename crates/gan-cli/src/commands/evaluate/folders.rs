//! Two folders of image files.

use super::measure::{ImageSet, Measure, Measured};
use super::metric::Metric;
use crate::exit::{BAD_DATA, Coded, USAGE};
use crate::progress::bar;
use anyhow::{Context, bail};
use gan_data::{DecodeOptions, Exclude, Image, ImageFile, decode, list_images, pair_images, probe};
use gan_metrics::distribution::Features;
use gan_metrics::features::{Extractor, alike};
use std::path::Path;

pub(super) fn measure(fake: &Path, real: &Path, mut measure: Measure<'_>) -> anyhow::Result<Measured> {
    if gan_fs::is_same(fake, real) {
        bail!(Coded(USAGE, format!("{} is both --fake and --real; name two folders", fake.display())));
    }
    let mut notes = Vec::new();
    // One may lie in the other.
    let fakes = list(fake, real, &mut notes)?;
    let reals = list(real, fake, &mut notes)?;
    let shard = measure.shard;
    if measure.selection.any(Metric::is_paired) {
        match pair_images((fake, &fakes), (real, &reals)) {
            Ok(pairs) => measure_pairs(&shard.of(pairs), &mut measure)?,
            Err(error) if measure.selection.named => return Err(error.into()),
            Err(error) => measure.selection.leave_out(Metric::is_paired, &error.to_string()),
        }
    }
    let (fakes, reals) = (shard.of(fakes), shard.of(reals));
    let sets = [set(fake, &fakes)?, set(real, &reals)?];
    let features = match (measure.extractor(), measure.extractor()) {
        (Some(of_fakes), Some(of_reals)) => {
            Some([extract(of_fakes, &fakes, "translated images")?, extract(of_reals, &reals, "real images")?])
        }
        _ => None,
    };
    Ok(measure.finish(sets, features, notes))
}

fn list(folder: &Path, other: &Path, notes: &mut Vec<String>) -> anyhow::Result<Vec<ImageFile>> {
    let listing = list_images(folder, &Exclude::outputs([other]))?;
    if listing.files.is_empty() {
        bail!(Coded(BAD_DATA, format!("there are no images in {}; name another folder", folder.display())));
    }
    notes.extend(listing.notes(folder));
    Ok(listing.files)
}

/// What the headers and names of the files tell.
fn set(folder: &Path, files: &[ImageFile]) -> anyhow::Result<ImageSet> {
    let mut set = ImageSet { source: folder.display().to_string(), ..ImageSet::default() };
    for file in files {
        let header = probe(&file.path, &DecodeOptions::default())?;
        set.add((header.width as usize, header.height as usize));
        let format = file.path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
        *set.formats.entry(format).or_default() += 1;
    }
    Ok(set)
}

fn measure_pairs(pairs: &[(ImageFile, ImageFile)], measure: &mut Measure<'_>) -> anyhow::Result<()> {
    let bar = bar(pairs.len(), "comparing pairs");
    for (fake, real) in pairs {
        let (a, b) = (read(&fake.path)?, read(&real.path)?);
        if a.size() != b.size() {
            let ((w, h), (other_w, other_h)) = (a.size(), b.size());
            let (fake, real) = (fake.path.display(), real.path.display());
            let message = format!(
                "{fake} is {w}x{h}, and {real} {other_w}x{other_h}: a metric of pairs needs equal sizes; translate without --preprocess, or resize the real images as the translated ones"
            );
            bail!(Coded(BAD_DATA, message));
        }
        let [a, b] = alike([a, b], [&fake.path, &real.path])?;
        let name = || format!("{} against {}", fake.path.display(), real.path.display());
        measure.pair(&fake.name(), &a, &b).with_context(name)?;
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(())
}

fn read(path: &Path) -> anyhow::Result<Image> {
    Ok(decode(path, &DecodeOptions::default())?)
}

fn extract(mut set: Extractor<'_>, files: &[ImageFile], what: &str) -> anyhow::Result<(Features, usize)> {
    let bar = bar(files.len(), &format!("features of {what}"));
    for files in files.chunks(Extractor::BATCH) {
        set.files(&files.iter().map(|file| &*file.path).collect::<Vec<_>>())?;
        bar.inc(files.len() as u64);
    }
    bar.finish_and_clear();
    Ok(set.finish()?)
}

//! Writing results: alone or beside their inputs, into files or onto standard output, and onto the page that shows them.

use super::page::Page;
use crate::exit::{BAD_DATA, Coded, USAGE};
use crate::output::answer;
use anyhow::bail;
use gan_data::{
    DecodeOptions, Exclude, Filter, Image, WriteOptions, decode, encode_image, list_images, side_by_side,
    write_image_with,
};
use gan_translate::Made;
use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

/// How results are written.
pub(super) struct Writer<'a> {
    pub(super) options: WriteOptions,
    /// Extension of the format for standard output.
    pub(super) format: OsString,
    pub(super) side_by_side: bool,
    pub(super) targets: Option<&'a Targets>,
    pub(super) page: Option<&'a Page>,
}

impl Writer<'_> {
    pub(super) fn write(&self, made: Made<'_>) -> gan_data::Result<()> {
        let Made { index, job, image, shown } = made;
        let target = self.targets.map_or(Ok(None), |targets| targets.of_result(job.files.name))?;
        if self.side_by_side {
            let size = image.size();
            let row = beside(shown.into_iter().chain([image]).chain(target).collect(), size, job.output)?;
            self.to_output(job.output, &row)?;
            return self.page.map_or(Ok(()), |page| page.keep(index, job, &row, None, None));
        }
        self.to_output(job.output, &image)?;
        self.page.map_or(Ok(()), |page| page.keep(index, job, &image, shown.as_ref(), target.as_ref()))
    }

    fn to_output(&self, output: &Path, image: &Image) -> gan_data::Result<()> {
        if output != Path::new("-") {
            return write_image_with(output, image, &self.options);
        }
        let name = Path::new("standard output").with_extension(&self.format);
        answer(&encode_image(&name, image, &self.options)?);
        Ok(())
    }
}

/// Images in a row, each in the size of the result and without alpha.
fn beside(images: Vec<Image>, (width, height): (usize, usize), path: &Path) -> gan_data::Result<Image> {
    let plain = |image: Image| {
        let colours = image.channels() - usize::from(image.has_alpha());
        let image = image.clone().with_channels(colours).unwrap_or(image);
        image.resize(width, height, Filter::Bicubic)
    };
    side_by_side(images.into_iter().map(plain).collect(), path)
}

/// What results should look like.
pub(super) struct Targets {
    path: PathBuf,
    /// The files of a folder by their stems; none if the path is a file.
    by_stem: Option<HashMap<PathBuf, PathBuf>>,
    missing: AtomicUsize,
}

impl Targets {
    /// Of a file, if there is one result, or of a folder.
    ///
    /// # Errors
    /// [`Coded`]: there is nothing, or one target for several results.
    pub(super) fn of(path: &Path, results: usize) -> anyhow::Result<Self> {
        let by_stem = if path.is_dir() {
            let files = list_images(path, &Exclude::none())?.files;
            Some(files.into_iter().map(|file| (file.stem, file.path)).collect())
        } else if results > 1 {
            bail!(Coded(
                USAGE,
                format!("{} is one target for {results} results; name the folder with theirs", path.display())
            ));
        } else if !path.exists() {
            bail!(Coded(BAD_DATA, format!("there is no target {}; check the path", path.display())));
        } else {
            None
        };
        Ok(Targets { path: path.to_owned(), by_stem, missing: AtomicUsize::new(0) })
    }

    /// The target of a result, if there is one.
    fn of_result(&self, stem: &Path) -> gan_data::Result<Option<Image>> {
        let path = self.by_stem.as_ref().map_or(Some(&self.path), |files| files.get(stem));
        if path.is_none() {
            self.missing.fetch_add(1, Ordering::Relaxed);
        }
        path.map(|path| decode(path, &DecodeOptions::default())).transpose()
    }

    /// What the user should know.
    pub(super) fn note(&self) -> Option<String> {
        let missing = self.missing.load(Ordering::Relaxed);
        let results = if missing == 1 { "1 result has".to_owned() } else { format!("{missing} results have") };
        (missing > 0).then(|| format!("{results} no target in {}", self.path.display()))
    }
}

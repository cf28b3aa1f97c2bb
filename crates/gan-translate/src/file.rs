//! One file in, one file out.

#[cfg(doc)]
use crate::Error;
use crate::Result;
use crate::in_rows::RowJob;
use crate::limit::Estimate;
use crate::model::{Model, Translated};
use crate::reader::Files;
use gan_data::{WriteOptions, write_image};
use std::path::Path;

impl Model {
    /// Translates an image file (for models of label maps: a label map) into a file, whose extension picks the format. Large images
    /// are computed in bands of rows, on a device within a limit; where their formats allow it (PNG, TIFF and others), they are read and written in bands as well.
    ///
    /// # Errors
    /// As [`Model::read`] and [`Model::translate_input`]; [`Error::Data`] if the result cannot be written.
    pub fn translate_file(&self, input: impl AsRef<Path>, output: impl AsRef<Path>) -> Result<Translated> {
        self.translate_files(&Files::new(input.as_ref()), output.as_ref())
    }

    /// As [`Model::translate_file`], with an instance map and an image that lends its style.
    ///
    /// # Errors
    /// As [`Model::translate_file`].
    pub fn translate_files(&self, files: &Files<'_>, output: &Path) -> Result<Translated> {
        self.check_writable(output)?;
        if let Some(job) = RowJob::of(self, files, output)? {
            return job.run(&WriteOptions::default());
        }
        let input = self.read(files)?;
        let alpha_lost = self.loses_alpha(&input);
        write_image(output, &self.translate_input(input)?)?;
        Ok(Translated { alpha_lost })
    }

    /// What [`Model::translate_files`] would take; `None` without a [limit](crate::Options::limit). With `rows`, large images are read
    /// and written row by row, where their formats allow it.
    ///
    /// # Errors
    /// [`Error::TooLittleMemory`]; as [`Model::read`].
    pub fn estimate_files(&self, files: &Files<'_>, output: &Path, rows: bool) -> Result<Option<Estimate>> {
        if self.networks().limit().is_none() {
            return Ok(None);
        }
        match if rows { RowJob::of(self, files, output)? } else { None } {
            Some(job) => job.estimate().map(Some),
            None => self.estimate(&self.read(files)?),
        }
    }
}

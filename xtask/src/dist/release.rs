//! What a release says of itself, in every package.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::packages::Package;

/// Name, version and texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Release {
    pub(super) version: String,
    /// One line.
    pub(super) description: String,
    pub(super) authors: String,
    /// An SPDX expression.
    pub(super) licence: String,
    pub(super) readme: String,
    /// Seconds since 1970.
    pub(super) date: u64,
}

impl Release {
    /// Of the program's own package.
    pub(super) fn new(root: &Path, package: &Package, date: u64) -> Result<Self> {
        Ok(Release {
            version: package.version.clone(),
            description: package.description.clone(),
            authors: package.authors.join(", "),
            licence: package.licence.clone(),
            readme: fs::read_to_string(root.join("README.md")).context("cannot read README.md")?,
            date,
        })
    }

    #[cfg(test)]
    pub(super) fn example() -> Self {
        Release {
            version: "0.1.0".into(),
            description: "Translates images.".into(),
            authors: "The authors".into(),
            licence: "MIT OR Apache-2.0".into(),
            readme: "# gan-cli\n".into(),
            date: 1_795_000_000,
        }
    }
}

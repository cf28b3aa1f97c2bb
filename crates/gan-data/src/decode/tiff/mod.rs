//! TIFF files: their structure, their pages, and kinds of samples that the general decoder lacks.

mod extents;
mod layout;
mod samples;

pub(super) use self::extents::{find, source};
pub(super) use self::layout::Layout;
pub(super) use self::samples::{Stored, Uncommon, refused};

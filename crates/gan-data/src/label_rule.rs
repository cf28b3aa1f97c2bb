//! Which ids a label map may hold, and what becomes of pixels that nobody labelled.

use std::path::Path;

use crate::error::{Error, Result};
use crate::ids::IdMap;

/// The rule that training, translation and inspection apply to label maps.
///
/// A map may hold the labels below `label_nc` and the id `dont_care`. The id `label_nc` is the class of unlabelled pixels: a file
/// may hold it only if it is `dont_care` itself. (The reference system has no such class; there an id of 255 fails.)
///
/// ```
/// use gan_data::{IdMap, LabelRule, Raster};
///
/// let rule = LabelRule { label_nc: 19, dont_care: Some(255) };
/// let ids = IdMap::new(Raster::new(2, 1, 1, vec![18, 255]));
/// assert_eq!(rule.apply(ids, "map.png".as_ref())?.raster().samples(), [18, 19]);
/// assert!(rule.apply(IdMap::new(Raster::new(1, 1, 1, vec![19])), "map.png".as_ref()).is_err());
/// # Ok::<(), gan_data::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LabelRule {
    /// Number of labels.
    pub label_nc: usize,
    /// Id of pixels without a label.
    pub dont_care: Option<u32>,
}

impl LabelRule {
    /// Number of classes of a map that passed the rule: `label_nc`, and one more with `dont_care`.
    #[must_use]
    pub fn classes(&self) -> usize {
        self.label_nc + usize::from(self.dont_care.is_some())
    }

    /// Whether a file may hold this id.
    #[must_use]
    pub fn allows(&self, id: u32) -> bool {
        (id as usize) < self.label_nc || Some(id) == self.dont_care
    }

    /// Checks the map that was read from `path` and gives pixels marked `dont_care` the id `label_nc`. The result is below
    /// [`classes`](Self::classes) everywhere.
    ///
    /// # Errors
    /// [`Error::Label`] for the first pixel, in reading order, whose id is not allowed.
    pub fn apply(&self, mut ids: IdMap, path: &Path) -> Result<IdMap> {
        let label_nc = self.label_nc as u32;
        if let Some((x, y, value)) = ids.find(|id| !self.allows(id)) {
            return Err(Error::Label { path: path.to_path_buf(), x, y, value, label_nc });
        }
        if let Some(dont_care) = self.dont_care {
            ids.replace(dont_care, label_nc);
        }
        Ok(ids)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::raster::Raster;

    fn apply(rule: LabelRule, samples: [u32; 4]) -> Result<Vec<u32>> {
        let ids = rule.apply(IdMap::new(Raster::new(2, 2, 1, samples.to_vec())), Path::new("map.png"))?;
        assert!(ids.raster().samples().iter().all(|&id| (id as usize) < rule.classes()));
        Ok(ids.raster().samples().to_vec())
    }

    #[test]
    fn only_labels_and_the_mark_pass() {
        let plain = LabelRule { label_nc: 4, dont_care: None };
        assert_eq!(apply(plain, [0, 1, 2, 3]).unwrap(), [0, 1, 2, 3]);
        let marked = LabelRule { dont_care: Some(255), ..plain };
        assert_eq!(apply(marked, [0, 255, 2, 3]).unwrap(), [0, 4, 2, 3]);
        // The class of unlabelled pixels is not a label of files, unless it is the mark.
        for (rule, value) in [(plain, 4), (plain, 255), (marked, 4), (marked, 256)] {
            let Error::Label { x, y, value: found, label_nc, .. } = apply(rule, [0, 1, value, 9]).unwrap_err() else {
                panic!("another error")
            };
            assert_eq!((x, y, found, label_nc), (0, 1, value, 4));
        }
        assert_eq!(apply(LabelRule { dont_care: Some(4), ..plain }, [0, 1, 4, 3]).unwrap(), [0, 1, 4, 3]);
        // A label may be the mark: then it has no class of its own.
        assert_eq!(apply(LabelRule { dont_care: Some(0), ..plain }, [0, 1, 2, 3]).unwrap(), [4, 1, 2, 3]);
    }
}

//! Contradictions, readings and ranges that the configurations of several methods share.

use crate::consistency::Contradiction;
use crate::reading::Reading;
use gan_data::{DataConfig, DataMode};
use gan_range::Range;

/// The range of a loss's weight.
pub(super) const fn weight(key: &'static str) -> Range {
    Range::real(key, 0.0, 1e12)
}

/// The range of `r1_every`.
pub(super) const R1_EVERY: Range = Range::whole("r1_every", 1, 1_000_000);

/// What a mode of the dataset is called in a configuration.
pub(super) fn mode_name(mode: DataMode) -> String {
    format!("{mode:?}").to_lowercase()
}

/// How methods that learn from two unrelated collections read files.
pub(super) fn unpaired_readings() -> Vec<Reading> {
    let pairs = Reading {
        note: Some("the two sides of pairs serve as two collections; pix2pix makes more of pairs".into()),
        ..Reading::new(DataMode::Aligned.about(), &["data.mode=aligned"])
    };
    vec![Reading::new(DataMode::Unaligned.about(), &[]), pairs]
}

/// Refuses datasets without targets, and label maps, for methods that learn from images alone. `files` and `drawn` are the
/// modes to use instead.
pub(super) fn images_only(method: &str, data: &DataConfig, files: &str, drawn: &str) -> Option<Contradiction> {
    let mode = mode_name(data.mode);
    let instead = |mode: &str| format!("data.mode = \"{mode}\"");
    match data.mode {
        DataMode::Single => {
            let what = format!("data.mode = \"{mode}\" has no targets to train on");
            Some(Contradiction::new(what, &[&[&instead(files)]]))
        }
        DataMode::Streets => {
            let what = format!("{method} learns from images, and data.mode = \"{mode}\" has label maps");
            Some(Contradiction::new(what, &[&[&instead(drawn)]]))
        }
        DataMode::Labelled if data.label_nc > 0 => {
            let what = format!("{method} learns from images, and data.mode = \"{mode}\" has label maps");
            Some(Contradiction::new(what, &[&["data.label_nc = 0"], &[&instead(files)]]))
        }
        _ => None,
    }
}

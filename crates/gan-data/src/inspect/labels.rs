//! Looking into label maps, and whether instance maps belong to them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use super::report::{LabelReport, Problem, ProblemKind, Severity};
use super::scan::Seen;
use crate::config::DataConfig;
use crate::decode::{DecodeOptions, decode_ids};
use crate::ids::IdMap;
use crate::side::Side;

/// Ids that mark pixels without a label by custom.
const MARKS: [u32; 2] = [u8::MAX as u32, u16::MAX as u32];

/// Number of labels of Cityscapes.
const CITYSCAPES: usize = 35;

/// Share of pixels in an instance of several labels above which the maps are taken not to belong together.
const FOREIGN: f64 = 0.2;

/// Counts labels over all readable maps, and reports maps with labels out of range. `further` are maps of other parts.
pub(super) fn histogram(
    side: &Side,
    seen: &[Option<Arc<Seen>>],
    further: &[Option<Arc<Seen>>],
    config: &DataConfig,
    problems: &mut Vec<Problem>,
) -> LabelReport {
    let mut pixels = BTreeMap::new();
    let mut found = Vec::new();
    for (file, seen) in side.files.iter().zip(seen) {
        let Some(seen) = seen else { continue };
        seen.ids.iter().for_each(|(&id, count)| *pixels.entry(id).or_insert(0) += count.pixels);
        found.extend(out_of_range(&file.path, seen, config));
    }
    // One remedy for all of them, from the labels of all maps: what suits the first may be too little for the second.
    let remedy = remedy(pixels.keys().copied(), config);
    problems.extend(found.into_iter().map(|problem| Problem { remedy: remedy.clone(), ..problem }));
    let others = further.iter().flatten().flat_map(|seen| seen.ids.keys());
    let occurring: BTreeSet<u32> = pixels.keys().chain(others).copied().collect();
    let (suggested_label_nc, suggested_dont_care) = suggestion(&occurring, side, config);
    LabelReport { label_nc: config.label_nc, pixels, suggested_label_nc, suggested_dont_care }
}

fn out_of_range(path: &Path, seen: &Seen, config: &DataConfig) -> Option<Problem> {
    let rule = config.label_rule();
    let beyond = || seen.ids.iter().filter(|&(&id, _)| !rule.allows(id));
    let (&value, count) = beyond().min_by_key(|(_, count)| count.first)?;
    let pixels: u64 = beyond().map(|(_, count)| count.pixels).sum();
    let (x, y) = (count.first % seen.size.0, count.first / seen.size.0);
    let have =
        if pixels == 1 { "1 pixel has a label id".to_owned() } else { format!("{pixels} pixels have label ids") };
    Some(Problem {
        severity: Severity::Error,
        kind: ProblemKind::LabelOutOfRange,
        path: path.to_path_buf(),
        message: format!("{have} ≥ label_nc ({}); the first is {value} at x={x}, y={y}", config.label_nc),
        remedy: String::new(),
    })
}

/// The number of labels, and the mark of pixels without one, that take all labels which occur. A largest id of all ones (255, 65535)
/// that stands apart is taken for such a mark. Maps that are named as Cityscapes names them have its 35 labels, whichever occur.
fn suggestion(occurring: &BTreeSet<u32>, side: &Side, config: &DataConfig) -> (usize, Option<u32>) {
    let labels: Vec<u32> = occurring.iter().copied().filter(|&label| Some(label) != config.dont_care).collect();
    let cityscapes = side.files.iter().all(|file| file.name().ends_with("_labelIds"));
    let least = if cityscapes { CITYSCAPES } else { 1 };
    match &labels[..] {
        [] => (config.label_nc, config.dont_care),
        [.., next, top] if MARKS.contains(top) && next + 1 < *top && config.dont_care.is_none() => {
            ((*next as usize + 1).max(least), Some(*top))
        }
        [.., top] => ((*top as usize + 1).max(least), config.dont_care),
    }
}

/// The settings that take all of these labels.
fn remedy(labels: impl Iterator<Item = u32>, config: &DataConfig) -> String {
    let labels: Vec<u32> = labels.filter(|&label| Some(label) != config.dont_care).collect();
    let Some((&top, below)) = labels.split_last() else { return String::new() };
    let all = u64::from(top) + 1;
    match below.last() {
        // The largest label is most likely a mark if it stands apart: 255 after 182, say.
        Some(&next) if next + 1 < top && config.dont_care.is_none() => {
            let kept = (next + 1).max(config.label_nc as u32);
            format!(
                "labels up to {next} and {top} occur: set label_nc = {kept} and dont_care = {top} if {top} marks pixels \
                 without a label, else label_nc = {all}"
            )
        }
        _ => format!("labels up to {top} occur: set label_nc = {all}"),
    }
}

/// Share of the pixels of an instance map that lie in instances of several labels; none where the two maps cannot be compared.
pub(super) fn foreign(label: &Path, inst: &Path, options: &DecodeOptions) -> Option<f64> {
    let (labels, insts) = (decode_ids(label, options).ok()?, decode_ids(inst, options).ok()?);
    (labels.size() == insts.size()).then(|| foreign_share(&labels, &insts))
}

/// The problem of an instance map whose instances lie across many labels: most likely that of another image.
pub(super) fn foreign_problem(inst: &Path, share: f64) -> Option<Problem> {
    (share > FOREIGN).then(|| Problem {
        severity: Severity::Warning,
        kind: ProblemKind::InstanceMismatch,
        path: inst.to_path_buf(),
        message: format!("{:.0} % of its pixels lie in instances of several labels", share * 100.0),
        remedy: "check that the instance map belongs to this image".to_owned(),
    })
}

/// Share of pixels whose label is not the most frequent one of their instance.
fn foreign_share(labels: &IdMap, insts: &IdMap) -> f64 {
    let mut counts = BTreeMap::<u32, BTreeMap<u32, usize>>::new();
    for (&label, &inst) in labels.raster().samples().iter().zip(insts.raster().samples()) {
        *counts.entry(inst).or_default().entry(label).or_default() += 1;
    }
    let own: usize = counts.values().filter_map(|labels| labels.values().max()).sum();
    let pixels = labels.raster().samples().len().max(1);
    (pixels - own) as f64 / pixels as f64
}

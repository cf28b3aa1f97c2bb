//! Looking into label maps, and whether instance maps belong to them.

use std::collections::BTreeMap;
use std::path::Path;

use rayon::prelude::*;

use super::report::{LabelReport, Problem, ProblemKind, Severity};
use crate::config::DataConfig;
use crate::decode::decode_ids;
use crate::ids::IdMap;

/// Share of pixels in an instance of several labels above which the maps are taken not to belong together.
const FOREIGN: f64 = 0.2;

/// Counts labels over all readable maps, and reports maps with labels out of range.
pub(super) fn histogram(maps: &[&Path], config: &DataConfig, problems: &mut Vec<Problem>) -> LabelReport {
    type Counted = (BTreeMap<u32, u64>, Option<Problem>);
    let counted: Vec<Option<Counted>> = maps
        .par_iter()
        .map(|path| {
            let ids = decode_ids(path, &config.decode_options()).ok()?;
            let mut pixels = BTreeMap::new();
            for &id in ids.raster().samples() {
                *pixels.entry(id).or_insert(0) += 1;
            }
            let problem = out_of_range(path, &ids, config);
            Some((pixels, problem))
        })
        .collect();
    let mut pixels = BTreeMap::new();
    let mut found = Vec::new();
    for (map, problem) in counted.into_iter().flatten() {
        map.into_iter().for_each(|(label, count)| *pixels.entry(label).or_insert(0) += count);
        found.extend(problem);
    }
    // One remedy for all of them, from the labels of all maps: what suits the first may be too little for the second.
    let remedy = remedy(pixels.keys().copied(), config);
    problems.extend(found.into_iter().map(|problem| Problem { remedy: remedy.clone(), ..problem }));
    LabelReport { label_nc: config.label_nc, pixels }
}

fn out_of_range(path: &Path, ids: &IdMap, config: &DataConfig) -> Option<Problem> {
    let rule = config.label_rule();
    let (x, y, value) = ids.find(|id| !rule.allows(id))?;
    let count = ids.raster().samples().iter().filter(|&&id| !rule.allows(id)).count();
    let place = format!("first label {value} at x={x}, y={y}");
    Some(Problem {
        severity: Severity::Error,
        kind: ProblemKind::LabelOutOfRange,
        path: path.to_path_buf(),
        message: format!("{count} pixels have labels not below label_nc = {}; {place}", config.label_nc),
        remedy: String::new(),
    })
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

/// Reports instance maps whose instances lie across many labels: most likely those of another image.
pub(super) fn foreign_instances(pairs: &[(&Path, &Path)], config: &DataConfig, problems: &mut Vec<Problem>) {
    let found: Vec<Option<Problem>> = pairs
        .par_iter()
        .map(|(label, inst)| {
            let options = config.decode_options();
            let (labels, insts) = (decode_ids(label, &options).ok()?, decode_ids(inst, &options).ok()?);
            if labels.size() != insts.size() {
                return None;
            }
            let share = foreign_share(&labels, &insts);
            (share > FOREIGN).then(|| Problem {
                severity: Severity::Warning,
                kind: ProblemKind::InstanceMismatch,
                path: inst.to_path_buf(),
                message: format!("{:.0} % of its pixels lie in instances of several labels", share * 100.0),
                remedy: "check that the instance map belongs to this image".to_owned(),
            })
        })
        .collect();
    problems.extend(found.into_iter().flatten());
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

//! Padding as an operator of its own, or as slices that are put together again.

use super::graph::{Graph, int, string};
use crate::Result;
use gan_layers::PadMode;

/// How a padding that mirrors or repeats the border is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PadForm {
    /// `Pad` with the mode `reflect` or `edge`.
    #[default]
    Operator,
    /// `Slice` and `Concat`, for programs that pad with zeros alone.
    Slices,
}

/// `x` with `size` more pixels on all four sides.
pub(super) fn pad(to: &mut Graph, path: &str, x: &str, mode: PadMode, size: usize, form: PadForm) -> Result<String> {
    if form == PadForm::Operator || mode == PadMode::Zero {
        let mode = match mode {
            PadMode::Zero => "constant",
            PadMode::Reflect => "reflect",
            PadMode::Replicate => "edge",
        };
        let p = size as i64;
        let pads = to.integers("pads", &[0, 0, p, p, 0, 0, p, p])?;
        return Ok(to.node(path, "Pad", &[x, &pads], vec![string("mode", mode)]));
    }
    let rows = along(to, path, x, mode, size as i64, 2)?;
    along(to, path, &rows, mode, size as i64, 3)
}

/// Pads one dimension. The rows behind are counted from the end, so that its length need not be known.
fn along(to: &mut Graph, path: &str, x: &str, mode: PadMode, size: i64, axis: i64) -> Result<String> {
    let (before, behind): (Vec<String>, Vec<String>) = if mode == PadMode::Reflect {
        let before = (1..=size).rev().map(|i| row(to, path, x, (i, i + 1), axis)).collect::<Result<_>>()?;
        (before, (1..=size).map(|i| row(to, path, x, (-1 - i, -i), axis)).collect::<Result<_>>()?)
    } else {
        let (first, last) = (row(to, path, x, (0, 1), axis)?, row(to, path, x, (-1, i64::MAX), axis)?);
        (vec![first; size as usize], vec![last; size as usize])
    };
    let parts: Vec<&str> =
        before.iter().map(String::as_str).chain([x]).chain(behind.iter().map(String::as_str)).collect();
    Ok(to.node(path, "Concat", &parts, vec![int("axis", axis)]))
}

/// The rows from the first to in front of the second.
fn row(to: &mut Graph, path: &str, x: &str, (start, end): (i64, i64), axis: i64) -> Result<String> {
    let [start, end, axis] =
        [("start", start), ("end", end), ("axis", axis)].map(|(name, value)| to.integers(name, &[value]));
    Ok(to.node(path, "Slice", &[x, &start?, &end?, &axis?], Vec::new()))
}

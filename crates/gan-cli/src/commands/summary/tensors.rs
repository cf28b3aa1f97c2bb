//! `gan-cli summary FILE`: the tensors of a weight file.

use crate::exit::{Coded, USAGE};
use anyhow::bail;
use gan_nets::{Identified, identify};
use gan_weights::{
    Format, Loaded, StateDict, entries, fold_parametrizations, normalize_keys, read_any, read_entry, shown,
};
use std::path::Path;

/// Lists the tensors of all state dicts of a file, or of the one at `entry`.
///
/// # Errors
/// The file cannot be read.
pub(super) fn list(path: &Path, entry: Option<&str>) -> anyhow::Result<()> {
    if path.is_dir() {
        bail!(Coded(
            USAGE,
            format!("{} is a folder; --model {} shows the layers of its model", path.display(), path.display())
        ));
    }
    match entry {
        Some(entry) => print(entry, &read_entry(path, entry)?),
        None => match &entries(path)?[..] {
            several @ [_, _, ..] => {
                for entry in several {
                    print(entry, &read_entry(path, entry)?);
                }
            }
            _ => print("", &read_any(path)?),
        },
    }
    Ok(())
}

/// A tensor's row.
struct Row<'a> {
    name: &'a str,
    shape: String,
    dtype: &'static str,
    elements: usize,
    bytes: usize,
}

fn rows(state: &StateDict) -> Vec<Row<'_>> {
    let shape = |dims: &[usize]| {
        let sizes: Vec<_> = dims.iter().map(usize::to_string).collect();
        if sizes.is_empty() { "scalar".to_owned() } else { sizes.join(" x ") }
    };
    let known = state.iter().map(|(name, tensor)| {
        let (dtype, elements) = (tensor.dtype(), tensor.elem_count());
        let bytes = elements * dtype.size_in_bytes();
        Row { name, shape: shape(tensor.dims()), dtype: dtype.as_str(), elements, bytes }
    });
    let others = state.others().iter().map(|(name, tensor)| Row {
        name,
        shape: shape(tensor.dims()),
        dtype: tensor.element().name(),
        elements: tensor.elem_count(),
        bytes: tensor.data().len(),
    });
    known.chain(others).collect()
}

fn print(entry: &str, loaded: &Loaded) {
    loaded.notes.iter().for_each(|note| note!("{note}"));
    let format = match loaded.format {
        Format::PthZip => ".pth",
        Format::PthLegacy => ".pth of PyTorch before 1.6",
        Format::Safetensors => ".safetensors",
        _ => "weights",
    };
    let at = if entry.is_empty() { String::new() } else { format!(", entry {}", shown(entry)) };
    out!("# {format}{at}");
    let rows = rows(&loaded.state);
    let names: Vec<String> = rows.iter().map(|row| shown(row.name)).collect();
    let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0).max("tensor".len());
    let shapes = rows.iter().map(|row| row.shape.len()).max().unwrap_or(0).max("shape".len());
    out!("{:width$}  {:shapes$}  {:12}  {:>11}", "tensor", "shape", "type", "bytes");
    for (row, name) in rows.iter().zip(&names) {
        out!("{name:width$}  {:shapes$}  {:12}  {:>11}", row.shape, row.dtype, row.bytes);
    }
    let (elements, bytes) = rows.iter().fold((0, 0), |(e, b), row| (e + row.elements, b + row.bytes));
    out!("{} tensors, {elements} elements, {:.1} MiB", rows.len(), bytes as f64 / f64::from(1 << 20));
    networks(&loaded.state).iter().for_each(describe);
}

/// The networks that the tensors are of.
fn networks(state: &StateDict) -> Vec<Identified> {
    let mut clean = state.clone();
    normalize_keys(&mut clean);
    fold_parametrizations(&mut clean);
    identify(&clean, None).unwrap_or_default()
}

fn describe(found: &Identified) {
    match found.prefix.as_str() {
        "" => out!("{}", found.network),
        prefix => out!("{prefix}: {}", found.network),
    }
    mapping(&found.mapping);
}

/// Which layer was matched with which.
pub(super) fn mapping(mapping: &[(String, String)]) {
    let width = mapping.iter().map(|(theirs, _)| theirs.chars().count()).max().unwrap_or(0);
    for (theirs, ours) in mapping {
        out!("  {:width$}  is  {ours}", shown(theirs));
    }
}

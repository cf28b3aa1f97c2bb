//! What `evaluate --json` has measured, for a card.

use crate::exit::{BAD_DATA, Coded};
use gan_export::Measured;
use serde_json::Value;
use std::path::Path;

/// Largest report that is read: it has the values of every image.
const MAX_BYTES: u64 = 256 << 20;

/// Name of a report that is found in a run by itself.
pub(super) const NAME: &str = "report.json";

/// Reads a report.
///
/// # Errors
/// It cannot be read, or is none.
pub(super) fn read(path: &Path) -> anyhow::Result<Measured> {
    let refuse = |reason: String| {
        let shown = path.display();
        Coded(BAD_DATA, format!("{shown}: {reason}; write it with `gan-cli evaluate --model RUN --json {shown}`"))
    };
    let text = gan_fs::read_regular(path, MAX_BYTES).map_err(|error| refuse(error.to_string()))?;
    let report: Value = serde_json::from_slice(&text).map_err(|error| refuse(format!("it is no report: {error}")))?;
    let metrics = report["metrics"].as_object().ok_or_else(|| refuse("it is no report of `evaluate`".into()))?;
    let metrics = metrics.iter().filter_map(|(name, metric)| Some((name.clone(), metric["value"].as_f64()?))).collect();
    // Of paths, the last part: a card is for everybody.
    let source = |text: &str| {
        let last = |word: &str| word.rsplit(['/', '\\']).find(|part| !part.is_empty()).unwrap_or(word).to_owned();
        text.split(' ').map(last).collect::<Vec<_>>().join(" ")
    };
    let set = |which: &str| {
        let set = &report[which];
        format!("{} images ({})", set["images"], source(set["source"].as_str().unwrap_or("no source")))
    };
    let protocol =
        report["protocol"]["name"].as_str().map_or(String::new(), |name| format!("; protocol of FID and KID: {name}"));
    let version = report["gan-cli"].as_str().unwrap_or_default();
    let about = format!("`gan-cli evaluate` {version}: {} against {}{protocol}.", set("fake"), set("real"));
    Ok(Measured { about, metrics })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_report_tells_its_metrics_and_its_protocol() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r.json");
        let text = r#"{"gan-cli": "0.1", "fake": {"images": 4, "source": "/home/me/runs/a translating b"}, "real": {"images": 5, "source": "b"},
            "protocol": {"name": "clean"}, "metrics": {"FID": {"value": 1.5}, "L1": {"value": null}}}"#;
        std::fs::write(&path, text).unwrap();
        let measured = read(&path).unwrap();
        assert_eq!(measured.metrics, [("FID".to_owned(), 1.5)]);
        assert!(
            measured.about.contains("4 images (a translating b) against 5 images (b)")
                && measured.about.contains("clean")
        );
        std::fs::write(&path, "[]").unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("evaluate"));
    }
}

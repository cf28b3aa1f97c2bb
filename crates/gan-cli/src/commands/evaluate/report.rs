//! What was measured, as a table and as JSON.

use super::facts::Facts;
use super::measure::{ImageSet, Measured};
use super::metric::{LeftOut, Metric};
use crate::exit::{BAD_DATA, BAD_MODEL, Coded};
use gan_metrics::bootstrap::{Interval, mean_interval};
use gan_metrics::distribution::{Features, Subsets, fid, kid, kid_interval, precision_recall};
use gan_metrics::protocol::Protocol;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Below this number of images FID depends more on their number than on what they show: the covariance of 2048 features is singular.
const FEW_FOR_FID: usize = 2048;

/// Neighbours of precision and recall.
const NEIGHBOURS: usize = 3;

/// A line of the table.
struct Row {
    name: &'static str,
    value: f64,
    interval: Option<Interval>,
    /// What it is the mean of, or compares.
    images: String,
    digits: usize,
    about: &'static str,
}

pub(super) struct Report {
    rows: Vec<Row>,
    details: Value,
    left_out: Vec<LeftOut>,
    /// Whether the user named the metrics.
    named: bool,
    warnings: Vec<String>,
}

impl Report {
    /// Subsets and intervals are drawn by `seed`.
    pub(super) fn of(seed: u64, facts: &Facts, measured: Measured) -> anyhow::Result<Self> {
        let Measured { fake, real, names, values, features, mut selection, notes, .. } = measured;
        let protocol: Protocol = facts.protocol.parse().map_err(anyhow::Error::msg)?;
        let mut warnings = notes;
        let mut rows: Vec<Row> = values.iter().map(|(metric, values)| paired(*metric, values, seed)).collect();
        let identical = values.get(&Metric::Psnr).map_or(0, |all| all.iter().filter(|v| v.is_infinite()).count());
        if identical > 0 {
            warnings.push(format!(
                "{identical} of {} pairs are equal: their PSNR, and so the mean, is infinite",
                names.len()
            ));
        }
        if let Some([(fakes, _), (reals, _)]) = &features {
            let metrics: Vec<Metric> = selection.metrics().filter(|metric| metric.is_of_sets()).collect();
            for metric in metrics {
                match of_sets(metric, fakes, reals, (protocol, seed)) {
                    Ok(more) => rows.extend(more),
                    Err(error @ gan_metrics::Error::TooFew { .. }) => {
                        selection.leave_out(|other| other == metric, &error.to_string());
                    }
                    Err(error) => return Err(error.into()),
                }
            }
            warnings.extend(warnings_of_sets(&selection.metrics().collect::<Vec<_>>(), [&fake, &real]));
        }
        let values: BTreeMap<&str, Vec<f64>> = values.into_iter().map(|(metric, v)| (metric.name(), v)).collect();
        let details = json!({
            "version": 1,
            "gan-cli": facts.version,
            "seed": seed,
            "device": facts.device,
            "fake": set(&fake),
            "real": set(&real),
            "protocol": facts.inception.as_ref().map(|digest| json!({
                "name": protocol.name(),
                "resize": protocol.resize(),
                "inception_sha256": digest,
                "features_computed": features.as_ref().map(|[(_, fake), (_, real)]| fake + real),
            })),
            "lpips": facts.lpips.as_ref().map(|lpips| json!({
                "net": lpips.net,
                "version": "0.1",
                "trunk_sha256": lpips.trunk,
                "heads_sha256": lpips.heads,
            })),
            "pairs": names,
            "values": values,
        });
        Ok(Report { rows, details, left_out: selection.left_out, named: selection.named, warnings })
    }

    /// The table on standard output; notes on standard error.
    pub(super) fn print(&self) {
        for (what, set) in [("fake", &self.details["fake"]), ("real", &self.details["real"])] {
            out!("{what}: {} images, {}", set["images"], set["source"].as_str().unwrap_or_default());
        }
        if let Some(name) = self.details["protocol"]["name"].as_str() {
            out!("protocol: {name}, {}", self.details["protocol"]["resize"].as_str().unwrap_or_default());
        }
        out!("{:<10} {:>11}   {:<23} {:<16} ", "metric", "value", "95 % interval", "images");
        for row in &self.rows {
            let number = |v: f64| format!("{v:.*}", row.digits);
            let interval = row.interval.map_or("-".into(), |i| format!("{} .. {}", number(i.low), number(i.high)));
            out!("{:<10} {:>11}   {interval:<23} {:<16} {}", row.name, number(row.value), row.images, row.about);
        }
        self.warnings.iter().for_each(|warning| note!("note: {warning}"));
        if !self.named {
            self.left_out.iter().for_each(|LeftOut { metric, reason }| note!("note: no {}: {reason}", metric.name()));
        }
    }

    pub(super) fn json(&self) -> Value {
        let mut json = self.details.clone();
        let metric = |row: &Row| {
            let bounds = row.interval.map(|i| [i.low, i.high]);
            (row.name, json!({ "value": row.value, "interval_95": bounds, "images": row.images, "about": row.about }))
        };
        json["metrics"] = self
            .rows
            .iter()
            .map(metric)
            .map(|(name, value)| (name.to_owned(), value))
            .collect::<serde_json::Map<_, _>>()
            .into();
        let reason = |left: &LeftOut| (left.metric.name().to_owned(), Value::from(left.reason.clone()));
        json["left_out"] = self.left_out.iter().map(reason).collect::<serde_json::Map<_, _>>().into();
        json["warnings"] = self.warnings.clone().into();
        json
    }

    /// The error of a metric that was asked for by name and could not be computed.
    pub(super) fn failure(&self) -> Option<anyhow::Error> {
        if !self.named || self.left_out.is_empty() {
            return None;
        }
        let names: Vec<&str> = self.left_out.iter().map(|left| left.metric.name()).collect();
        let mut reasons: Vec<&str> = self.left_out.iter().map(|left| &*left.reason).collect();
        reasons.dedup();
        let no_weights = reasons.iter().any(|reason| reason.contains("gan-cli fetch"));
        let code = if no_weights { BAD_MODEL } else { BAD_DATA };
        Some(Coded(code, format!("not computed: {}: {}", names.join(", "), reasons.join("; "))).into())
    }
}

fn paired(metric: Metric, values: &[f64], seed: u64) -> Row {
    let (name, digits, about) = match metric {
        Metric::L1 => ("L1", 3, "levels of 0..255, lower is better"),
        Metric::Psnr => ("PSNR", 3, "dB, higher is better"),
        Metric::Ssim => ("SSIM", 4, "at most 1, higher is better"),
        Metric::MsSsim => ("MS-SSIM", 4, "at most 1, higher is better"),
        _ => ("LPIPS", 4, "lower is better"),
    };
    let value = values.iter().sum::<f64>() / values.len() as f64;
    Row { name, value, interval: mean_interval(values, seed), images: values.len().to_string(), digits, about }
}

fn of_sets(
    metric: Metric,
    fakes: &Features,
    reals: &Features,
    (protocol, seed): (Protocol, u64),
) -> gan_metrics::Result<Vec<Row>> {
    let images = format!("{} / {}", fakes.len(), reals.len());
    let row =
        |name, value, interval, digits, about| Row { name, value, interval, images: images.clone(), digits, about };
    Ok(match metric {
        Metric::Fid => {
            vec![row("FID", fid(fakes, reals)?.value, None, 3, "lower is better; compare equal numbers of images")]
        }
        Metric::Kid => {
            let subsets = match protocol {
                Protocol::TorchFidelity => Subsets::TORCH_FIDELITY,
                Protocol::Clean | Protocol::Pytorch => Subsets::keyed(seed),
            };
            let kid = kid(fakes, reals, subsets)?;
            let interval = kid_interval(fakes, reals, kid.mean(), seed).ok();
            vec![row("KID", kid.mean(), interval, 6, "lower is better; may fall below 0")]
        }
        _ => {
            let found = precision_recall(fakes, reals, NEIGHBOURS)?;
            let numbers =
                |inside: &[bool]| inside.iter().map(|inside| f64::from(u8::from(*inside))).collect::<Vec<_>>();
            let interval = |inside: &[bool]| mean_interval(&numbers(inside), seed);
            let (generated, real) = (interval(&found.generated_inside), interval(&found.real_inside));
            vec![
                row("precision", found.precision(), generated, 4, "share of fakes among the real images"),
                row("recall", found.recall(), real, 4, "share of real images among the fakes"),
            ]
        }
    })
}

fn warnings_of_sets(metrics: &[Metric], sets: [&ImageSet; 2]) -> Vec<String> {
    let mut warnings = Vec::new();
    let fewest = sets.map(|set| set.images).into_iter().min().unwrap_or(0);
    if metrics.contains(&Metric::Fid) && fewest < FEW_FOR_FID {
        warnings.push(format!(
            "FID of {fewest} images: below {FEW_FOR_FID} it is biased upwards, by about 1/n; compare it only with FIDs of as many images, or use KID"
        ));
    }
    for set in sets {
        let jpegs: usize = ["jpg", "jpeg", "jpe", "jfif"].iter().filter_map(|format| set.formats.get(*format)).sum();
        if jpegs > 0 {
            warnings.push(format!(
                "{}: {jpegs} of {} images are JPEG: what its compression leaves is part of FID, KID, precision and recall; PNG on both sides avoids that",
                set.source, set.images
            ));
        }
    }
    warnings
}

fn set(set: &ImageSet) -> Value {
    json!({ "source": set.source, "images": set.images, "formats": set.formats, "sizes": set.sizes })
}

//! What a file says of itself.

use super::OnnxOptions;
use super::graph::Precision;
use crate::Result;
use crate::digest::digest_of;
use crate::subject::Subject;
use gan_nets::Network;
use gan_translate::{InputKind, OutputKind};

/// What a file says of itsubject.
pub(super) fn of(subject: &Subject, options: &OnnxOptions, size: (usize, usize)) -> Result<Vec<(String, String)>> {
    let generator = matches!(subject.network, Network::Generator(_));
    let model = subject.model.as_ref().filter(|_| generator);
    let image = |labels: &str| match model.map(|model| (&model.input, model.output)) {
        Some((InputKind::Labels { .. }, _)) => labels.to_owned(),
        Some((InputKind::Lightness, OutputKind::Colour)) if !options.preprocessing => {
            "lightness L of Lab, L / 50 - 1".to_owned()
        }
        _ if options.preprocessing => "levels 0 to 255, RGB".to_owned(),
        _ => "[-1, 1], RGB".to_owned(),
    };
    let labels = if options.preprocessing { "label ids" } else { "one-hot planes of labels, 0 or 1" };
    let mut input = image(labels);
    if let Some(model) = model {
        let edges = if options.preprocessing { ", instance ids" } else { ", then edges of instances, 0 or 1" };
        input += if model.instances { edges } else { "" };
        input += if model.encoder.is_some() { ", then features in [-1, 1]" } else { "" };
    }
    let output = match (&subject.network, model.map(|model| model.output)) {
        (Network::Generator(_), Some(OutputKind::Colour)) if !options.preprocessing => "a and b of Lab, divided by 110",
        (Network::Generator(_), _) if options.preprocessing => "levels 0 to 255, RGB",
        (Network::Generator(_), _) => "[-1, 1], RGB",
        (Network::Encoder(_), _) => "[-1, 1]",
        _ => "scores, unbounded",
    };
    let statistics = match subject.has_batch_norm() {
        true if options.running_statistics => Some("running"),
        true => Some("those of each image"),
        false => None,
    };
    let precision = match options.precision {
        Precision::F32 => "f32",
        Precision::F16 => "f16",
    };
    let method = subject.model.as_ref().map(|model| model.method.clone()).filter(|method| !method.is_empty());
    let entries = [
        ("method", method),
        ("network", Some(subject.name.clone())),
        ("architecture", Some(subject.network.to_string())),
        ("step", subject.step.map(|step| step.to_string())),
        ("input", Some(input)),
        ("output", Some(output.to_owned())),
        ("size", Some(format!("{}x{} (height x width)", size.0, size.1)).filter(|_| !options.dynamic)),
        ("size_multiple", Some(subject.size_multiple().to_string())),
        ("smallest_side", Some(subject.smallest_side().to_string())),
        ("batch_norm_statistics", statistics.map(str::to_owned)),
        ("precision", Some(precision.to_owned())),
        ("weights_sha256", Some(digest_of(&subject.state)?)),
        ("licence", options.licence.clone()),
    ];
    Ok(entries.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect())
}

//! What the `[validation]` table cannot ask for.

use super::ValidationConfig;
use super::metric::{Compares, METRICS, Metric};
use crate::consistency::Contradiction;
use gan_data::{DataConfig, DataMode};
use gan_translate::{ModelConfig, OutputKind};

/// What metrics can be given for this data and this model; the first is what tells most.
pub(super) fn possible(data: &DataConfig, model: &ModelConfig) -> Vec<Compares> {
    let unpaired = matches!(data.mode, DataMode::Unaligned | DataMode::Unpaired | DataMode::Single);
    let targets = (!unpaired).then_some(Compares::Targets);
    let cycles = (model.generators.len() > 1).then_some(Compares::Cycles);
    targets.into_iter().chain(cycles).chain([Compares::Domains]).collect()
}

/// All that contradicts the table itself, the data or the model.
pub(crate) fn contradictions(
    validation: &ValidationConfig,
    data: &DataConfig,
    model: impl FnOnce() -> ModelConfig,
) -> Vec<Contradiction> {
    let mut found = Vec::new();
    let mut say = |what: String, remedies: &[&[&str]]| found.push(Contradiction::new(what, remedies));
    let all = || METRICS.iter().map(|metric| metric.name).collect::<Vec<_>>().join(", ");
    for name in validation.metrics.iter().filter(|name| Metric::find(name).is_none()) {
        say(format!("validation.metrics: there is no metric `{name}`; the metrics are {}", all()), &[]);
    }
    let best = &validation.best;
    if !best.is_empty() && Metric::find(best).is_none() {
        say(format!("validation.best: there is no metric `{best}`; the metrics are {}", all()), &[]);
    }
    if !validation.is_on() || !found.is_empty() {
        return found;
    }
    let mut say = |what: String, remedies: &[&[&str]]| found.push(Contradiction::new(what, remedies));
    let off: &[&str] = &["validation.every = 0"];
    let model = model();
    let possible = possible(data, &model);
    let measured = validation.measured(&possible);
    for metric in measured.iter().filter(|metric| !possible.contains(&metric.compares)) {
        let what = match metric.compares {
            Compares::Cycles => format!("the metric {} needs generators of both directions", metric.name),
            _ => {
                let mode = data.mode.name();
                format!("the metric {} compares with targets, and data.mode = \"{mode}\" has none", metric.name)
            }
        };
        say(what, &[&["validation.metrics = []"]]);
    }
    if measured.is_empty() {
        let what = format!("validation needs a metric, and none is measured of {} by itself", model.method);
        say(what, &[off]);
    } else if validation.deciding(&measured).is_none() {
        let what = format!("validation.best = \"{best}\" is none of the metrics that are measured");
        let names: Vec<_> = measured.iter().map(|metric| metric.name).collect();
        say(what, &[&[&format!("validation.best = \"{}\"", names[0])]]);
    }
    if validation.split == data.phase {
        let what = format!("validation.split = \"{}\" is the part that is trained on", data.phase);
        say(what, &[&["validation.split = \"val\""], off]);
    }
    let wide = model.generators.iter().map(|generator| generator.config.output_nc).find(|nc| !(1..=4).contains(nc));
    if let Some(channels) = wide.filter(|_| model.output == OutputKind::Image) {
        let what = format!("validation measures images of 1 to 4 channels, and the generator makes {channels}");
        say(what, &[off]);
    }
    found
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use crate::METHODS;
    use crate::config::ConfigSource;

    fn refused(method: &str, settings: &[&str]) -> String {
        let method = crate::find(METHODS, method).unwrap();
        let own = settings.iter().map(|setting| ConfigSource::Setting((*setting).to_owned()));
        (method.resolve)(&own.collect::<Vec<_>>()).err().map(|error| error.to_string()).unwrap_or_default()
    }

    #[test]
    fn metrics_suit_the_data_and_the_model() {
        let on = "validation.every=1";
        for method in METHODS {
            assert_eq!(refused(method.name, &[on]), "", "{}", method.name);
        }
        assert_eq!(refused("cyclegan", &[on, "validation.metrics=[\"cycle_l1\"]", "validation.best=cycle_l1"]), "");
        // With pairs, CycleGAN can be held against them.
        assert_eq!(refused("cyclegan", &[on, "data.mode=aligned", "validation.best=psnr"]), "");
        assert!(refused("cyclegan", &[on, "validation.metrics=[\"l1\"]"]).contains("\"unaligned\" has none"));
        assert!(
            refused("pix2pix", &[on, "validation.metrics=[\"cycle_l1\"]"]).contains("generators of both directions")
        );
    }

    #[test]
    fn names_are_checked_also_while_it_is_off() {
        let unknown = refused("pix2pix", &["validation.metrics=[\"l1\", \"sharpness\"]"]);
        assert!(unknown.contains("no metric `sharpness`; the metrics are l1, psnr, "), "{unknown}");
        assert!(refused("pix2pix", &["validation.best=l2"]).contains("validation.best: there is no metric `l2`"));
        let other = refused("pix2pix", &["validation.every=1", "validation.metrics=[\"l1\"]", "validation.best=psnr"]);
        assert!(other.contains("is none of the metrics") && other.contains("use validation.best = \"l1\""), "{other}");
        assert!(refused("pix2pix", &["validation.every=1", "split=train"]).contains("trained on"));
        assert!(refused("pix2pix", &["validation.limit=1000000000000000000"]).contains("out of range"));
        let wide = refused("pix2pix", &["validation.every=1", "generator.output_nc=5"]);
        assert!(wide.contains("and the generator makes 5"), "{wide}");
    }
}

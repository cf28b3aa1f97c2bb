//! Numbers that are not finite, put in at every place of a training step of every method, under every policy: nothing is
//! updated with them, no checkpoint holds them, and the run goes on as the policy says.
#![allow(clippy::unwrap_used)]

use crate::checkpoint::{Snapshot, load, load_latest};
use crate::config::{ConfigSource, Ranged, Tables};
use crate::consistency::{Contradiction, Network};
use crate::events::Finish;
use crate::methods::{cut, cyclegan, pix2pix, pix2pixhd};
use crate::storage::Disk;
use crate::validation::ValidationConfig;
use crate::{
    DeviceConfig, Error, Job, Losses, Method, MethodConfig, MethodSpec, MethodState, Outcome, Panels, Result, Single,
    StepContext, TrainConfig, resume_config, train,
};
use candle_core::{DType, Tensor};
use gan_data::{Batch, DataConfig};
use gan_layers::Missing;
use gan_translate::ModelConfig;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::{Arc, Mutex};

/// Where a number that is not finite comes up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// An image of the batch.
    Input,
    /// A weight of a generator.
    GeneratorWeight,
    /// A weight of a discriminator.
    DiscriminatorWeight,
    /// Within a generator, from finite images and weights.
    Activation,
    /// A gradient of a generator, from finite losses.
    Gradient,
    /// A loss, with finite gradients.
    Loss,
}

use Place::{Activation, DiscriminatorWeight, GeneratorWeight, Gradient, Input, Loss};

const PLACES: [Place; 6] = [Input, GeneratorWeight, DiscriminatorWeight, Activation, Gradient, Loss];

/// What is put in once, in the run with this seed.
struct Injection {
    seed: u64,
    place: Place,
    value: f64,
}

static INJECTIONS: Mutex<Vec<Injection>> = Mutex::new(Vec::new());

/// Batches before the one that is spoilt; the checkpoint before it is of step 4.
const AT: u64 = 4;
/// Steps of a run.
const TOTAL: u64 = 12;

/// A method, one step of which is spoilt.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
struct Injected<C>(C);

impl<C: Ranged> Ranged for Injected<C> {
    const TABLES: Tables = C::TABLES;
}

impl<C: MethodConfig + Serialize> MethodConfig for Injected<C> {
    fn train(&self) -> &TrainConfig {
        self.0.train()
    }

    fn data(&self) -> DataConfig {
        self.0.data()
    }

    fn validation(&self) -> ValidationConfig {
        self.0.validation()
    }

    fn networks(&self) -> Vec<Box<dyn Network>> {
        self.0.networks()
    }

    fn contradictions(&self) -> Vec<Contradiction> {
        self.0.contradictions()
    }

    fn model(&self) -> ModelConfig {
        self.0.model()
    }

    fn build(&self, device_config: &DeviceConfig) -> Result<Box<dyn Method>> {
        Ok(Box::new(InjectedMethod(self.0.build(device_config)?)))
    }
}

struct InjectedMethod(Box<dyn Method>);

impl InjectedMethod {
    /// Changes the first weight of the first network of an optimizer.
    fn spoil(&mut self, optimizer: &str, change: impl Fn(&Tensor) -> candle_core::Result<Tensor>) -> Result<()> {
        let optimizers = self.0.state().optimizers;
        let (_, optimizer, networks) = optimizers.into_iter().find(|(name, ..)| *name == optimizer).unwrap();
        let prefix = format!("{}.", networks[0]);
        let mut tensors = optimizer.store().state_dict(&prefix)?;
        let first = tensors.iter_mut().find(|(name, _)| name.ends_with(".weight")).unwrap();
        first.1 = change(&first.1)?;
        optimizer.store().load(&prefix, &tensors, Missing::Refuse)?;
        Ok(())
    }

    /// A step whose gradients of the generators are spoilt after all losses were computed.
    fn step_with_bad_gradient(&mut self, batch: &Batch, cx: &StepContext, value: f64) -> Result<Losses> {
        let mut all = Losses::new();
        for pass in 0..self.0.passes().unwrap() {
            self.0.state().optimizers.into_iter().for_each(|(_, optimizer, _)| optimizer.gather(1.0));
            all.extend(self.0.pass(pass, batch, cx)?);
            for (name, optimizer, _) in self.0.state().optimizers {
                optimizer.update_gathered(if name == "g" { value } else { 1.0 })?;
            }
        }
        Ok(all)
    }
}

impl Method for InjectedMethod {
    fn step(&mut self, batch: &Batch, cx: &StepContext) -> Result<Losses> {
        let mut injections = INJECTIONS.lock().unwrap();
        let due = injections.iter().position(|injection| injection.seed == cx.seed && cx.step == AT);
        let due = due.map(|at| injections.swap_remove(at));
        drop(injections);
        let Some(Injection { place, value, .. }) = due else { return self.0.step(batch, cx) };
        let filled = |t: &Tensor, value: f64| Tensor::full(value as f32, t.dims(), t.device());
        match place {
            Input => {
                let mut batch = batch.clone();
                batch.b = Some(filled(batch.b.as_ref().unwrap(), value)?);
                self.0.step(&batch, cx)
            }
            GeneratorWeight => {
                self.spoil("g", |t| filled(t, value))?;
                self.0.step(batch, cx)
            }
            DiscriminatorWeight => {
                self.spoil("d", |t| filled(t, value))?;
                self.0.step(batch, cx)
            }
            Activation => {
                self.spoil("g", |t| filled(t, f64::from(f32::MAX)))?;
                self.0.step(batch, cx)
            }
            Gradient => self.step_with_bad_gradient(batch, cx, value),
            Loss => {
                let mut losses = self.0.step(batch, cx)?;
                losses[0].1 = (&losses[0].1 * value)?;
                Ok(losses)
            }
        }
    }

    fn passes(&self) -> Option<usize> {
        self.0.passes()
    }

    fn pass(&mut self, pass: usize, batch: &Batch, cx: &StepContext) -> Result<Losses> {
        self.0.pass(pass, batch, cx)
    }

    fn preview(&self, batch: &Batch) -> Result<Panels> {
        self.0.preview(batch)
    }

    fn state(&mut self) -> MethodState<'_> {
        self.0.state()
    }
}

/// Two epochs of four images at the full rate and one of decay, with a checkpoint every other step and a log point every
/// fifth, which none of them is. Instance norms keep no statistics that would stay spoilt.
macro_rules! spec {
    ($config:ty, $name:literal, $($own:literal),*) => {
        MethodSpec::new::<Injected<$config>>($name, "one step of which is spoilt", &[
            $($own,)* "ngf=4", "ndf=4", "crop_size=32", "n_epochs=2", "n_epochs_decay=1", "max_dataset_size=4",
            "workers=0", "print_freq=5", "display_freq=0", "save_latest_freq=2", "save_minutes=0", "save_epoch_freq=0",
            "keep=0", "ema=0.9", "nonfinite_limit=2",
        ])
    };
}

static SPECS: [MethodSpec; 4] = [
    spec!(
        pix2pix::Config,
        "pix2pix-spoilt",
        "data.mode=facades",
        "load_size=36",
        "generator.arch=unet",
        "generator.num_downs=5",
        "generator.norm=instance",
        "discriminator.norm=instance"
    ),
    spec!(
        pix2pixhd::Config,
        "pix2pixhd-spoilt",
        "data.mode=streets",
        "label_nc=16",
        "load_size=64",
        "generator.arch=local",
        "n_downsample_global=2",
        "n_blocks_global=1",
        "n_blocks_local=1",
        "num_d=2",
        "perceptual=none"
    ),
    spec!(
        cyclegan::Config,
        "cyclegan-spoilt",
        "data.mode=unpaired",
        "load_size=36",
        "generator.arch=resnet",
        "generator.n_blocks=1",
        "pool_size=3"
    ),
    spec!(
        cut::Config,
        "cut-spoilt",
        "data.mode=unpaired",
        "load_size=36",
        "generator.arch=resnet",
        "generator.n_blocks=1",
        "netf_nc=8",
        "num_patches=16"
    ),
];

fn config(spec: &'static MethodSpec, seed: u64, policy: &str) -> Box<dyn MethodConfig> {
    let own = [format!("seed={seed}"), format!("on_nonfinite={policy}")];
    let all = spec.smoke_overrides.iter().map(ToString::to_string).chain(own);
    (spec.resolve)(&all.map(ConfigSource::Setting).collect::<Vec<_>>()).unwrap()
}

fn go(spec: &'static MethodSpec, run: &Path, config: Box<dyn MethodConfig>, resume: bool) -> Result<Outcome> {
    train(Job {
        method: spec,
        config,
        dataset: None,
        run: run.to_path_buf(),
        resume,
        device_config: DeviceConfig::cpu(),
        argv: Vec::new(),
        version: "test".into(),
        revision: None,
        stop: Arc::default(),
        observers: Vec::new(),
        ranks: Arc::new(Single),
    })
}

fn resume(spec: &'static MethodSpec, run: &Path) -> Result<Outcome> {
    let config = resume_config(run, spec, |saved| (spec.resolve)(&[ConfigSource::saved(saved)?])).unwrap();
    go(spec, run, config, true)
}

/// The bits of all tensors of a checkpoint, by name.
fn content(snapshot: &Snapshot) -> Vec<(String, Vec<u64>)> {
    let bits = |t: &Tensor| -> Vec<u64> {
        let exact = t.flatten_all().unwrap().to_dtype(DType::F64).unwrap().to_vec1::<f64>().unwrap();
        exact.into_iter().map(f64::to_bits).collect()
    };
    let files = snapshot.tensors.iter();
    files.flat_map(|(file, tensors)| tensors.iter().map(move |(name, t)| (format!("{file}/{name}"), bits(t)))).collect()
}

/// Steps of the checkpoints, all of which are finite in every number; those before the injection are the ones of `whole`.
#[track_caller]
fn check_checkpoints(what: &str, run: &Path, whole: Option<&Path>) -> Vec<u64> {
    let names = std::fs::read_dir(run.join("checkpoints")).unwrap().map(|entry| entry.unwrap().file_name());
    let mut steps: Vec<u64> = names.filter_map(|name| name.to_str()?.parse().ok()).collect();
    steps.sort_unstable();
    for step in &steps {
        let folder = |run: &Path| run.join("checkpoints").join(step.to_string());
        let have = content(&load(&Disk, &folder(run)).unwrap().snapshot);
        for (name, bits) in &have {
            assert!(bits.iter().all(|bits| f64::from_bits(*bits).is_finite()), "{what}: step {step}: {name}");
        }
        if let Some(whole) = whole.filter(|_| *step <= AT) {
            assert!(have == content(&load(&Disk, &folder(whole)).unwrap().snapshot), "{what}: step {step}");
        }
    }
    steps
}

fn newest(run: &Path) -> Snapshot {
    load_latest(&Disk, run, None).unwrap().snapshot
}

/// One run whose fifth step is spoilt. `whole` is the run with the same seed that is not.
fn check(spec: &'static MethodSpec, place: Place, value: f64, policy: &str, seed: u64, run: &Path, whole: &Path) {
    let what = format!("{}, {place:?}, {value}, {policy}", spec.name);
    INJECTIONS.lock().unwrap().push(Injection { seed, place, value });
    let outcome = go(spec, run, config(spec, seed, policy), false);
    assert!(INJECTIONS.lock().unwrap().iter().all(|left| left.seed != seed), "{what}: nothing was spoilt");
    let steps = check_checkpoints(&what, run, Some(whole));
    let complete = |outcome: Result<Outcome>| {
        let outcome = outcome.unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!((outcome.finish, outcome.step), (Finish::Complete, TOTAL), "{what}");
    };
    // Only weights stay what they are; the rest is over with the step.
    let lasting = matches!(place, GeneratorWeight | DiscriminatorWeight | Activation);
    match policy {
        "skip" if !lasting => {
            complete(outcome);
            let skipped = |name: &str| newest(run).state["optimizers"][name]["skipped"]["total"].as_u64();
            match place {
                Gradient => assert_eq!((skipped("g"), skipped("d")), (Some(1), None), "{what}"),
                Loss => assert_eq!((skipped("g"), skipped("d")), (None, None), "{what}"),
                _ => assert!(skipped("g") == Some(1) || skipped("d") == Some(1), "{what}"),
            }
        }
        "rewind" => {
            complete(outcome);
            assert_eq!(newest(run).state["rewinds"], 1, "{what}");
            let events = std::fs::read_to_string(run.join("events.jsonl")).unwrap();
            let rewound: Vec<_> = events.lines().filter(|line| line.contains("\"event\":\"rewound\"")).collect();
            assert_eq!(rewound.len(), 1, "{what}");
            assert!(rewound[0].contains(named(place)), "{what}: {rewound:?}");
        }
        _ => {
            let Err(Error::Diverged { what: named_there, .. }) = outcome else { panic!("{what}: {outcome:?}") };
            assert!(policy == "skip" || named_there.contains(named(place)), "{what}: {named_there}");
            assert!(steps.contains(&AT), "{what}: {steps:?}");
            if policy == "stop" {
                assert_eq!(steps.last(), Some(&AT), "{what}");
                // What was put in does not come again: the checkpoint before it leads to the run without it.
                complete(resume(spec, run));
                assert!(content(&newest(run)) == content(&newest(whole)), "{what}");
            }
        }
    }
    check_checkpoints(&what, run, None);
}

/// What the message names.
fn named(place: Place) -> &'static str {
    match place {
        Loss => "the loss ",
        Gradient => "the gradient of g",
        _ => "the gradient of ",
    }
}

/// All places and policies for one method.
fn check_all(spec: &'static MethodSpec, seed: u64) -> usize {
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole");
    // The policy shows only where there is something to decide.
    go(spec, &whole, config(spec, seed, "stop"), false).unwrap();
    let mut count = 0;
    for place in PLACES {
        for policy in ["stop", "skip", "rewind"] {
            let value = if count % 2 == 0 { f64::NAN } else { f64::INFINITY };
            let run = folder.path().join(format!("run-{count}"));
            check(spec, place, value, policy, seed, &run, &whole);
            std::fs::remove_dir_all(&run).unwrap();
            count += 1;
        }
    }
    count
}

#[test]
fn what_is_not_finite_is_kept_out_of_weights_and_checkpoints() {
    let count: usize = std::thread::scope(|scope| {
        let threads: Vec<_> =
            SPECS.iter().zip(9000..).map(|(spec, seed)| scope.spawn(move || check_all(spec, seed))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(count, 72);
}

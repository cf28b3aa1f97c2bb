//! What can go wrong while training, with the path, the reason and a remedy.

use gan_layers::UpdateError;
use gan_weights::checkpoint;
use std::io;
use std::path::{Path, PathBuf};

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of training, of run folders or of checkpoints.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder of a run or a checkpoint is missing, damaged or refused by the file system.
    #[error(transparent)]
    Files(#[from] checkpoint::Error),
    /// A tensor holds NaN or infinity, so no checkpoint is written.
    #[error(
        "no checkpoint written: `{tensor}` of {file} holds {value} at element {index}; resume from an older checkpoint, perhaps with a lower learning rate"
    )]
    NonFinite {
        /// The file the tensor belongs to.
        file: String,
        /// The tensor's name.
        tensor: String,
        /// Position of the first bad value in the flattened tensor.
        index: usize,
        /// The bad value.
        value: f64,
    },
    /// A snapshot cannot be written as it is: a name or an element type the format does not have.
    #[error("this state cannot be saved: {reason}")]
    Unsavable {
        /// What is wrong with it.
        reason: String,
    },
    /// Training takes more memory than there is.
    #[error(
        "training takes about {} MiB of memory by the shapes of its networks{}, and {} MiB are at hand",
        needed >> 20,
        if checkpointed < needed { format!(" ({} MiB with train.checkpointing)", checkpointed >> 20) } else { String::new() },
        available >> 20
    )]
    TooLittleMemory {
        /// Bytes that it takes, about.
        needed: u64,
        /// The same with the activations of residual blocks computed again.
        checkpointed: u64,
        /// Bytes that are at hand.
        available: u64,
    },
    /// Another process trains in this run folder.
    #[error("{} is in use by {owner}; wait until it ends, or choose another run folder", .path.display())]
    Busy {
        /// The run folder.
        path: PathBuf,
        /// The owner, `process 1234` where it is known.
        owner: String,
    },
    /// The run folder is not what was expected (it exists already, it holds no run, …).
    #[error("{}: {reason}; {remedy}", .path.display())]
    RunFolder {
        /// The folder.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
        /// What the user can do about it.
        remedy: &'static str,
    },
    /// The configuration is wrong.
    #[error("{origin}: {message}")]
    Config {
        /// Where the value comes from: `file.toml:3:7`, or ``setting `lr=x` ``.
        origin: String,
        /// What is wrong, and what would be right.
        message: String,
    },
    /// The weights that a network is to start from do not fit it.
    #[error("{network} cannot start from {}: {reason}{}", .path.display(), ways_out(.settings, *.partly))]
    InitialWeights {
        /// The network.
        network: String,
        /// The file or folder of the weights.
        path: PathBuf,
        /// What does not fit.
        reason: String,
        /// Keys, and values as TOML, of a configuration that they fit.
        settings: Vec<(String, String)>,
        /// Whether some of the tensors fit.
        partly: bool,
    },
    /// A run cannot go on with what a configuration changes.
    #[error("{}a resumed run keeps its configuration; these changes are refused:\n  {}\nstart a new run for them. What may change: {}", .file.as_ref().map_or(String::new(), |file| format!("{file}: ")), .changes.join("\n  "), .allowed.join(", "))]
    RefusedChanges {
        /// Where the changes stand, if it is a file.
        file: Option<String>,
        /// The changes, `key: before -> after`.
        changes: Vec<String>,
        /// The keys that may change.
        allowed: Vec<&'static str>,
    },
    /// A tensor has the wrong shape for what was asked.
    #[error("{what}: got {got}, expected {expected}")]
    Shape {
        /// Which tensor.
        what: String,
        /// Its shape.
        got: String,
        /// The shape expected.
        expected: &'static str,
    },
    /// An image could not be encoded.
    #[error("cannot encode {}: {reason}", .path.display())]
    Image {
        /// The file that was to be written.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// Training has left the finite numbers.
    #[error("training diverged: {what} is not finite; {way_back}, or look at the data")]
    Diverged {
        /// What is not finite.
        what: String,
        /// From where training can go on.
        way_back: WayBack,
    },
    /// The run folder is not where it was when training began.
    #[error("{} was removed or replaced while training; this run cannot be saved any more: start a new one", .path.display())]
    Vanished {
        /// The run folder.
        path: PathBuf,
    },
    /// BF16 was asked for on the CPU.
    #[error(
        "precision: bf16 needs a CUDA device: the operators for the CPU have no bf16 arithmetic; train on one, or set precision=f32 (a run may be resumed with it)"
    )]
    NoBf16,
    /// There is no such device.
    #[error(transparent)]
    Device(#[from] gan_kernels::device::DeviceError),
    /// A metric of validation cannot be computed.
    #[error(transparent)]
    Metrics(Box<gan_metrics::Error>),
    /// A trained model cannot be opened or used.
    #[error(transparent)]
    Translate(Box<gan_translate::Error>),
    /// The data cannot be used.
    #[error(transparent)]
    Data(#[from] gan_data::Error),
    /// A loss cannot be used.
    #[error(transparent)]
    Loss(#[from] gan_losses::Error),
    /// The ranks of a run do not understand one another.
    #[error(transparent)]
    Ranks(#[from] gan_comm::Error),
    /// Another rank cannot go on.
    #[error("rank {rank} cannot go on; the reason is in its own message")]
    Elsewhere {
        /// The rank.
        rank: usize,
    },
    /// A tensor operation failed.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
}

impl From<gan_translate::Error> for Error {
    fn from(error: gan_translate::Error) -> Self {
        Error::Translate(Box::new(error))
    }
}

impl From<gan_metrics::Error> for Error {
    fn from(error: gan_metrics::Error) -> Self {
        Error::Metrics(Box::new(error))
    }
}

impl From<UpdateError> for Error {
    fn from(error: UpdateError) -> Self {
        Error::of_update(error, |_| String::new())
    }
}

/// What helps where initial weights do not fit.
fn ways_out(settings: &[(String, String)], partly: bool) -> String {
    let settings: Vec<String> = settings.iter().map(|(key, value)| format!("{key} = {value}")).collect();
    let alike = (!settings.is_empty()).then(|| format!("; they fit with {}", settings.join(" and ")));
    let rest = partly
        .then_some("; train.init_partial = true takes the tensors that fit and keeps fresh values for the others");
    alike.unwrap_or_default() + rest.unwrap_or_default()
}

/// From where a run that diverged can go on.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum WayBack {
    /// Not known here; the trainer, which knows the run folder, fills it in.
    Unknown,
    /// No checkpoint was written.
    Nothing,
    /// Checkpoints are there, but training on from them diverges again.
    Useless,
    /// The checkpoint of this step. Newer ones are of no use.
    Step {
        /// The step.
        step: u64,
        /// Steps of the newer checkpoints, which would be resumed from as long as they are there.
        newer: Vec<u64>,
    },
}

impl std::fmt::Display for WayBack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            WayBack::Unknown => f.write_str("train with a lower learning rate"),
            WayBack::Nothing => f.write_str(
                "there is no checkpoint written before it: start anew in another folder with a lower learning rate",
            ),
            WayBack::Useless => f.write_str(
                "the checkpoints that are kept hold weights beyond repair: start anew in another folder with a lower learning rate",
            ),
            WayBack::Step { step, newer } if newer.is_empty() => {
                write!(f, "the checkpoint of step {step} is kept: resume from it with a lower learning rate")
            }
            WayBack::Step { step, newer } => {
                let newer: Vec<_> = newer.iter().map(|step| format!("checkpoints/{step}")).collect();
                write!(
                    f,
                    "the checkpoint of step {step} is kept, newer ones are beyond repair: delete {} and resume with a lower learning rate",
                    newer.join(", ")
                )
            }
        }
    }
}

impl Error {
    /// An I/O error on `path`, with a remedy chosen by its kind.
    pub(crate) fn io(action: &'static str, path: &Path, reason: io::Error) -> Self {
        checkpoint::Error::io(action, path, reason).into()
    }

    /// What an optimizer says; `when` tells from the number of updates in question when it was.
    pub(crate) fn of_update(error: UpdateError, when: impl FnOnce(u64) -> String) -> Self {
        match error {
            UpdateError::NonFinite { parameter, updates } => {
                let parameter = parameter.map_or("a gradient".into(), |name| format!("the gradient of {name}"));
                Error::Diverged { what: parameter + &when(updates), way_back: WayBack::Unknown }
            }
            UpdateError::Skipped { run, .. } => {
                let what = format!("a gradient in each of {run} updates in a row (train.nonfinite_limit)");
                Error::Diverged { what, way_back: WayBack::Unknown }
            }
            UpdateError::Tensor(error) => error.into(),
            other => candle_core::Error::Msg(other.to_string()).into(),
        }
    }

    /// Says of a failed tensor operation where it happened: its own words are about shapes inside of a network.
    pub(crate) fn in_step(self, step: u64, batch: &gan_data::Batch) -> Self {
        match self {
            Error::Tensor(error) => {
                let shape = batch.a.dims();
                Error::Tensor(error.context(format!("training step {step} failed on an input of shape {shape:?}")))
            }
            other => other,
        }
    }

    /// The same for a held-out image.
    pub(crate) fn in_validation(self, batch: &gan_data::Batch) -> Self {
        match self {
            Error::Tensor(error) => {
                let (names, shape) = (batch.names.join(", "), batch.a.dims());
                Error::Tensor(error.context(format!("validation failed on {names}, of shape {shape:?}")))
            }
            other => other,
        }
    }

    /// A damaged file of a checkpoint or a run.
    pub(crate) fn damaged(path: &Path, reason: impl Into<String>) -> Self {
        checkpoint::Error::damaged(path, reason).into()
    }
}

/// Why a step cannot be captured.
pub(crate) fn not_captured(why: &str) -> Error {
    candle_core::Error::Msg(why.to_owned()).into()
}

/// The first line of a tensor library's message; what may follow is where it was raised.
pub(crate) fn first_line(error: &impl std::fmt::Display) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}

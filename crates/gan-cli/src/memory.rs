//! What helps a command that runs out of memory.

use crate::args::Command;
use std::sync::OnceLock;

static REMEDY: OnceLock<&'static str> = OnceLock::new();

/// Notes which command runs; the first call counts.
pub(crate) fn prepare(command: &Command) {
    let remedy = match command {
        Command::Train(_) | Command::Demo(_) => {
            "lower batch_size (train.accumulate makes up for it), load_size and crop_size, or give --set train.checkpointing=true"
        }
        Command::Translate(_) => {
            "give a lower --max-memory, or use smaller images, for example by --preprocess scale_width --load-size 512"
        }
        Command::Bench(_) => "lower --size and --batch",
        Command::EncodeFeatures(_) | Command::Evaluate(_) | Command::Dataset(_) => "use smaller images",
        Command::Convert(_) | Command::Summary(_) | Command::Completions(_) => return,
    };
    let _ = REMEDY.set(remedy);
}

/// What lets the running command do with less memory, as a clause.
pub(crate) fn remedy() -> Option<&'static str> {
    REMEDY.get().copied()
}

//! What helps a command that runs out of memory.

use crate::allocator;
use crate::args::Command;

/// Sets what the program recommends should the memory not suffice for this command.
pub(crate) fn prepare(command: &Command) {
    allocator::set_remedy(match command {
        Command::Train(_) | Command::Demo(_) => {
            "lower batch_size, load_size and crop_size, or set train.checkpointing=true"
        }
        Command::Translate(_) => "use smaller images, for example by --preprocess scale_width --load-size 512",
        Command::Bench(_) => "lower --size and --batch",
        Command::EncodeFeatures(_) | Command::Dataset(_) => "use smaller images, or RAYON_NUM_THREADS=1",
        Command::Convert(_) | Command::Summary(_) | Command::Completions(_) => return,
    });
}

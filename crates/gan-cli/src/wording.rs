//! Errors of gan-translate in the words of the command line: what to do about each by which option.

use crate::commands::model_folder::instead;
use crate::exit::{BAD_DATA, BAD_MODEL, Coded, DEVICE, USAGE};
use crate::memory;
use gan_translate::{Error, ScratchSpace};

/// The same error, with the option that helps where there is one.
pub(crate) fn worded(error: Error) -> anyhow::Error {
    let (code, message) = match error {
        Error::NoModel { path, elsewhere } => (BAD_MODEL, instead(&path, &elsewhere)),
        Error::NoAverage { path } => (
            BAD_MODEL,
            format!(
                "{} holds no moving average of its weights: leave --weights out, or train with --set train.ema=0.999",
                path.display()
            ),
        ),
        Error::NoBf16 => (
            BAD_MODEL,
            "--precision bf16 needs a CUDA device: the operators for the CPU have no bf16 arithmetic; add --device cuda, or leave --precision out".into(),
        ),
        Error::NeedsInstances => {
            (BAD_MODEL, "this model was trained with instance maps: name them with --inst".into())
        }
        Error::NoEncoder => (
            BAD_MODEL,
            "this model has no styles: they need an instance feature encoder (pix2pixhd trained with encoder.instance_feat=true)".into(),
        ),
        Error::NoStyles { model, features } => (
            BAD_MODEL,
            format!(
                "{}: there are no styles to draw from yet; find them with `gan-cli encode-features --model {}`, or lend the style of an image with --encode",
                features.display(),
                model.display()
            ),
        ),
        Error::BadStyles { path, reason } => (
            BAD_MODEL,
            format!("{} is refused: {reason}; write it anew with `gan-cli encode-features`", path.display()),
        ),
        Error::BadStatistics { path, reason } => (
            BAD_MODEL,
            format!("{} is refused: {reason}; delete it, and --statistics gathers it anew", path.display()),
        ),
        Error::OtherStatistics => (
            BAD_MODEL,
            "the file of --statistics was gathered with another model, or with other weights of this one; name another file, which is gathered anew"
                .into(),
        ),
        Error::NoOwnStatistics => (
            USAGE,
            "this model does not normalize images by their own statistics: it looks the same for all of them; leave --statistics out".into(),
        ),
        Error::Labels { path, input_nc, label_nc, instances } => {
            let (edges, or) =
                if instances { (" and the edges of instances", " or --no-instance") } else { ("", "") };
            (
                BAD_MODEL,
                format!(
                    "{} takes {input_nc} channels, which {label_nc} labels{edges} do not make; give --label-nc{or} as in training. (Generators with instance features are translated from their run only.)",
                    path.display()
                ),
            )
        }
        Error::SeveralNetworks { path, networks } => {
            let first = networks.first().map_or("NAME", |(entry, _)| entry.as_str()).to_owned();
            let all: Vec<_> = networks.into_iter().map(|(entry, network)| format!("\n  {entry}: {network}")).collect();
            (
                BAD_MODEL,
                format!("{} holds several networks: name one, for example --entry {first}{}", path.display(), all.concat()),
            )
        }
        Error::Keys { path, source } => {
            (BAD_MODEL, format!("{}: {source}; correct the file of --keys", path.display()))
        }
        Error::TooManyChannels { model, output, channels } => (
            USAGE,
            format!(
                "{} makes {channels} channels, which {} does not hold; add --format tiff (a grey page each), npy or planes, or name a file \
                 that ends like one of them",
                model.display(),
                output.display()
            ),
        ),
        Error::TooSmall { size: (w, h), smallest } => (
            BAD_DATA,
            format!(
                "it is {w}x{h} after --preprocess, but this model takes {smallest}x{smallest} and larger; raise --load-size and --crop-size, or leave --preprocess out: then every size goes"
            ),
        ),
        Error::NotMultiple { size: (w, h), multiple } => (
            BAD_DATA,
            format!(
                "it is {w}x{h} after --preprocess, but this model takes multiples of {multiple}; choose --load-size and --crop-size to suit, or leave --preprocess out: then every size goes"
            ),
        ),
        Error::TooLittleMemory { least, limit } => {
            let (width, height) = least.size;
            let (memory, files) = (bytes(least.memory), bytes(least.scratch));
            let (enough, room) = (least.memory <= limit.memory, bytes(limit.scratch_bytes));
            let (smaller, takes_limit) = memory::remedy_beside_limit();
            let reason = match (enough, takes_limit) {
                (false, true) => format!("it may take {}: raise --max-memory", bytes(limit.memory)),
                (false, false) => format!("there are {}", bytes(limit.memory)),
                (true, true) if limit.scratch_bytes == 0 => "files are not used here: raise --max-memory".to_owned(),
                (true, true) => format!("{} has room for {room}: name a folder that has more with --scratch", limit.scratch),
                (true, false) => format!("{} has room for {room}", limit.scratch),
            };
            let of = if limit.of_device { "of the device's memory" } else { "of memory" };
            let there = if limit.scratch == ScratchSpace::HostMemory { "the host's memory" } else { "files" };
            (
                DEVICE,
                format!(
                    "{width}x{height} pixels need {memory} {of} and {files} of {there} at least, and {reason}, or {smaller}"
                ),
            )
        }
        other => return other.into(),
    };
    Coded(code, message).into()
}

/// A number of bytes in words: `640 MiB`, `1.5 GiB`.
pub(crate) fn bytes(count: u64) -> String {
    match count {
        n if n < 1 << 30 => format!("{} MiB", n.div_ceil(1 << 20)),
        n => format!("{:.1} GiB", n as f64 / (1u64 << 30) as f64),
    }
}

//! What to write instead of an option that does not exist here.

use crate::args::Cli;
use crate::examples::with_examples;
use crate::process;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, FromArgMatches};
use gan_train::METHODS;
use std::collections::BTreeSet;
use std::process::ExitCode;

/// Options of the reference implementations and of other trainers, without dashes, and what to write in `train`. Names
/// that are keys of the configuration need no line here.
const TRAIN: &[(&str, &str)] = &[
    ("dataroot", "name the dataset with '--data'"),
    ("name checkpoints_dir output_dir", "name the run folder with '--out'"),
    ("model", "the method is the first argument: 'gan-cli train pix2pix'"),
    ("gpu_ids gpu cuda", "use '--device cuda:0'"),
    ("netG", "use '--set generator.arch=NAME'"),
    ("netD", "use '--set discriminator.arch=NAME'"),
    ("learning_rate", "use '--lr'"),
    ("max_epochs num_epochs", "use '--epochs'"),
    ("n_epochs niter", "use '--set n_epochs=N'; '--epochs' are all epochs"),
    ("niter_decay", "use '--set n_epochs_decay=N'"),
    ("niter_fix_global", "use '--set n_epochs_fix_global=N'"),
    ("batchSize", "use '--batch-size'"),
    ("loadSize", "use '--set load_size=PIXELS', or '--size'"),
    ("fineSize image_size resolution", "use '--size', or '--set crop_size=PIXELS'"),
    (
        "continue_train epoch_count epoch load_iter which_epoch",
        "use '--resume': it knows where the run was; weights of another program are named with '--init'",
    ),
    ("pretrained finetune weights load_from init_weights", "name weights to start from with '--init g=FILE'"),
    ("no_flip", "use '--set flip=false'"),
    ("no_dropout", "use '--set generator.dropout=false'"),
    ("serial_batches", "use '--set shuffle=false'"),
    ("num_threads nThreads num_workers", "use '--set workers=N'"),
    ("dataset_mode", "use '--set data.mode=NAME'"),
    ("resize_or_crop", "use '--set preprocess=NAME'"),
    ("no_instance", "use '--set instances=false'"),
    ("no_lsgan", "use '--set gan_mode=vanilla'"),
    ("no_vgg_loss", "use '--set perceptual=none'"),
    ("no_ganFeat_loss", "use '--set feature_matching=false'"),
    ("fp16 bf16 amp", "use '--set precision=bf16' with '--device cuda'"),
    ("CUT_mode", "'gan-cli train cut' is CUT; FastCUT is its '--preset fastcut'"),
    ("netF", "use '--set head.arch=NAME'"),
    ("normG", "use '--set generator.norm=NAME'"),
    ("normD", "use '--set discriminator.norm=NAME'"),
    ("no_antialias", "use '--set generator.antialias=false' and '--set discriminator.antialias=false'"),
    ("no_antialias_up", "use '--set generator.antialias_up=false'"),
    ("save_by_iter", "use '--set keep=N': how many checkpoints stay"),
    ("verbose", "'gan-cli summary' shows the networks of a run"),
    (
        "display_id display_env display_port display_ncols update_html_freq no_html use_wandb",
        "the gallery in the run folder is always written",
    ),
];

/// The same for `translate`.
const TRANSLATE: &[(&str, &str)] = &[
    ("dataroot data", "name images and folders with '--input'"),
    ("results_dir out", "name the folder to write with '--output'"),
    ("epoch which_epoch load_iter checkpoints_dir", "name a run, a checkpoint or a weight file with '--model'"),
    ("gpu_ids gpu cuda", "use '--device cuda:0'"),
    ("model_suffix", "use '--direction' for a run; a weight file holds one direction"),
    ("netG ngf norm input_nc output_nc", "the architecture is read off the model"),
    ("no_dropout", "dropout is off unless '--dropout' asks for it"),
    ("resize_or_crop", "use '--preprocess'"),
    ("loadSize", "use '--load-size'"),
    ("fineSize size", "use '--crop-size'"),
    ("use_encoded_image", "use '--encode'"),
    ("cluster_path", "use '--style'"),
    ("num_test how_many ntest", "use '--limit'; without it all images are translated"),
];

/// Reads the command line. What clap refuses or answers by itself is printed; then the exit code comes back.
pub(crate) fn parse() -> Result<Cli, ExitCode> {
    let matches = with_examples(Cli::command()).try_get_matches();
    matches.and_then(|matches| Cli::from_arg_matches(&matches)).map_err(|mut error| {
        if error.kind() == ErrorKind::UnknownArgument {
            advise(&mut error);
        }
        // Where nobody listens, the code has to be enough.
        let _ = error.print();
        ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
    })
}

/// Replaces clap's suggestions where we know better.
fn advise(error: &mut clap::Error) {
    // No argument of ours begins with a dash, so "use '-- --x'" helps nobody.
    error.remove(ContextKind::Suggested);
    let Some(ContextValue::String(option)) = error.get(ContextKind::InvalidArg) else { return };
    let option = option.clone();
    // Every option that begins so looks like `--b` to clap.
    let letter = |value: &ContextValue| matches!(value, ContextValue::String(arg) if arg.trim_matches('-').len() == 1);
    if error.get(ContextKind::SuggestedArg).is_some_and(letter) {
        error.remove(ContextKind::SuggestedArg);
        error.remove(ContextKind::Usage);
    }
    let words = process::command_line();
    let command = command(&words);
    let tip = tip(command, &option).or_else(|| {
        // What looks alike may be what was meant.
        let alike = error.get(ContextKind::SuggestedArg).is_some();
        let any = "'--set KEY=VALUE' sets any key of the configuration";
        (!alike && ["train", "demo"].contains(&command)).then(|| any.to_owned())
    });
    if let Some(tip) = tip {
        error.remove(ContextKind::SuggestedArg);
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
    }
}

/// The subcommand that a command line calls.
fn command(words: &[String]) -> &str {
    let cli = Cli::command();
    words.iter().skip(1).map(String::as_str).find(|word| cli.find_subcommand(word).is_some()).unwrap_or_default()
}

/// What to write in `command` instead of `option`.
fn tip(command: &str, option: &str) -> Option<String> {
    let plain = |name: &str| name.trim_start_matches('-').replace('-', "_").to_lowercase();
    let wanted = plain(option);
    let table = match command {
        "train" | "demo" => TRAIN,
        "translate" => TRANSLATE,
        _ => return None,
    };
    let listed = table.iter().find(|(names, _)| names.split(' ').any(|name| plain(name) == wanted));
    if let Some((_, tip)) = listed {
        return Some((*tip).to_owned());
    }
    let keys = if command == "translate" { Vec::new() } else { keys(&wanted) };
    match &keys[..] {
        [] => None,
        [key] => Some(format!("it is a key of the configuration: use '--set {key}=VALUE'")),
        [first, ..] => {
            Some(format!("it is a key of several tables ({}): use '--set {first}=VALUE', and so on", keys.join(", ")))
        }
    }
}

/// The configuration keys of all methods that end in this name.
fn keys(name: &str) -> Vec<String> {
    let all = METHODS.iter().flat_map(|method| (method.keys)().unwrap_or_default());
    let found: BTreeSet<String> = all.map(|(key, _)| key).filter(|key| key.rsplit('.').next() == Some(name)).collect();
    found.into_iter().collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn options_of_the_references_have_an_equivalent() {
        let said = |command, option| tip(command, option).unwrap();
        assert!(said("train", "--dataroot").contains("--data"));
        assert!(said("train", "--netG").contains("generator.arch"));
        assert!(said("train", "--gpu-ids").contains("--device"));
        assert!(said("train", "--lambda_L1").contains("--set loss.lambda_l1=VALUE"));
        assert!(said("train", "--lambda_NCE").contains("--set loss.lambda_nce=VALUE"));
        assert!(said("train", "--nce_T").contains("--set loss.nce_t=VALUE"));
        assert!(said("train", "--ngf").contains("generator.ngf"));
        assert!(said("train", "--norm").contains("discriminator.norm, generator.norm"));
        assert!(said("translate", "--netG").contains("read off"));
        assert_eq!(tip("train", "--frobnicate"), None);
        assert_eq!(tip("convert", "--dataroot"), None);
    }

    /// A line about an option that exists, or twice about one, would never be seen.
    #[test]
    fn the_tables_name_only_what_does_not_exist() {
        for (command, table) in [("train", TRAIN), ("translate", TRANSLATE)] {
            let cli = Cli::command();
            let options: Vec<_> =
                cli.find_subcommand(command).unwrap().get_arguments().filter_map(|a| a.get_long()).collect();
            let mut seen = BTreeSet::new();
            for name in table.iter().flat_map(|(names, _)| names.split(' ')) {
                assert!(!options.contains(&name), "{command} has --{name}");
                assert!(seen.insert(name), "{name} twice");
            }
        }
    }
}

//! The examples below each command's `--help`.

use clap::Command;

/// A command, by its words, and lines to type.
const EXAMPLES: &[(&str, &[&str])] = &[
    ("demo", &["gan-cli demo", "gan-cli demo --set max_steps=100"]),
    (
        "train",
        &[
            "gan-cli train pix2pix --data photos/ --out runs/photos --preset edges2photo",
            "gan-cli train cyclegan --data day-night/ --out runs/night --preset horse2zebra --size 128",
            "gan-cli train pix2pix --data photos/ --out runs/photos --log tensorboard,csv --quiet",
            "gan-cli train pix2pix --a drawings/ --b photos/ --out runs/scenes --preset pairs",
            "gan-cli train --out runs/photos --resume",
        ],
    ),
    (
        "translate",
        &[
            "gan-cli translate runs/photos drawings/ photos/",
            "gan-cli translate latest_net_G.pth photo.jpg painting.png",
            "gan-cli translate runs/photos drawings/ photos/ --checkpoint best --format jpg --skip-existing",
            "gan-cli translate runs/photos drawings/ photos/ --shard 1/4",
        ],
    ),
    (
        "serve",
        &[
            "gan-cli serve runs/photos --open",
            "gan-cli serve --model runs/photos runs/streets --port 8000",
            "gan-cli serve runs/photos --host 0.0.0.0 --allow-host lab.example",
        ],
    ),
    ("watch", &["gan-cli watch runs/photos", "gan-cli watch runs/first runs/second --export compared.html"]),
    (
        "video",
        &[
            "gan-cli video day.mp4 night.mp4 --model runs/night",
            "gan-cli video day.mp4 preview.gif --model runs/night --every 5 --start 10 --duration 4",
            "gan-cli video frames/ out/ --model runs/night --steady full --statistics night.json",
            "gan-cli video - - --model runs/night > night.y4m",
        ],
    ),
    ("convert", &["gan-cli convert latest_net_G.pth g.safetensors", "gan-cli convert runs/photos g.pth --network g"]),
    (
        "export onnx",
        &[
            "gan-cli export onnx runs/photos photos.onnx --dynamic --with-preprocessing",
            "gan-cli export onnx latest_net_G.pth painter.onnx --size 512 512 --precision f16",
        ],
    ),
    ("export hub", &["gan-cli export hub runs/photos photos-model/ --licence mit --dataset facades"]),
    (
        "export web",
        &[
            "gan-cli export web runs/photos site/ --runtime onnxruntime-web-1.30.0.tgz",
            "gan-cli export web latest_net_G.pth site/ --runtime node_modules/onnxruntime-web --backend wasm",
        ],
    ),
    ("verify", &["gan-cli verify photos-model/"]),
    ("encode-features", &["gan-cli encode-features --model runs/streets --sheet styles.png"]),
    (
        "evaluate",
        &[
            "gan-cli evaluate --model runs/photos --split val",
            "gan-cli evaluate --fake out/ --real photos/test/ --metrics l1,ssim --json report.json",
            "gan-cli evaluate --model runs/photos --shard 1/4 --part parts/1.safetensors",
            "gan-cli evaluate --join parts/1.safetensors parts/2.safetensors parts/3.safetensors parts/4.safetensors",
        ],
    ),
    ("summary", &["gan-cli summary --model runs/photos --network d", "gan-cli summary latest_net_G.pth"]),
    (
        "fetch",
        &[
            "gan-cli fetch --list",
            "gan-cli fetch facades",
            "gan-cli fetch horse2zebra --accept-licence --out /data/gan",
        ],
    ),
    ("presets", &["gan-cli presets pix2pix", "gan-cli presets pix2pix facades > my.toml"]),
    ("config explain", &["gan-cli config explain lr", "gan-cli config explain generator --method cut"]),
    (
        "bench",
        &[
            "gan-cli bench",
            "gan-cli bench --case step-pix2pix --size 256 256 --runs 5",
            "gan-cli bench --case infer-unet256 --device cuda --json",
        ],
    ),
    ("completions", &["gan-cli completions bash > ~/.local/share/bash-completion/completions/gan-cli"]),
    ("man", &["gan-cli man ~/.local/share/man/man1"]),
    (
        "dataset inspect",
        &[
            "gan-cli dataset inspect photos/",
            "gan-cli dataset inspect city/ --method pix2pixhd --html city.html",
            "gan-cli dataset inspect scenes/ --labels masks --images photos --sheet sheet.png",
        ],
    ),
    (
        "dataset pairs",
        &[
            "gan-cli dataset pairs my-photos/ --kind edges --out photos/train",
            "gan-cli dataset pairs my-photos/ --left photo --right blur --size 256 --out photos/train",
        ],
    ),
    ("dataset labels", &["gan-cli dataset labels colour-maps/ --palette palette.csv --out city/train_label"]),
    ("dataset combine", &["gan-cli dataset combine drawings/ photos/ --out pairs/train"]),
    ("dataset separate", &["gan-cli dataset separate pairs/test --out held-out"]),
    (
        "dataset split",
        &[
            "gan-cli dataset split all-pairs/ --out pairs --val 0.1 --test 0.1",
            "gan-cli dataset split all-pairs/ --out pairs --count --val 20 --test 30",
        ],
    ),
    ("dataset synth", &["gan-cli dataset synth facades --out facades --size 128 --count 100"]),
];

/// The command line with its examples.
pub(crate) fn with_examples(mut cli: Command) -> Command {
    for (path, lines) in EXAMPLES {
        let text = format!("Examples:\n  {}", lines.join("\n  "));
        cli = at(cli, path, |command| {
            let more = command.get_after_long_help().map_or(String::new(), |more| format!("\n\n{more}"));
            command.after_long_help(text + &more)
        });
    }
    cli
}

/// The examples of the command with these words.
pub(crate) fn of(path: &str) -> &'static [&'static str] {
    EXAMPLES.iter().find(|(of, _)| *of == path).map_or(&[], |(_, lines)| lines)
}

/// The same with the command of a path changed.
fn at(cli: Command, path: &str, change: impl FnOnce(Command) -> Command) -> Command {
    let (first, rest) = path.split_once(' ').unwrap_or((path, ""));
    cli.mut_subcommand(first, |command| if rest.is_empty() { change(command) } else { at(command, rest, change) })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::args::Cli;
    use clap::CommandFactory;

    /// The words of each command that runs.
    fn runnable(command: &Command, path: &str, found: &mut Vec<String>) {
        for sub in command.get_subcommands() {
            let path = format!("{path} {}", sub.get_name()).trim().to_owned();
            if !sub.has_subcommands() {
                found.push(path.clone());
            }
            runnable(sub, &path, found);
        }
    }

    #[test]
    fn every_command_has_examples_that_parse() {
        let mut commands = Vec::new();
        runnable(&Cli::command(), "", &mut commands);
        let listed: Vec<_> = EXAMPLES.iter().map(|(path, _)| (*path).to_owned()).collect();
        assert_eq!(std::collections::BTreeSet::from_iter(commands), listed.into_iter().collect());
        for (path, lines) in EXAMPLES {
            for line in *lines {
                assert!(line.starts_with(&format!("gan-cli {path}")), "{line}");
                let words = line.split(' ').take_while(|word| *word != ">");
                Cli::command().try_get_matches_from(words).unwrap_or_else(|error| panic!("{line}: {error}"));
            }
        }
    }
}

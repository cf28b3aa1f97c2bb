//! `gan-cli video`.

mod input;
mod model;
mod numbering;
mod output;
mod partial;
mod progress;
mod scenes;

use crate::commands::checkpoint::CheckpointArgs;
use crate::commands::weights::WeightArgs;
use crate::device::{DeviceArgs, PrecisionArgs};
use crate::exit::{BAD_DATA, Coded, Done, USAGE};
use crate::inputs::Inputs;
use crate::interrupt;
use crate::max_memory::MemoryArgs;
use crate::wording::worded;
use anyhow::bail;
use clap::ValueEnum;
use gan_fs::is_same;
use gan_translate::{Content, Input, Model, Statistics, Steadier, SteadyOptions};
use gan_video::Rate;
use gan_video::ffmpeg::{Ffmpeg, Quality, Section};
use input::{Frame, Source};
use output::{Destination, Sink};
use partial::{Partial, State};
use progress::Progress;
use scenes::{Look, LookAhead, survey};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread;

/// Frames that are decoded ahead of the one that is translated.
const AHEAD: usize = 3;

/// Translate a video, or frames, so that what stays the same looks the same
///
/// IN and OUT are videos of any kind that an installed ffmpeg knows, y4m streams (`.y4m`, or - for standard input and output), GIFs, or folders of
/// frames. Frame rate, sound and tags of colour stay. A call that is interrupted goes on where it was when it is given again.
///
/// Models with instance norms look at each frame as a whole, so that a passing car changes the colours of all. By default their statistics
/// are those of a sample of frames of each scene (--steady statistics), which takes little longer. --steady full also lets the network's lattice move
/// with the camera, and averages over time along the motion.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// A video, a folder of frames, or - for a y4m stream on standard input
    #[arg(value_name = "IN")]
    input: PathBuf,
    /// A video (mp4, m4v, mov, mkv, webm, avi, gif, y4m), a folder for frames, or - for a y4m stream on standard output
    #[arg(value_name = "OUT")]
    output: PathBuf,
    /// Run folder, checkpoint folder, or weight file (.pth, .safetensors)
    #[arg(long)]
    model: PathBuf,
    #[command(flatten)]
    checkpoint: CheckpointArgs,
    /// How frames are kept from flickering
    #[arg(long, value_enum, default_value_t = Steady::Statistics)]
    steady: Steady,
    /// Over how many positions of the network's lattice --steady full averages each frame: 1, 2, 4 or 16. It takes so many times as long
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = spin)]
    spin: usize,
    /// One look for many videos: statistics are read from this file if it is there, and otherwise gathered over the whole video and written to
    /// it. `translate --statistics` takes the same file
    #[arg(long, value_name = "FILE")]
    statistics: Option<PathBuf>,
    /// Take every N-th frame; the result has as many fewer a second
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    every: u32,
    /// Begin here: seconds, or hours:minutes:seconds
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    start: Option<f64>,
    /// Take so much: seconds, or hours:minutes:seconds
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    duration: Option<f64>,
    /// Frames a second of a folder of frames
    #[arg(long, value_name = "N", default_value = "25")]
    rate: Rate,
    /// Leave the sound out
    #[arg(long)]
    no_sound: bool,
    /// Constant rate factor of the result: lower is better and larger. Without it 16 for H.264 and 24 for WebM
    #[arg(long, value_name = "0..63", value_parser = clap::value_parser!(u8).range(0..=63), conflicts_with = "lossless")]
    crf: Option<u8>,
    /// Every level as the model made it: FFV1 in mkv, mov and avi, H.264 of RGB in mp4, VP9 in webm
    #[arg(long)]
    lossless: bool,
    /// Begin anew, and forget what an interrupted call has done
    #[arg(long)]
    restart: bool,
    /// The ffmpeg to use; ffprobe lies beside it
    #[arg(long, value_name = "PATH")]
    ffmpeg: Option<PathBuf>,
    /// Direction of models that translate both ways (CycleGAN)
    #[arg(long, value_enum, default_value_t = model::Direction::A2b)]
    direction: model::Direction,
    /// Use running statistics in batch norms (PyTorch's eval())
    #[arg(long)]
    eval: bool,
    #[command(flatten)]
    memory: MemoryArgs,
    #[command(flatten)]
    weights: WeightArgs,
    #[command(flatten)]
    device_config: DeviceArgs,
    #[command(flatten)]
    precision: PrecisionArgs,
}

/// How frames are kept from flickering.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Steady {
    /// Not at all: each frame by itself
    Off,
    /// Statistics of norms over a sample of each scene, instead of each frame's
    Statistics,
    /// Beside that, the network's lattice moves with the camera, and results are averaged over time along the motion
    Full,
}

impl Steady {
    fn name(self) -> &'static str {
        match self {
            Steady::Off => "off",
            Steady::Statistics => "statistics",
            Steady::Full => "full",
        }
    }
}

fn spin(text: &str) -> Result<usize, &'static str> {
    match text.parse() {
        Ok(count @ (1 | 2 | 4 | 16)) => Ok(count),
        _ => Err("give 1, 2, 4 or 16"),
    }
}

/// `90`, `1.5`, `1:30`, `0:01:30.5`.
fn seconds(text: &str) -> Result<f64, &'static str> {
    const WANTED: &str = "give seconds, or hours:minutes:seconds";
    let mut sum = 0.0;
    let parts: Vec<&str> = text.split(':').collect();
    if parts.len() > 3 {
        return Err(WANTED);
    }
    for part in &parts {
        let value: f64 = part.parse().map_err(|_| WANTED)?;
        if !(0.0..=1e7).contains(&value) || parts.len() > 1 && value >= 60.0 && !std::ptr::eq(part, &parts[0]) {
            return Err(WANTED);
        }
        sum = sum * 60.0 + value;
    }
    Ok(sum)
}

impl Args {
    fn section(&self) -> Section {
        Section { start: self.start, duration: self.duration }
    }

    fn quality(&self) -> Quality {
        if self.lossless { Quality::Lossless } else { Quality::Crf(self.crf) }
    }

    fn steady_options(&self) -> SteadyOptions {
        match self.steady {
            Steady::Full => SteadyOptions { spin: self.spin, ..SteadyOptions::default() },
            _ => SteadyOptions { lattice: false, spin: 1, filter: false },
        }
    }

    /// What a result depends on, beside the model: a call with the same goes on where an earlier one was interrupted.
    fn settings(&self, source: &Source, rate: Rate) -> String {
        let Args { steady, spin, statistics, every, start, duration, crf, lossless, eval, direction, .. } = self;
        let of = source.identity();
        let statistics = statistics.as_ref().map(|path| path.display().to_string());
        format!(
            "{of}; {} {spin} {statistics:?}; every {every} from {start:?} for {duration:?} at {rate}; crf {crf:?} lossless {lossless}; eval {eval} {direction:?}",
            steady.name()
        )
    }

    /// Refuses options that have no use together.
    fn check(&self, destination: &Destination) -> anyhow::Result<()> {
        let refuse = |message: &str| Err(Coded(USAGE, message.into()).into());
        if *destination == Destination::Standard && std::io::stdout().is_terminal() {
            return refuse("standard output (-) is a terminal, which shows no videos: send it to a file or a program");
        }
        if self.spin > 1 && self.steady != Steady::Full {
            return refuse("--spin is for --steady full: add it, or leave --spin out");
        }
        if self.duration == Some(0.0) {
            return refuse("--duration 0 takes no frame");
        }
        if !matches!(destination, Destination::Video { .. }) && (self.crf.is_some() || self.lossless) {
            return refuse(
                "--crf and --lossless are for videos that ffmpeg writes: frames and y4m streams have every level anyway",
            );
        }
        Ok(())
    }
}

pub(crate) fn run(args: Args) -> anyhow::Result<Done> {
    let destination = Destination::of(&args.output)?;
    args.check(&destination)?;
    let needs_ffmpeg = Source::needs_ffmpeg(&args.input)? || matches!(destination, Destination::Video { .. });
    let ffmpeg = needs_ffmpeg.then(|| Ffmpeg::find(args.ffmpeg.as_deref())).transpose()?;
    let mut source = Source::open(&args.input, &args.output, args.rate, ffmpeg.as_ref())?;
    refuse_inputs(&args, &source)?;
    let Some(rate) = source.rate().every(args.every) else {
        bail!(Coded(USAGE, "--every leaves less than a frame in a century: lower it".into()));
    };
    let mut model = model::open(&args)?;
    model::check(&model, &source)?;
    source.notes().iter().for_each(|note| note!("note: {note}"));
    // What cannot fit is refused before anything is written.
    if !source.is_stream()
        && let Some(first) = source.frames(&args.section(), args.every, 0)?.next()
    {
        let _ = model.estimate(&read(&model, &first?, 0)?).map_err(worded)?;
    }
    let stop = interrupt::flag_saying("finishing this frame; press Ctrl-C again to quit now");

    // What comes through a pipe comes once: nobody goes on with it.
    let resumable = !source.is_stream() && !matches!(destination, Destination::Standard | Destination::Y4m(_));
    let partial = match destination {
        Destination::Standard | Destination::Y4m(_) => None,
        _ => Some(Partial::open(&args.output, &args.settings(&source, rate), args.restart || !resumable)?),
    };
    let mut state = partial.as_ref().map_or_else(State::default, |partial| partial.state().clone());
    let total = source.count(&args.section(), args.every);
    let Some(mut look) = look(&args, &mut model, &mut source, partial.as_ref(), &mut state, total, &stop)? else {
        return Ok(Done::Interrupted);
    };
    let mut steadier = match (&partial, state.frames) {
        (Some(partial), 1..) => Steadier::load(args.steady_options(), &partial.steady(state.frames)).map_err(worded)?,
        _ => Steadier::new(args.steady_options()),
    };
    let taken = (source.first_of(&args.section()), args.every as usize);
    let mut sink = Sink::open(&destination, &source, taken, rate, args.quality(), ffmpeg.as_ref(), partial.as_ref())?;
    let done_before = state.frames;
    if done_before > 0 {
        note!("going on after frame {done_before}, where an earlier call was interrupted; --restart begins anew");
        look.select(&mut model, done_before, true).map_err(worded)?;
    }

    let frames = source.frames(&args.section(), args.every, done_before)?;
    let mut progress = Progress::new(total, done_before);
    let interrupted = thread::scope(|scope| -> anyhow::Result<bool> {
        let (send, receive) = sync_channel(AHEAD);
        let reader = thread::Builder::new().name("decode".into());
        reader.spawn_scoped(scope, move || {
            for frame in frames {
                if send.send(frame).is_err() {
                    return;
                }
            }
        })?;
        let mut ahead = LookAhead::new(receive.into_iter(), look.wants_ahead(), done_before);
        while let Some(next) = ahead.next(&model)? {
            let begins = look.begins(&next);
            if begins {
                steadier.reset();
                look.prepare(&mut model, &next, &ahead).map_err(worded)?;
                look.select(&mut model, next.index, false).map_err(worded)?;
            }
            let image = steadier.translate(&model, next.input).map_err(|error| {
                worded(error).context(format!("cannot translate frame {} of {}", next.index + 1, args.input.display()))
            })?;
            sink.write(next.index, &image)?;
            state.frames = next.index + 1;
            progress.advance();
            let stopped = stop.load(Ordering::Relaxed);
            if let Some(partial) = &partial
                && (stopped || state.frames.is_multiple_of(partial::PART))
            {
                sink.end_part(&mut state)?;
                partial.keep(&steadier, &state)?;
            }
            if stopped {
                return Ok(true);
            }
        }
        Ok(false)
    })?;
    progress.end();
    if interrupted {
        let how = if resumable { "the same command goes on from there" } else { "nothing of it is kept" };
        note!("interrupted after frame {}: {how}", state.frames);
        drop(sink);
        if let Some(partial) = partial.filter(|_| !resumable) {
            partial.remove();
        }
        return Ok(Done::Interrupted);
    }
    if state.frames == 0 {
        bail!(Coded(
            BAD_DATA,
            format!("{}: there are no frames; check --start, --duration and --every", args.input.display())
        ));
    }
    let sound = (!args.no_sound).then(|| source.sound(args.section())).flatten();
    sink.finish(&mut state, sound)?;
    if let Some(partial) = partial {
        partial.remove();
    }
    let frames = if state.frames == 1 { "1 frame".to_owned() } else { format!("{} frames", state.frames) };
    note!("{frames} in {}{}", args.output.display(), progress.pace());
    Ok(Done::Complete)
}

/// No result takes the place of something that is read.
fn refuse_inputs(args: &Args, source: &Source) -> anyhow::Result<()> {
    let mut inputs = Inputs::default();
    match source.folder() {
        Some(folder) if is_same(folder, &args.output) => bail!(Coded(
            USAGE,
            format!("{} is both input and output, which is read; name another folder", folder.display())
        )),
        Some(folder) => inputs.folder(folder),
        None => inputs.file(&args.input),
    }
    inputs.model(&args.model);
    inputs.refuse([&*args.output].into_iter().filter(|output| *output != Path::new("-")))?;
    let statistics = args.statistics.iter().map(PathBuf::as_path).filter(|path| !path.exists());
    inputs.refuse(statistics)
}

/// How the frames are normalized; `None` if `stop` was set meanwhile.
fn look(
    args: &Args,
    model: &mut Model,
    source: &mut Source,
    partial: Option<&Partial>,
    state: &mut State,
    total: Option<u64>,
    stop: &AtomicBool,
) -> anyhow::Result<Option<Look>> {
    if let Some(path) = args.statistics.as_deref().filter(|path| path.exists()) {
        let statistics = Statistics::load(path).map_err(worded)?;
        model.use_statistics(Some(&statistics)).map_err(worded)?;
        return Ok(Some(Look::Fixed));
    }
    if args.steady == Steady::Off && args.statistics.is_none() {
        return Ok(Some(Look::Own));
    }
    if !model.has_own_statistics() {
        if args.statistics.is_some() {
            return Err(worded(gan_translate::Error::NoOwnStatistics));
        }
        note!("note: this model does not normalize images by their own statistics: there are none to keep");
        return Ok(Some(Look::Own));
    }
    if source.is_stream() {
        // What comes cannot be looked at twice.
        return Ok(Some(Look::as_it_comes(args.statistics.clone())));
    }
    if let Some(scenes) = partial.filter(|_| !state.scenes.is_empty()).map(|partial| partial.scenes(&state.scenes)) {
        return Ok(Some(Look::Scenes(scenes?)));
    }
    let frames = source.frames(&args.section(), args.every, 0)?;
    let Some(scenes) = survey(model, frames, args.statistics.is_some(), total, stop)? else { return Ok(None) };
    if let (Some(path), Some((_, statistics))) = (&args.statistics, scenes.first()) {
        statistics.save(path).map_err(worded)?;
    }
    if let Some(partial) = partial {
        state.scenes = partial.keep_scenes(&scenes)?;
    }
    Ok(Some(Look::Scenes(scenes)))
}

/// A frame that is to be translated.
struct Next {
    index: u64,
    input: Input,
    /// Whether it differs from the one before as another scene does; only looked at where nothing was surveyed.
    cut: bool,
}

/// Reads a frame as the model's training read its images.
fn read(model: &Model, frame: &Frame, index: u64) -> anyhow::Result<Input> {
    let name = PathBuf::from(format!("frame {}", index + 1));
    let files = match frame {
        Frame::Decoded(frame) => {
            let content = Some(Content::File(frame.file()));
            gan_translate::Files { content, name: &name, ..gan_translate::Files::new(&name) }
        }
        Frame::File(path) => gan_translate::Files::new(path),
    };
    model.read(&files).map_err(worded)
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn times_are_read_as_people_write_them() {
        for (text, wanted) in [("90", 90.0), ("1.5", 1.5), ("1:30", 90.0), ("0:01:30.5", 90.5), ("90:00", 5400.0)] {
            assert_eq!(seconds(text), Ok(wanted), "{text}");
        }
        for text in ["", "-1", "1:60", "1:2:3:4", "x", "nan", "inf", "1:"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }
}

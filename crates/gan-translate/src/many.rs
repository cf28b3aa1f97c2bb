//! Many files: the next one is read, and the one before written, while the model computes.

use crate::reader::{Files, Input};
use crate::{Error, Model, Translated};
use gan_data::{Image, WriteOptions, write_image_with};
use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;

/// One file of many.
#[derive(Debug, Clone, Copy)]
pub struct FileJob<'a> {
    /// What is read.
    pub files: Files<'a>,
    /// What is written; the extension picks the format.
    pub output: &'a Path,
}

/// What became of one file of many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileOutcome {
    /// It was translated and written.
    Written(Translated),
    /// It was left out, as the caller wanted.
    Skipped,
}

/// Why a file was not translated.
#[derive(Debug)]
pub struct FileError {
    /// What was being done.
    pub stage: Stage,
    /// What went wrong.
    pub error: Box<Error>,
}

/// What is done with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Its input is read.
    Read,
    /// The model computes.
    Translate,
    /// The result is written.
    Write,
}

type Result<T> = std::result::Result<T, FileError>;

/// What the caller has to say about each file.
pub struct EachFile<'a> {
    /// Whether a file is left out. Asked on another thread, before the file is read.
    pub skip: &'a (dyn Fn(&FileJob<'_>) -> bool + Sync),
    /// Told of every file in order; may end the work.
    pub done: &'a mut dyn FnMut(usize, Result<FileOutcome>) -> ControlFlow<()>,
}

/// A file that was read, `None` if it is left out.
type Read = Result<Option<Input>>;

impl Model {
    /// Translates files in order, one at a time, as [`Model::translate_files`] does. At most two more images than the one that is being
    /// translated are in memory, the next and the one before, and none where a [limit](crate::MemoryLimit::alone) says so. When [`EachFile::done`] ends the work, the one before has been
    /// written, and nothing after it.
    ///
    /// ```no_run
    /// use gan_data::WriteOptions;
    /// use gan_translate::{EachFile, FileJob, Files, Model};
    /// use std::{ops::ControlFlow, path::Path};
    ///
    /// # fn main() -> gan_translate::Result<()> {
    /// let model = Model::open("runs/photos")?;
    /// let jobs = ["a", "b"].map(|stem| (format!("in/{stem}.png"), format!("out/{stem}.png")));
    /// let jobs = jobs.each_ref().map(|(input, output)| {
    ///     FileJob { files: Files::new(Path::new(input)), output: Path::new(output) }
    /// });
    /// let mut done = |i, outcome| {
    ///     println!("file {i}: {outcome:?}");
    ///     ControlFlow::Continue(())
    /// };
    /// model.translate_each(&jobs, &WriteOptions::default(), EachFile { skip: &|_| false, done: &mut done });
    /// # Ok(()) }
    /// ```
    pub fn translate_each(&self, jobs: &[FileJob<'_>], write: &WriteOptions, mut each: EachFile<'_>) {
        // A pool of the calling thread alone serves no other thread.
        let alone = rayon::current_thread_index().is_some();
        if jobs.len() < 2 || alone || self.is_alone() || self.pipelined(jobs, write, &mut each).is_none() {
            self.one_by_one(jobs, write, &mut each);
        }
    }

    fn one_by_one(&self, jobs: &[FileJob<'_>], write: &WriteOptions, each: &mut EachFile<'_>) {
        for (i, job) in jobs.iter().enumerate() {
            let outcome = self.read_unless(job, each.skip).and_then(|input| {
                let Some(input) = input else { return Ok(FileOutcome::Skipped) };
                let (translated, image) = self.compute(input)?;
                write_image_with(job.output, &image, write).map_err(not_written)?;
                Ok(FileOutcome::Written(translated))
            });
            if (each.done)(i, outcome).is_break() {
                return;
            }
        }
    }

    /// `None`, and nothing done, if the system gives no threads.
    fn pipelined(&self, jobs: &[FileJob<'_>], write: &WriteOptions, each: &mut EachFile<'_>) -> Option<()> {
        // Nothing waits in the channels: each thread holds the one image that it works on.
        let (to_model, inputs) = sync_channel::<Read>(0);
        let (to_disk, images) = sync_channel::<(&Path, Image)>(0);
        let (to_report, reports) = channel();
        let skip = each.skip;
        thread::scope(|scope| {
            let reader = move || {
                for job in jobs {
                    if to_model.send(self.read_unless(job, skip)).is_err() {
                        return;
                    }
                }
            };
            let writer = move || write_all(&images, write, &to_report);
            thread::Builder::new().name("write".into()).spawn_scoped(scope, writer).ok()?;
            thread::Builder::new().name("read".into()).spawn_scoped(scope, reader).ok()?;
            let mut writing = Writing { to_disk, reports, pending: VecDeque::new(), done: &mut *each.done };
            // A break drops the channels, at which both threads end.
            if self.translate_inputs(jobs, inputs, &mut writing).is_continue() {
                let _ = writing.report(true);
            }
            Some(())
        })
    }

    fn translate_inputs<'p>(
        &self,
        jobs: &'p [FileJob<'p>],
        inputs: Receiver<Read>,
        writing: &mut Writing<'_, 'p>,
    ) -> ControlFlow<()> {
        for ((i, job), input) in jobs.iter().enumerate().zip(inputs) {
            match input.and_then(|input| input.map(|input| self.compute(input)).transpose()) {
                Ok(Some((translated, image))) => writing.write(i, translated, (job.output, image))?,
                other => {
                    writing.report(true)?;
                    (writing.done)(i, other.map(|_| FileOutcome::Skipped))?;
                }
            }
        }
        ControlFlow::Continue(())
    }

    fn read_unless(&self, job: &FileJob<'_>, skip: &(dyn Fn(&FileJob<'_>) -> bool + Sync)) -> Read {
        if skip(job) {
            return Ok(None);
        }
        self.read(&job.files).map(Some).map_err(|error| FileError { stage: Stage::Read, error: error.into() })
    }

    fn compute(&self, input: Input) -> Result<(Translated, Image)> {
        let translated = Translated { alpha_lost: self.loses_alpha(&input) };
        let image = self.translate_input(input);
        Ok((translated, image.map_err(|error| FileError { stage: Stage::Translate, error: error.into() })?))
    }
}

fn not_written(error: gan_data::Error) -> FileError {
    FileError { stage: Stage::Write, error: Box::new(error.into()) }
}

/// Writes images until there are no more.
fn write_all(images: &Receiver<(&Path, Image)>, options: &WriteOptions, to_report: &Sender<gan_data::Result<()>>) {
    for (path, image) in images {
        if to_report.send(write_image_with(path, &image, options)).is_err() {
            return;
        }
    }
}

/// The images that are being written.
struct Writing<'a, 'p> {
    to_disk: SyncSender<(&'p Path, Image)>,
    reports: Receiver<gan_data::Result<()>>,
    /// Those that the writer has not reported yet, in order.
    pending: VecDeque<(usize, Translated)>,
    done: &'a mut dyn FnMut(usize, Result<FileOutcome>) -> ControlFlow<()>,
}

impl<'p> Writing<'_, 'p> {
    fn write(&mut self, i: usize, translated: Translated, image: (&'p Path, Image)) -> ControlFlow<()> {
        self.pending.push_back((i, translated));
        // The writer lives as long as this end of its channel.
        let _ = self.to_disk.send(image);
        self.report(false)
    }

    /// Passes on what the writer has reported, or all that it will, in order.
    fn report(&mut self, all: bool) -> ControlFlow<()> {
        while let Some(&(i, translated)) = self.pending.front() {
            let report = if all { self.reports.recv().ok() } else { self.reports.try_recv().ok() };
            let Some(written) = report else { break };
            self.pending.pop_front();
            (self.done)(i, written.map(|()| FileOutcome::Written(translated)).map_err(not_written))?;
        }
        ControlFlow::Continue(())
    }
}

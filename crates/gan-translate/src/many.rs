//! Many files: the next one is read, and the one before written, while the model computes.

use crate::in_rows::RowJob;
use crate::reader::{Files, Input};
use crate::{Error, Model, Translated};
use candle_core::Tensor;
use gan_data::{Batch, Image, WriteOptions};
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

/// A result that is to be written.
#[derive(Debug)]
pub struct Made<'a> {
    /// Which job it is of.
    pub index: usize,
    /// That job.
    pub job: &'a FileJob<'a>,
    /// The result.
    pub image: Image,
    /// The input as people see it ([`Model::shown`]), if [`EachFile::show`] asks for it.
    pub shown: Option<Image>,
}

/// What the caller has to say about each file.
pub struct EachFile<'a> {
    /// Most inputs that are translated as one batch: those of one shape that follow one another. Models whose results depend on the batch
    /// ([`Model::batches`]) translate one at a time, whatever it says. On the CPU, results are the same bits.
    pub batch: usize,
    /// Whether the input is wanted as people see it, beside the result.
    pub show: bool,
    /// Whether a file is left out. Asked on another thread, before the file is read.
    pub skip: &'a (dyn Fn(&FileJob<'_>) -> bool + Sync),
    /// Writes a result; on another thread, in order.
    pub write: &'a (dyn Fn(Made<'_>) -> gan_data::Result<()> + Sync),
    /// Told of every file in order; may end the work.
    pub done: &'a mut dyn FnMut(usize, Result<FileOutcome>) -> ControlFlow<()>,
}

/// An input, and the same as people see it.
type Shown = (Input, Option<Image>);

/// What is to be done for a file.
enum Work {
    /// To translate an input.
    Input(Box<Shown>),
    /// To translate a large image row by row, from file to file.
    Rows,
}

/// A file that was read, `None` if it is left out.
type Read = Result<Option<Work>>;

/// What the model made of an input.
type Computed = Result<(Translated, Image, Option<Image>)>;

impl Model {
    /// Translates files in order, as [`Model::translate_files`] does. At most two more images than the batch that is being
    /// translated are in memory, the next and the one before, and none where a [limit](crate::MemoryLimit::alone) says so. When [`EachFile::done`] ends the work, what came before has been
    /// written, and nothing after it.
    ///
    /// ```no_run
    /// use gan_data::write_image;
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
    /// model.translate_each(&jobs, EachFile {
    ///     batch: 1,
    ///     show: false,
    ///     skip: &|_| false,
    ///     write: &|made| write_image(made.job.output, &made.image),
    ///     done: &mut done,
    /// });
    /// # Ok(()) }
    /// ```
    pub fn translate_each(&self, jobs: &[FileJob<'_>], each: EachFile<'_>) {
        self.each(jobs, each, None);
    }

    /// The same where a result is written as it is, into the file of its job, by these options: then large images on the CPU are read, translated
    /// and written row by row, as [`Model::translate_files`] does it, and neither the input nor the result is in memory as a whole.
    /// [`EachFile::write`] gets the others.
    pub fn translate_each_in_rows(&self, jobs: &[FileJob<'_>], each: EachFile<'_>, options: &WriteOptions) {
        self.each(jobs, each, Some(options));
    }

    fn each(&self, jobs: &[FileJob<'_>], mut each: EachFile<'_>, rows: Option<&WriteOptions>) {
        // A pool of the calling thread alone serves no other thread.
        let alone = rayon::current_thread_index().is_some();
        if jobs.len() < 2 || alone || self.is_alone() || self.pipelined(jobs, &mut each, rows).is_none() {
            self.one_by_one(jobs, &mut each, rows);
        }
    }

    fn one_by_one(&self, jobs: &[FileJob<'_>], each: &mut EachFile<'_>, rows: Option<&WriteOptions>) {
        for (index, job) in jobs.iter().enumerate() {
            let outcome = self.read_unless(job, each.skip, each.show, rows).and_then(|work| {
                let input = match work {
                    None => return Ok(FileOutcome::Skipped),
                    Some(Work::Rows) => return self.row_by_row(job, rows),
                    Some(Work::Input(input)) => *input,
                };
                let (translated, image, shown) = self.compute(input)?;
                (each.write)(Made { index, job, image, shown }).map_err(not_written)?;
                Ok(FileOutcome::Written(translated))
            });
            if (each.done)(index, outcome).is_break() {
                return;
            }
        }
    }

    /// `None`, and nothing done, if the system gives no threads.
    fn pipelined(&self, jobs: &[FileJob<'_>], each: &mut EachFile<'_>, rows: Option<&WriteOptions>) -> Option<()> {
        // Nothing waits in the channels: each thread holds the one image that it works on.
        let (to_model, inputs) = sync_channel::<Read>(0);
        let (to_disk, images) = sync_channel::<Made<'_>>(0);
        let (to_report, reports) = channel();
        let EachFile { batch, show, skip, write, .. } = *each;
        thread::scope(|scope| {
            let reader = move || {
                for job in jobs {
                    if to_model.send(self.read_unless(job, skip, show, rows)).is_err() {
                        return;
                    }
                }
            };
            let writer = move || write_all(&images, write, &to_report);
            thread::Builder::new().name("write".into()).spawn_scoped(scope, writer).ok()?;
            thread::Builder::new().name("read".into()).spawn_scoped(scope, reader).ok()?;
            let mut writing = Writing { to_disk, reports, pending: VecDeque::new(), done: &mut *each.done };
            let batch = if self.batches() { batch } else { 1 };
            // A break drops the channels, at which both threads end.
            if self.translate_inputs(jobs, inputs, batch, rows, &mut writing).is_continue() {
                let _ = writing.report(true);
            }
            Some(())
        })
    }

    fn translate_inputs<'p>(
        &self,
        jobs: &'p [FileJob<'p>],
        inputs: Receiver<Read>,
        batch: usize,
        rows: Option<&WriteOptions>,
        writing: &mut Writing<'_, 'p>,
    ) -> ControlFlow<()> {
        let mut inputs = inputs.into_iter().peekable();
        let mut index = 0;
        while let Some(input) = inputs.next() {
            let first = match input {
                Ok(Some(Work::Input(first))) => *first,
                other => {
                    writing.report(true)?;
                    let outcome = other.and_then(|work| match work {
                        Some(_) => self.row_by_row(&jobs[index], rows),
                        None => Ok(FileOutcome::Skipped),
                    });
                    (writing.done)(index, outcome)?;
                    index += 1;
                    continue;
                }
            };
            let mut group = vec![first];
            // The next input is waited for only if there is room for it.
            while group.len() < batch
                && let Some(Ok(Some(Work::Input(next)))) = inputs.next_if(|next| is_like(&group[0].0, next))
            {
                group.push(*next);
            }
            for computed in self.compute_all(group) {
                match computed {
                    Ok((translated, image, shown)) => {
                        writing.write(translated, Made { index, job: &jobs[index], image, shown })?;
                    }
                    Err(error) => {
                        writing.report(true)?;
                        (writing.done)(index, Err(error))?;
                    }
                }
                index += 1;
            }
        }
        ControlFlow::Continue(())
    }

    fn read_unless(
        &self,
        job: &FileJob<'_>,
        skip: &(dyn Fn(&FileJob<'_>) -> bool + Sync),
        show: bool,
        rows: Option<&WriteOptions>,
    ) -> Read {
        if skip(job) {
            return Ok(None);
        }
        let read = || {
            if rows.is_some() && !show && RowJob::of(self, &job.files, job.output)?.is_some() {
                return Ok(Work::Rows);
            }
            let input = self.read(&job.files)?;
            let shown = show.then(|| self.shown(&input)).transpose()?;
            Ok(Work::Input(Box::new((input, shown))))
        };
        read().map(Some).map_err(|error: Error| FileError { stage: Stage::Read, error: error.into() })
    }

    fn row_by_row(&self, job: &FileJob<'_>, options: Option<&WriteOptions>) -> Result<FileOutcome> {
        let run = || {
            let Some(rows) = RowJob::of(self, &job.files, job.output)? else {
                // The file was another one a moment ago.
                return self.translate_files(&job.files, job.output);
            };
            rows.run(&options.copied().unwrap_or_default())
        };
        run().map(FileOutcome::Written).map_err(|error| {
            let stage = match error {
                Error::Data(gan_data::Error::Encode { .. }) => Stage::Write,
                Error::Data(gan_data::Error::Io { action: "write" | "create", .. }) => Stage::Write,
                Error::Data(gan_data::Error::NonFinite { .. }) => Stage::Translate,
                Error::Data(_) | Error::LabelOutOfRange { .. } => Stage::Read,
                _ => Stage::Translate,
            };
            FileError { stage, error: error.into() }
        })
    }

    fn compute(&self, (input, shown): Shown) -> Computed {
        let translated = Translated { alpha_lost: self.loses_alpha(&input) };
        Ok((translated, self.translate_input(input).map_err(not_translated)?, shown))
    }

    /// Inputs of one shape as one batch. If that fails, each by itself: the failure of one, or of the memory for all, costs no other.
    fn compute_all(&self, group: Vec<Shown>) -> Vec<Computed> {
        if group.len() == 1 {
            return group.into_iter().map(|input| self.compute(input)).collect();
        }
        let batches: Vec<&Batch> = group.iter().map(|(input, _)| &input.batch).collect();
        match stacked(&batches).and_then(|batch| self.output(&batch)) {
            Ok(outputs) => {
                let each = |(i, (input, shown)): (usize, Shown)| {
                    let translated = Translated { alpha_lost: self.loses_alpha(&input) };
                    let image = outputs.narrow(0, i, 1).map_err(Error::from).and_then(|y| self.image(&y, input));
                    Ok((translated, image.map_err(not_translated)?, shown))
                };
                group.into_iter().enumerate().map(each).collect()
            }
            Err(_) => group.into_iter().map(|input| self.compute(input)).collect(),
        }
    }
}

/// Whether an input can be stacked onto another one.
fn is_like(first: &Input, next: &Read) -> bool {
    matches!(next, Ok(Some(Work::Input(next))) if stack(&next.0.batch, &first.batch))
}

/// Whether two batches can be stacked onto one another.
pub(crate) fn stack(first: &Batch, next: &Batch) -> bool {
    let key = |Batch { a, inst, b, .. }: &Batch| (a.dtype(), a.dims().to_vec(), inst.is_some(), b.is_some());
    key(next) == key(first)
}

/// The batches of inputs as one.
pub(crate) fn stacked(group: &[&Batch]) -> crate::Result<Batch> {
    let cat = |part: &dyn Fn(&Batch) -> Option<Tensor>| {
        let parts: Vec<Tensor> = group.iter().filter_map(|batch| part(batch)).collect();
        if parts.is_empty() { Ok(None) } else { Tensor::cat(&parts, 0).map(Some) }
    };
    let names = group.iter().flat_map(|batch| batch.names.clone()).collect();
    let a = Tensor::cat(&group.iter().map(|batch| &batch.a).collect::<Vec<_>>(), 0)?;
    Ok(Batch { a, b: cat(&|batch| batch.b.clone())?, inst: cat(&|batch| batch.inst.clone())?, names })
}

fn not_translated(error: Error) -> FileError {
    FileError { stage: Stage::Translate, error: error.into() }
}

fn not_written(error: gan_data::Error) -> FileError {
    FileError { stage: Stage::Write, error: Box::new(error.into()) }
}

/// Writes images until there are no more.
fn write_all(
    images: &Receiver<Made<'_>>,
    write: &(dyn Fn(Made<'_>) -> gan_data::Result<()> + Sync),
    to_report: &Sender<gan_data::Result<()>>,
) {
    for made in images {
        if to_report.send(write(made)).is_err() {
            return;
        }
    }
}

/// The images that are being written.
struct Writing<'a, 'p> {
    to_disk: SyncSender<Made<'p>>,
    reports: Receiver<gan_data::Result<()>>,
    /// Those that the writer has not reported yet, in order.
    pending: VecDeque<(usize, Translated)>,
    done: &'a mut dyn FnMut(usize, Result<FileOutcome>) -> ControlFlow<()>,
}

impl<'p> Writing<'_, 'p> {
    fn write(&mut self, translated: Translated, made: Made<'p>) -> ControlFlow<()> {
        self.pending.push_back((made.index, translated));
        // The writer lives as long as this end of its channel.
        let _ = self.to_disk.send(made);
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

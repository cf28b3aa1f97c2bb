//! Values that are kept for later sweeps: in memory, or in a file.

use super::background::{Background, Pending};
use super::dataflow::Size;
use candle_core::{Device, Result, Tensor, bail};
use gan_kernels::bytes::{from_bytes, with_bytes};
use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

/// Where values go that memory has no room for.
pub trait Scratch {
    /// A new file, which is gone when it is dropped.
    ///
    /// # Errors
    /// There can be no file.
    fn file(&self) -> io::Result<Box<dyn ScratchFile>>;
}

/// A file of bytes that nobody else sees. It is written and read on a thread of its own while others compute.
pub trait ScratchFile: Send {
    /// Writes behind what is there.
    ///
    /// # Errors
    /// There is no room.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Reads from a place that was written.
    ///
    /// # Errors
    /// It cannot be read.
    fn read_at(&mut self, offset: u64, bytes: &mut [u8]) -> io::Result<()>;

    /// Gives back the room of the bytes in front of a place, which nobody will read again, if the system can.
    fn free_before(&mut self, _offset: u64) {}
}

type SharedFile = Arc<Mutex<Box<dyn ScratchFile>>>;

/// The rows of a value, in the pieces in which they came. Of what is in a file, one piece is being written at a time, and those rows are being read
/// that were asked for [ahead](Store::read_ahead).
pub(super) struct Store {
    size: Size,
    /// Where rows are computed.
    device: Device,
    pieces: VecDeque<Piece>,
    file: Option<SharedFile>,
    /// With a file, the rows in front of this one are in memory.
    resident: usize,
    written: u64,
    writing: Option<Pending<Result<()>>>,
    ahead: Option<Ahead>,
}

struct Piece {
    rows: Range<usize>,
    at: Location,
}

enum Location {
    /// `[1, C, rows, W]`.
    Memory(Tensor),
    /// Where `[C, rows, W]` begins in the file.
    File(u64),
}

/// Rows that are being read: the parts of them that are in the file, in order.
struct Ahead {
    rows: Range<usize>,
    parts: Pending<Result<Vec<Tensor>>>,
}

/// Rows of a piece of a file: the piece's place and number of rows, and which of them are wanted.
struct Request {
    offset: u64,
    whole: usize,
    rows: Range<usize>,
}

impl Store {
    /// In the memory of this device, or in this file but for the rows in front of `resident`.
    pub(super) fn new(size: Size, device: &Device, file: Option<Box<dyn ScratchFile>>, resident: usize) -> Self {
        let file = file.map(|file| Arc::new(Mutex::new(file)));
        Store {
            size,
            device: device.clone(),
            pieces: VecDeque::new(),
            file,
            resident,
            written: 0,
            writing: None,
            ahead: None,
        }
    }

    /// Adds the rows `[1, C, rows, W]` that follow those before. What is wrong with a file may be told at the next call.
    pub(super) fn append(&mut self, first: usize, rows: &Tensor, background: &Background) -> Result<()> {
        let count = rows.dim(2)?;
        let kept = self.file.as_ref().map_or(count, |_| self.resident.clamp(first, first + count) - first);
        if kept > 0 {
            let rows = if kept < count { rows.narrow(2, 0, kept)?.contiguous()? } else { rows.clone() };
            self.pieces.push_back(Piece { rows: first..first + kept, at: Location::Memory(rows) });
        }
        if let Some(file) = self.file.clone().filter(|_| kept < count) {
            self.finish_writing()?;
            let rows = rows.narrow(2, kept, count - kept)?.to_device(&Device::Cpu)?.contiguous()?;
            let offset = self.written;
            self.written += self.size.row_bytes() * (count - kept) as u64;
            self.writing = Some(
                background.run(move || with_bytes(&rows, |bytes| locked(&file).append(bytes))?.map_err(Into::into)),
            );
            self.pieces.push_back(Piece { rows: first + kept..first + count, at: Location::File(offset) });
        }
        Ok(())
    }

    /// Begins to read rows that are in a file, for the next call of [`Store::read`].
    pub(super) fn read_ahead(&mut self, rows: &Range<usize>, background: &Background) {
        let Some(file) = self.file.clone().filter(|_| self.ahead.as_ref().is_none_or(|ahead| ahead.rows != *rows))
        else {
            return;
        };
        let requests: Vec<Request> = self.overlapping(rows).filter_map(|(piece, rows)| piece.request(&rows)).collect();
        if !requests.is_empty() {
            let size = self.size;
            let read = move || requests.iter().map(|request| request.read(size, &file)).collect();
            self.ahead = Some(Ahead { rows: rows.clone(), parts: background.run(read) });
        }
    }

    /// The rows `[1, C, rows, W]`. With `last`, no row in front of their end will be read again.
    pub(super) fn read(&mut self, rows: &Range<usize>, last: bool, background: &Background) -> Result<Tensor> {
        self.read_ahead(rows, background);
        let found = self.ahead.take().map(|ahead| ahead.parts.wait());
        // Jobs are carried out in order: what was read was written before, or was not written at all.
        self.finish_writing()?;
        let mut from_file = found.transpose()?.transpose()?.unwrap_or_default().into_iter();
        let mut parts = Vec::new();
        for (piece, rows) in self.overlapping(rows) {
            match &piece.at {
                Location::Memory(tensor) => parts.push(tensor.narrow(2, rows.start - piece.rows.start, rows.len())?),
                Location::File(_) => {
                    parts.extend(from_file.next().map(|rows| rows.to_device(&self.device)).transpose()?)
                }
            }
        }
        if last {
            while self.pieces.front().is_some_and(|piece| piece.rows.end <= rows.end) {
                self.pieces.pop_front();
            }
            if let (Some(file), Some(Location::File(offset))) = (&self.file, self.pieces.front().map(|piece| &piece.at))
            {
                let (file, offset) = (file.clone(), *offset);
                drop(background.run(move || locked(&file).free_before(offset)));
            }
        }
        match parts.len() {
            0 => bail!("rows {rows:?} of a value were not stored"),
            1 => parts.remove(0).contiguous(),
            _ => Tensor::cat(&parts, 2)?.contiguous(),
        }
    }

    fn finish_writing(&mut self) -> Result<()> {
        self.writing.take().map_or(Ok(()), |writing| writing.wait()?)
    }

    /// The pieces that have some of these rows, and which.
    fn overlapping(&self, rows: &Range<usize>) -> impl Iterator<Item = (&Piece, Range<usize>)> {
        let part = |piece: &Piece| piece.rows.start.max(rows.start)..piece.rows.end.min(rows.end);
        self.pieces.iter().map(move |piece| (piece, part(piece))).filter(|(_, part)| !part.is_empty())
    }
}

impl Piece {
    /// These rows, if they are in a file.
    fn request(&self, rows: &Range<usize>) -> Option<Request> {
        let Location::File(offset) = self.at else { return None };
        let first = self.rows.start;
        Some(Request { offset, whole: self.rows.len(), rows: rows.start - first..rows.end - first })
    }
}

impl Request {
    fn read(&self, size: Size, file: &SharedFile) -> Result<Tensor> {
        let Request { offset, whole, ref rows } = *self;
        let row = size_of::<f32>() * size.width;
        let mut file = locked(file);
        from_bytes((1, size.channels, rows.len(), size.width), |bytes| {
            if rows.len() == whole {
                return file.read_at(offset, bytes);
            }
            for (c, to) in bytes.chunks_exact_mut(rows.len() * row).enumerate() {
                file.read_at(offset + ((c * whole + rows.start) * row) as u64, to)?;
            }
            Ok(())
        })
    }
}

/// A panic leaves a file as it was.
fn locked(file: &SharedFile) -> std::sync::MutexGuard<'_, Box<dyn ScratchFile>> {
    file.lock().unwrap_or_else(PoisonError::into_inner)
}

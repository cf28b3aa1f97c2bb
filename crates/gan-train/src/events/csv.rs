//! `events.csv`: log points and validations as a table, for spreadsheets and `pandas.read_csv`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::json_lines::{Row, now, read_rows};
use super::{Event, Observer};
use crate::storage::{Durability, Storage, StorageFile, replace_file};
use crate::{Error, Result};

/// Columns that every table has.
const FIXED: [&str; 5] = ["step", "epoch", "time", "learning rate", "images/s"];

/// Keeps a table of log points and validations beside the events file.
///
/// It is made of the events file when a run begins, is resumed or rewound, and whenever a column comes to it; in between, rows are
/// appended. So it never holds a step twice, and a run that is killed leaves whole rows.
pub struct Csv {
    storage: Arc<dyn Storage>,
    path: PathBuf,
    events: PathBuf,
    columns: Columns,
    /// Closed after a failed write.
    file: Option<Box<dyn StorageFile>>,
    length: u64,
}

/// Columns beyond these are left out: with one for each line, the table of a damaged file would grow with the square of its size.
const MOST_COLUMNS: usize = 500;

/// The columns after the fixed ones: losses first, in the order in which they came up, then metrics.
#[derive(Debug, Default, PartialEq, Eq)]
struct Columns {
    losses: Vec<String>,
    metrics: Vec<String>,
}

impl Csv {
    /// Writes the table of the events file `events` to `path`.
    ///
    /// # Errors
    /// [`Error::Files`].
    pub fn open(storage: Arc<dyn Storage>, path: &Path, events: &Path) -> Result<Self> {
        let (path, events) = (path.to_owned(), events.to_owned());
        let mut table = Csv { storage, path, events, columns: Columns::default(), file: None, length: 0 };
        table.rewrite()?;
        Ok(table)
    }

    /// Writes the whole table anew, as the events file has it.
    fn rewrite(&mut self) -> Result<()> {
        // Should it fail, no file has this length, and the next row tries again.
        self.length = u64::MAX;
        let mut rows = Vec::new();
        read_rows(&*self.storage, &self.events, |row| rows.push(row))?;
        self.columns = Columns::default();
        rows.iter().for_each(|row| {
            self.columns.take(row);
        });
        let lines = rows.iter().map(|row| self.columns.line(row));
        let text = std::iter::once(self.columns.header()).chain(lines).collect::<String>();
        self.file = None;
        replace_file(&*self.storage, &self.path, text.as_bytes(), Durability::Visible)?;
        self.length = text.len() as u64;
        Ok(())
    }

    fn append(&mut self, row: &Row) -> Result<()> {
        let found = self.storage.list(gan_fs::parent(&self.path)).unwrap_or_default();
        let same =
            |entry: &crate::storage::Entry| self.path.file_name().is_some_and(|name| name == entry.name.as_str());
        let whole = found.iter().any(|entry| same(entry) && entry.bytes == self.length);
        // The event is in the events file already.
        if self.columns.take(row) || !whole {
            return self.rewrite();
        }
        let file = match self.file.take() {
            Some(file) => file,
            None => self.storage.append(&self.path, self.length).map_err(|e| Error::io("open", &self.path, e))?,
        };
        let file = self.file.insert(file);
        let line = self.columns.line(row);
        if let Err(error) = file.write_all(line.as_bytes()).and_then(|()| file.flush()) {
            // A part of the line may be in the file; opening it again cuts it off.
            self.file = self.storage.append(&self.path, self.length).ok();
            return Err(Error::io("write", &self.path, error));
        }
        self.length += line.len() as u64;
        Ok(())
    }
}

impl Observer for Csv {
    fn on(&mut self, event: &Event) -> Result<()> {
        let some = |values: &[(String, f64)]| {
            values.iter().map(|(name, value)| (name.clone(), Some(*value))).collect::<Vec<_>>()
        };
        match event {
            Event::Progress { step, epoch, losses, lr, images_per_s, .. } => self.append(&Row {
                step: *step,
                epoch: *epoch,
                time: Some(now()),
                lr: Some(*lr),
                images_per_s: Some(*images_per_s),
                losses: some(losses),
                metrics: Vec::new(),
            }),
            Event::Validated { step, epoch, metrics, .. } => self.append(&Row {
                step: *step,
                epoch: *epoch,
                time: Some(now()),
                lr: None,
                images_per_s: None,
                losses: Vec::new(),
                metrics: some(metrics),
            }),
            Event::Rewound { .. } => self.rewrite(),
            _ => Ok(()),
        }
    }
}

impl Columns {
    /// Adds the columns that a row has and the table has not; tells whether there were any.
    fn take(&mut self, row: &Row) -> bool {
        let mut new = false;
        for (columns, values) in [(&mut self.losses, &row.losses), (&mut self.metrics, &row.metrics)] {
            for (name, _) in values {
                if columns.len() < MOST_COLUMNS && !columns.contains(name) {
                    columns.push(name.clone());
                    new = true;
                }
            }
        }
        new
    }

    fn header(&self) -> String {
        let fixed = FIXED.iter().map(|name| (*name).to_owned());
        let metrics = self.metrics.iter().map(|name| format!("validation {name}"));
        let cells = fixed.chain(self.losses.iter().cloned()).chain(metrics).map(|name| quoted(&name));
        cells.collect::<Vec<_>>().join(",") + "\n"
    }

    /// A row; cells stay empty where there is no value, or none that is finite.
    fn line(&self, row: &Row) -> String {
        let number = |value: Option<f64>| value.filter(|v| v.is_finite()).map(|v| v.to_string()).unwrap_or_default();
        let of = |columns: &[String], values: &[(String, Option<f64>)]| {
            let value = |name: &String| values.iter().find(|(known, _)| known == name).and_then(|(_, value)| *value);
            columns.iter().map(|name| number(value(name))).collect::<Vec<_>>()
        };
        let fixed = [number(row.time), number(row.lr), number(row.images_per_s)];
        let cells = [row.step.to_string(), row.epoch.to_string()].into_iter().chain(fixed);
        let cells = cells.chain(of(&self.losses, &row.losses)).chain(of(&self.metrics, &row.metrics));
        cells.collect::<Vec<_>>().join(",") + "\n"
    }
}

/// A cell of text (RFC 4180).
fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::events::JsonLines;
    use crate::storage::fault::{Fault, FaultyStorage};
    use crate::storage::volatile::VolatileStorage;

    const EVENTS: &str = "/events.jsonl";
    const TABLE: &str = "/events.csv";

    fn progress(step: u64, names: &[&str]) -> Event {
        Event::Progress {
            step,
            epoch: 1,
            losses: names.iter().map(|name| ((*name).to_owned(), step as f64 / 4.0)).collect(),
            lr: 2e-4,
            images_per_s: 3.5,
            data_wait: 0.0,
            eta_s: None,
        }
    }

    fn validated(step: u64, value: f64) -> Event {
        Event::Validated {
            step,
            epoch: 1,
            images: 2,
            metrics: vec![("l1".to_owned(), value)],
            best_by: "l1".to_owned(),
            best_step: None,
            seconds: 1.0,
        }
    }

    /// The table without its times.
    fn table(storage: &VolatileStorage) -> Vec<String> {
        let text = String::from_utf8(storage.content(Path::new(TABLE))).unwrap();
        assert!(text.ends_with('\n'));
        let without = |line: &str| {
            let cells: Vec<&str> = line.split(',').collect();
            [&cells[..2], &cells[3..]].concat().join(",")
        };
        text.lines().map(without).collect()
    }

    #[test]
    fn columns_come_as_they_come_up_and_rows_are_whole() {
        let storage = VolatileStorage::new();
        let shared: Arc<dyn Storage> = Arc::new(storage.clone());
        let mut log = JsonLines::create(shared.clone(), Path::new(EVENTS)).unwrap();
        let mut csv = Csv::open(shared.clone(), Path::new(TABLE), Path::new(EVENTS)).unwrap();
        let mut on = |csv: &mut Csv, event: Event| {
            log.on(&event).unwrap();
            csv.on(&event).unwrap();
            log.length()
        };
        assert_eq!(table(&storage), ["step,epoch,learning rate,images/s"]);
        on(&mut csv, progress(1, &["G", "D \"a\""]));
        let length = on(&mut csv, progress(2, &["G", "D \"a\""]));
        on(&mut csv, validated(2, f64::NAN));
        on(&mut csv, validated(3, 0.5));
        let all = [
            "step,epoch,learning rate,images/s,G,\"D \"\"a\"\"\",validation l1",
            "1,1,0.0002,3.5,0.25,0.25,",
            "2,1,0.0002,3.5,0.5,0.5,",
            "2,1,,,,,",
            "3,1,,,,,0.5",
        ];
        assert_eq!(table(&storage), all);
        // Gone on from an earlier checkpoint, it holds what the events file holds.
        drop(log);
        JsonLines::resume(shared.clone(), Path::new(EVENTS), length).unwrap();
        let mut csv = Csv::open(shared, Path::new(TABLE), Path::new(EVENTS)).unwrap();
        let header = "step,epoch,learning rate,images/s,G,\"D \"\"a\"\"\"";
        assert_eq!(table(&storage), [header, all[1].trim_end_matches(','), all[2].trim_end_matches(',')]);
        csv.on(&progress(5, &["G", "D \"a\""])).unwrap();
        assert_eq!(table(&storage)[3], "5,1,0.0002,3.5,1.25,1.25");
        // A table that somebody deletes or edits is written anew.
        storage.put(Path::new(TABLE), b"mine\n".to_vec());
        csv.on(&progress(6, &["G", "D \"a\""])).unwrap();
        assert_eq!(table(&storage).len(), 3, "of the events file alone");
    }

    #[test]
    fn a_table_stays_as_large_as_its_events() {
        let storage = VolatileStorage::new();
        let line = |i: u64| format!("{{\"step\":{i},\"epoch\":1,\"lr\":0.1,\"losses\":{{\"{i}\":1.0}}}}\n");
        let events: String = (0..2000).map(line).collect();
        storage.put(Path::new(EVENTS), events.into_bytes());
        Csv::open(Arc::new(storage.clone()), Path::new(TABLE), Path::new(EVENTS)).unwrap();
        let text = String::from_utf8(storage.content(Path::new(TABLE))).unwrap();
        assert_eq!(text.lines().count(), 2001);
        assert!(text.lines().all(|line| line.matches(',').count() == FIXED.len() + MOST_COLUMNS - 1));
    }

    #[test]
    fn a_failed_write_leaves_no_torn_row() {
        for fault in [Fault::Eio, Fault::Enospc, Fault::ShortWrite] {
            for at in 1..12 {
                let storage = VolatileStorage::new();
                let mut log = JsonLines::create(Arc::new(storage.clone()), Path::new(EVENTS)).unwrap();
                let faulty = Arc::new(FaultyStorage::once(storage.clone(), fault, at));
                let Ok(mut csv) = Csv::open(faulty.clone(), Path::new(TABLE), Path::new(EVENTS)) else { continue };
                for step in 1..=6 {
                    log.on(&progress(step, &["G"])).unwrap();
                    let _ = csv.on(&progress(step, &["G"]));
                }
                let rows = table(&storage);
                let whole = |row: &String| row.split(',').count() == 5;
                assert!(rows.iter().all(whole) && rows.len() >= 6, "{fault:?} at {at}: {rows:?}");
            }
        }
    }
}

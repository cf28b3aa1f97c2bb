//! Whether a method can be trained on a dataset, and by which command.

use super::attempt::{Attempt, Look, attempt, mode_of};
use super::text;
use super::wishes::Wishes;
use gan_data::{DataMode, suggest_folders};
use gan_train::MethodSpec;

/// What a method makes of a dataset.
#[derive(Debug, Clone)]
pub(super) struct Verdict {
    pub(super) method: &'static str,
    /// The reading that suits the files, or the one that is nearest to it; none if the method has none of the mode asked for.
    pub(super) best: Option<Attempt>,
    /// Why it cannot be trained on.
    pub(super) reason: Option<String>,
    /// The command that trains on it, if it can be.
    pub(super) command: Option<String>,
}

impl Verdict {
    /// What is to be said of a dataset that looks like two collections and is read as pairs: equal names may mean nothing.
    pub(super) fn doubt_pairs(&mut self) {
        let Some(best) = self.best.as_mut().filter(|best| best.fits() && best.data.mode == DataMode::Aligned) else {
            return;
        };
        let doubt = "only if images of one name show the same scene";
        let note = &mut best.reading.note;
        *note = Some(note.take().map_or(doubt.to_owned(), |note| format!("{doubt}; {note}")));
    }

    /// Tries all readings of the method.
    pub(super) fn of(method: &'static MethodSpec, wishes: &Wishes, look: &mut Look<'_>) -> anyhow::Result<Self> {
        let mut tried = Vec::new();
        for reading in (method.resolve)(&[])?.readings() {
            let mode = mode_of(method, &reading)?;
            if wishes.mode.is_some_and(|wished| wished != mode) {
                continue;
            }
            let named = attempt(method, &reading, &wishes.folders, wishes, look)?;
            let lost = named.finds_nothing() && wishes.folders.is_empty();
            let (fits, folders) = (named.fits(), if lost { suggest_folders(&wishes.root, mode) } else { None });
            tried.push(named);
            if fits {
                break;
            }
            if let Some(folders) = folders {
                tried.push(attempt(method, &reading, &folders, wishes, look)?);
                if tried.last().is_some_and(Attempt::fits) {
                    break;
                }
            }
        }
        let fitting = tried.iter().position(Attempt::fits);
        let nearest = (0..tried.len()).min_by_key(|&at| tried[at].distance());
        let best = fitting.or(nearest).map(|at| tried.swap_remove(at));
        let reason = match (&best, wishes.mode) {
            (Some(best), _) if best.fits() => None,
            (Some(best), _) => {
                let why = best.refusal.clone().unwrap_or_else(|| text::brief(&best.report.problems));
                Some(format!("it needs {}; {why}", best.reading.needs))
            }
            (None, mode) => {
                let mode = mode.map_or("this", |mode| mode.name());
                Some(format!("it does not read files of the mode {mode}"))
            }
        };
        let command = best.as_ref().filter(|_| reason.is_none()).map(|best| best.command(method.name, wishes));
        Ok(Self { method: method.name, best, reason, command })
    }
}

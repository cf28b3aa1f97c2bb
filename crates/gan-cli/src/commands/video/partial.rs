//! What an interrupted call leaves, so that the same call goes on: parts of the result, and how far they go.

use crate::exit::{BAD_MODEL, Coded, USAGE};
use crate::wording::worded;
use anyhow::{Context, bail};
use gan_fs::{Durability, FileLock, LockError, read_regular, replace};
use gan_translate::{Statistics, Steadier};
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

/// Frames of a part.
pub(super) const PART: u64 = 48;

const STATE: &str = "state.json";
const MAX_STATE: u64 = 16 << 20;
const FORMAT: u32 = 1;

/// How far a call has come.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct State {
    format: u32,
    /// What the result depends on.
    settings: String,
    /// Frames of the result that are there.
    pub(super) frames: u64,
    /// Width and height of the result, if a frame is there.
    pub(super) size: Option<(usize, usize)>,
    /// Names of the parts, in order.
    pub(super) parts: Vec<String>,
    /// The first frame of each scene whose statistics were gathered.
    pub(super) scenes: Vec<u64>,
}

/// The folder `OUT.partial`, of which one call has the use.
pub(super) struct Partial {
    folder: PathBuf,
    state: State,
    /// Held for its lock alone.
    _lock: FileLock,
}

impl Partial {
    /// Beside the output, as an earlier call of the same settings has left it, or empty.
    ///
    /// # Errors
    /// [`Coded`]: another call writes the same result, or one with other settings was interrupted.
    pub(super) fn open(output: &Path, settings: &str, restart: bool) -> anyhow::Result<Self> {
        let folder = beside(output);
        fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let lock = FileLock::acquire(&folder).map_err(|error| match error {
            LockError::Held { .. } => {
                Coded(USAGE, format!("{}: {error}: another call writes {}", folder.display(), output.display())).into()
            }
            LockError::Io(error) => anyhow::Error::from(error).context(format!("cannot use {}", folder.display())),
        })?;
        let fresh = State { format: FORMAT, settings: settings.to_owned(), ..State::default() };
        let path = folder.join(STATE);
        let state = match read_regular(&path, MAX_STATE) {
            Ok(bytes) if !restart => {
                let state: State = serde_json::from_slice(&bytes).map_err(|error| {
                    Coded(BAD_MODEL, format!("{} is damaged: {error}; --restart begins anew", path.display()))
                })?;
                if state.settings != fresh.settings || state.format != FORMAT {
                    bail!(Coded(
                        USAGE,
                        format!(
                            "{} is of a call with another input or other options, which was interrupted; --restart begins anew and forgets it",
                            folder.display()
                        )
                    ));
                }
                state
            }
            _ => fresh,
        };
        let partial = Partial { folder, state, _lock: lock };
        if partial.state.frames == 0 && partial.state.scenes.is_empty() {
            partial.clear(|_| false);
        }
        Ok(partial)
    }

    /// How far an earlier call has come.
    pub(super) fn state(&self) -> &State {
        &self.state
    }

    /// Where a file of it is.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The state of the filter after so many frames.
    pub(super) fn steady(&self, frames: u64) -> PathBuf {
        self.path(&steady_name(frames))
    }

    /// Writes down that the frames so far are in parts which are complete.
    pub(super) fn keep(&self, steadier: &Steadier, state: &State) -> anyhow::Result<()> {
        steadier.save(&self.steady(state.frames)).map_err(worded)?;
        self.write(state)?;
        let name = steady_name(state.frames);
        self.clear(|kept| kept == name || !kept.starts_with("steady-"));
        Ok(())
    }

    /// Keeps the statistics of scenes, and returns where these begin.
    pub(super) fn keep_scenes(&self, scenes: &[(u64, Statistics)]) -> anyhow::Result<Vec<u64>> {
        for (start, statistics) in scenes {
            statistics.save(&self.path(&scene_name(*start))).map_err(worded)?;
        }
        let starts: Vec<u64> = scenes.iter().map(|(start, _)| *start).collect();
        self.write(&State { scenes: starts.clone(), ..self.state.clone() })?;
        Ok(starts)
    }

    /// The statistics that were kept.
    pub(super) fn scenes(&self, starts: &[u64]) -> anyhow::Result<Vec<(u64, Statistics)>> {
        let load = |&start: &u64| Ok((start, Statistics::load(&self.path(&scene_name(start))).map_err(worded)?));
        starts.iter().map(load).collect()
    }

    fn write(&self, state: &State) -> anyhow::Result<()> {
        let bytes = serde_json::to_vec(state)?;
        replace(&self.path(STATE), Durability::Visible, |out| out.write_all(&bytes))?;
        Ok(())
    }

    /// Removes files of it that are not `kept`.
    fn clear(&self, kept: impl Fn(&str) -> bool) {
        let lock = FileLock::path_in(&self.folder);
        let Ok(entries) = fs::read_dir(&self.folder) else { return };
        for path in entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| *path != lock) {
            if path.file_name().is_some_and(|name| !kept(&name.to_string_lossy())) {
                // What cannot be removed is written over, or left to the user.
                let _ = fs::remove_file(path);
            }
        }
    }

    /// Removes it: the result is there.
    pub(super) fn remove(self) {
        self.clear(|_| false);
    }
}

/// A folder in which nothing is kept goes with the call.
impl Drop for Partial {
    fn drop(&mut self) {
        let lock = FileLock::path_in(&self.folder);
        let empty = fs::read_dir(&self.folder).is_ok_and(|entries| entries.flatten().all(|entry| entry.path() == lock));
        if empty {
            let _ = fs::remove_file(lock);
            let _ = fs::remove_dir(&self.folder);
        }
    }
}

fn beside(output: &Path) -> PathBuf {
    let mut name: OsString =
        output.components().next_back().map(|part| part.as_os_str().to_owned()).unwrap_or_default();
    name.push(".partial");
    output.with_file_name(name)
}

fn steady_name(frames: u64) -> String {
    format!("steady-{frames:08}.safetensors")
}

fn scene_name(start: u64) -> String {
    format!("scene-{start:08}.json")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::exit::code_of;
    use gan_translate::SteadyOptions;

    #[test]
    fn what_was_kept_is_found_again_by_the_same_settings_alone() {
        let folder = tempfile::tempdir().unwrap();
        let output = folder.path().join("out.mp4");
        let partial = Partial::open(&output, "a", false).unwrap();
        assert_eq!(code_of(&Partial::open(&output, "a", false).err().unwrap()), USAGE);
        let steadier = Steadier::new(SteadyOptions::default());
        for frames in [48, 96] {
            let state = State { frames, parts: vec!["part".into()], ..partial.state().clone() };
            partial.keep(&steadier, &state).unwrap();
        }
        assert!(partial.steady(96).exists() && !partial.steady(48).exists());
        drop(partial);
        assert!(beside(&output).exists());
        let again = Partial::open(&output, "a", false).unwrap();
        assert_eq!((again.state().frames, again.state().parts.len()), (96, 1));
        drop(again);
        let error = Partial::open(&output, "b", false).err().unwrap();
        assert!(error.to_string().contains("--restart"), "{error}");
        let anew = Partial::open(&output, "b", true).unwrap();
        assert_eq!(anew.state().frames, 0);
        anew.remove();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn it_lies_beside_the_output() {
        assert_eq!(beside(Path::new("a/out.mp4")), Path::new("a/out.mp4.partial"));
        assert_eq!(beside(Path::new("frames/")), Path::new("frames.partial"));
    }
}

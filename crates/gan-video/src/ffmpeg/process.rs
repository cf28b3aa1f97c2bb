//! Children whose last words are kept.

use crate::{Error, Result};
use std::collections::VecDeque;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

/// Lines of a child's complaints that are kept.
const LINES: usize = 4;

/// A command that reads no terminal and does not hear the terminal's Ctrl-C: who started it ends it.
pub(super) fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    command
}

/// A running ffmpeg.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) child: Child,
    complaints: Option<JoinHandle<String>>,
    action: &'static str,
    path: PathBuf,
}

impl Running {
    /// Starts a command that is to do `action` with `path`.
    pub(super) fn start(mut command: Command, action: &'static str, path: &Path) -> Result<Self> {
        let child = match command.spawn() {
            Ok(child) => child,
            Err(source) => return Err(Error::NoFfmpeg { program: command.get_program().into(), source }),
        };
        let mut running = Running { child, complaints: None, action, path: path.to_owned() };
        if let Some(stderr) = running.child.stderr.take() {
            running.complaints = std::thread::Builder::new().spawn(move || last_lines(stderr)).ok();
        }
        Ok(running)
    }

    /// Waits for its end.
    pub(super) fn finish(mut self) -> Result<()> {
        let status = self.child.wait();
        self.judge(status)
    }

    fn judge(&mut self, status: std::io::Result<ExitStatus>) -> Result<()> {
        let said = self.complaints.take().and_then(|thread| thread.join().ok()).unwrap_or_default();
        match status {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => {
                let said = if said.is_empty() { status.to_string() } else { said };
                Err(Error::Ffmpeg { action: self.action, path: self.path.clone(), said })
            }
            Err(source) => Err(Error::Io { action: "wait for", source }),
        }
    }

    /// What it complains of, if it has ended; else the other error.
    pub(super) fn or(mut self, error: Error) -> Error {
        let _ = self.child.stdin.take();
        // One that goes on has nothing to say.
        for _ in 0..40 {
            if !matches!(self.child.try_wait(), Ok(None)) {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        if matches!(self.child.try_wait(), Ok(None)) {
            return error;
        }
        let status = self.child.wait();
        self.judge(status).err().unwrap_or(error)
    }
}

/// Who lets go of it early has no more use for it.
impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}

/// Reads to the end and keeps the last lines.
fn last_lines(stderr: ChildStderr) -> String {
    let mut last = VecDeque::new();
    for line in BufReader::new(stderr).split(b'\n').map_while(std::result::Result::ok) {
        let line: String = String::from_utf8_lossy(&line).trim().chars().take(300).collect();
        if !line.is_empty() {
            last.push_back(line);
        }
        if last.len() > LINES {
            last.pop_front();
        }
    }
    Vec::from(last).join("; ")
}

//! In place of the full-screen view, where the program is built without it.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// There is none.
pub(crate) enum Screen {}

impl Screen {
    pub(crate) fn is_possible() -> bool {
        false
    }

    pub(crate) fn open(_title: &str, _stop: Arc<AtomicBool>) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(crate) fn load(&self, _events: &Path) {
        match *self {}
    }

    pub(crate) fn progress(&self, _step: u64, _total: u64, _facts: String) {
        match *self {}
    }

    pub(crate) fn point(&self, _name: &str, _step: u64, _value: f64) {
        match *self {}
    }

    pub(crate) fn rewind(&self, _step: u64) {
        match *self {}
    }
}

pub(crate) fn restore() {}

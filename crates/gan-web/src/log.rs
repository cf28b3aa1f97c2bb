//! What a server tells of each request.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// One request that was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// Its number, counted from 1; also in the header `x-request-id` of the answer.
    pub request: u64,
    /// The method.
    pub method: String,
    /// The path without the query.
    pub path: String,
    /// The status of the answer.
    pub status: u16,
    /// Time from the end of the headers to the beginning of the answer.
    pub time: Duration,
    /// What went wrong in the server, in words that are not for clients: they may hold paths.
    pub failure: Option<String>,
}

/// The observer of each request.
#[derive(Clone, Default)]
pub struct Log(Option<Listener>);

type Listener = Arc<dyn Fn(&Served) + Send + Sync>;

impl Log {
    /// Tells `listener` of each request, on the thread that serves.
    pub fn new(listener: impl Fn(&Served) + Send + Sync + 'static) -> Self {
        Log(Some(Arc::new(listener)))
    }

    pub(crate) fn tell(&self, served: &Served) {
        if let Some(listener) = &self.0 {
            listener(served);
        }
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Log(…)" } else { "Log(nobody)" })
    }
}

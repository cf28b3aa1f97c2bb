//! Local web pages: a run that is being trained, a trained model to try.
//!
//! [`Server::bind`] opens a port, [`Server::run`] serves an [`App`] until it is told to stop. [`translate_app`] is the page and the
//! API that try models, [`watch_app`] the page that follows runs, [`Standalone`] the page that needs no server.
//! Nothing here prints: what a server has to say goes through
//! [`Listen::log`].
//!
//! The default posture is that of a local tool. A server listens on the loopback interface and answers only to the names of this
//! machine; on any other address it wants a token. Nothing that a request holds becomes a path.

#![forbid(unsafe_code)]

mod connection;
mod error;
mod gate;
mod headers;
mod limits;
mod log;
mod reply;
mod server;
mod token;
mod translate;
mod watch;

pub use error::{Error, Result};
pub use limits::Limits;
pub use log::{Log, Served};
pub use server::{App, Listen, Server};
pub use token::Token;
pub use translate::{
    Backend, Choice, Draw, Engine, EngineOptions, LabelColour, Made, ModelEngine, ModelFacts, ModelInput, Refusal,
    Standalone, Twin, Work, translate_app,
};
pub use watch::watch_app;

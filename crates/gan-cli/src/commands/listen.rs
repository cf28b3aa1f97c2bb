//! Where pages are served, and how their server ends.

use crate::exit::{Coded, Done, USAGE};
use crate::interrupt;
use gan_web::{App, Error, Limits, Listen, Log, Served, Server};
use std::process::{Command, Stdio};

#[derive(clap::Args)]
pub(crate) struct ListenArgs {
    /// Address to listen on. On any other than this machine's own (127.0.0.1, ::1) every request needs the token that is printed
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    host: String,
    /// Port; the default is the first free one from 7878 on
    #[arg(long, value_name = "N")]
    port: Option<u16>,
    /// A further name that the server answers to, with or without a port: behind a proxy, a tunnel, or a name on the network
    #[arg(long, value_name = "NAME")]
    allow_host: Vec<String>,
    /// Open the page in the browser
    #[arg(long)]
    open: bool,
    /// Print a line of JSON about each request, to standard error
    #[arg(long)]
    log: bool,
}

impl ListenArgs {
    /// Opens the port.
    pub(crate) fn bind(&self) -> anyhow::Result<Server> {
        let log_all = self.log;
        let listen = Listen {
            host: self.host.clone(),
            port: self.port,
            allow_hosts: self.allow_host.clone(),
            limits: Limits::default(),
            log: Log::new(move |served| told(served, log_all)),
            ..Listen::default()
        };
        Server::bind(&listen).map_err(|error| match error {
            Error::Listen { address, reason } => {
                Coded(USAGE, format!("cannot listen on {address}: {reason}; name another --port or --host")).into()
            }
            Error::Host { host, reason } => {
                Coded(USAGE, format!("--host {host} is no address of this machine: {reason}")).into()
            }
            other => other.into(),
        })
    }

    /// Serves until a signal comes. `what` is said with the address.
    pub(crate) fn serve(&self, server: Server, app: App, what: &str) -> anyhow::Result<Done> {
        let stop = interrupt::flag_saying("ending; press Ctrl-C again to quit now");
        let url = server.url();
        out!("{what}: {url}");
        if server.token().is_some() {
            note!(
                "anybody with this link can use the server; programs send the token as `Authorization: Bearer TOKEN`"
            );
        }
        note!("press Ctrl-C to end");
        if self.open {
            open(&url);
        }
        server.run(app, &stop)?;
        Ok(Done::Complete)
    }
}

/// Tells of a request: of all, or of those that went wrong in the server.
fn told(served: &Served, all: bool) {
    if all {
        let Served { request, method, path, status, time, failure } = served;
        let milliseconds = (time.as_secs_f64() * 1e4).round() / 10.0;
        let line = serde_json::json!({
            "request": request, "method": method, "path": path, "status": status, "ms": milliseconds, "failure": failure,
        });
        note!("{line}");
    } else if let Some(failure) = &served.failure {
        note!("request {} failed: {failure}", served.request);
    }
}

/// Opens an address in the browser, where the system has a way to.
fn open(url: &str) {
    let (program, first) = match std::env::consts::OS {
        "macos" => ("open", None),
        "windows" => ("rundll32", Some("url.dll,FileProtocolHandler")),
        _ => ("xdg-open", None),
    };
    let mut command = Command::new(program);
    command.args(first).arg(url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if command.spawn().is_err() {
        note!("note: there is no {program} here: open the address yourself");
    }
}

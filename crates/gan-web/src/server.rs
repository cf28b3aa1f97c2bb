//! A port, and what is served on it.

use crate::connection::{Connection, Connections, Impatient};
use crate::error::{Error, Result};
use crate::gate::{Gate, guard};
use crate::limits::Limits;
use crate::log::Log;
use crate::reply::Problem;
use crate::token::Token;
use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, ToSocketAddrs};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// How often the flag that ends a server is looked at.
const LOOK: Duration = Duration::from_millis(50);
/// Ports that are tried where none was asked for.
const PORTS: u16 = 32;

/// Where a server listens.
#[derive(Debug, Clone)]
pub struct Listen {
    /// An address of this machine, or a name of one. On any other than those of the loopback interface the server wants a token.
    pub host: String,
    /// The port, which has to be free; 0 for any. Without one, the first free one from [`Listen::first_port`] on.
    pub port: Option<u16>,
    /// The first port that is tried.
    pub first_port: u16,
    /// Further names that the server answers to, with or without a port.
    pub allow_hosts: Vec<String>,
    /// What requests may take.
    pub limits: Limits,
    /// The observer of each request.
    pub log: Log,
}

impl Default for Listen {
    fn default() -> Self {
        Listen {
            host: "127.0.0.1".to_owned(),
            port: None,
            first_port: 7878,
            allow_hosts: Vec::new(),
            limits: Limits::default(),
            log: Log::default(),
        }
    }
}

/// What a server serves.
#[derive(Debug)]
pub struct App {
    pub(crate) router: Router,
}

/// Becomes true when the server ends. An extension of every request, as the [`Connection`] is.
pub(crate) type Stopping = watch::Receiver<bool>;

/// Waits until the server ends.
pub(crate) async fn ended(stopping: &mut Stopping) {
    let _ = stopping.wait_for(|stop| *stop).await;
}

/// A port that is open.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    token: Option<Token>,
    listen: Listen,
}

impl Server {
    /// Opens the port. Nothing is answered before [`Server::run`].
    ///
    /// # Errors
    /// [`Error::Host`] and [`Error::Listen`].
    pub fn bind(listen: &Listen) -> Result<Self> {
        let ip = resolve(&listen.host)?;
        let refused =
            |port: u16, reason: io::Error| Error::Listen { address: SocketAddr::new(ip, port).to_string(), reason };
        let open = |port: u16| TcpListener::bind((ip, port)).map_err(|reason| refused(port, reason));
        let listener = match listen.port {
            Some(port) => open(port)?,
            None => {
                let mut tried = (listen.first_port..listen.first_port.saturating_add(PORTS)).map(open);
                let in_use = |tried: &Result<TcpListener>| matches!(tried, Err(Error::Listen { reason, .. }) if reason.kind() == io::ErrorKind::AddrInUse);
                tried.find(|tried| !in_use(tried)).unwrap_or_else(|| open(0))?
            }
        };
        listener.set_nonblocking(true).map_err(Error::System)?;
        let address = listener.local_addr().map_err(Error::System)?;
        let token = (!ip.is_loopback()).then(Token::random);
        Ok(Server { listener, address, token, listen: listen.clone() })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What opens the page, with the token where there is one.
    #[must_use]
    pub fn url(&self) -> String {
        let ip = self.address.ip();
        // `0.0.0.0` leads nowhere from elsewhere: the reader puts in a name of the machine.
        let host = match &*self.listen.host {
            host if ip.is_unspecified() || host.parse::<IpAddr>().is_ok() => {
                SocketAddr::new(ip, self.address.port()).to_string()
            }
            name => format!("{name}:{}", self.address.port()),
        };
        match &self.token {
            Some(token) => format!("http://{host}/?token={}", token.digits()),
            None => format!("http://{host}/"),
        }
    }

    /// What every request has to bring; `None` on the loopback interface.
    #[must_use]
    pub fn token(&self) -> Option<&Token> {
        self.token.as_ref()
    }

    /// Serves until `stop` is set. Answers that are under way then get [`Limits::shutdown`].
    ///
    /// # Errors
    /// [`Error::System`].
    pub fn run(self, app: App, stop: &AtomicBool) -> Result<()> {
        let Server { listener, address, token, listen } = self;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(2).build();
        let runtime = runtime.map_err(Error::System)?;
        let (sender, stopping) = watch::channel(false);
        let mut names = listen.allow_hosts.clone();
        if !address.ip().is_loopback() && !address.ip().is_unspecified() {
            names.push(listen.host.clone());
            names.push(SocketAddr::new(address.ip(), address.port()).to_string());
        }
        let gate = Gate::new(address.port(), &names, address.ip().is_unspecified(), token, listen.log.clone());
        let nothing = || async { Problem::new(StatusCode::NOT_FOUND, "there is nothing at this address") };
        let no_method = || async { Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this address takes another method") };
        let router = app.router.fallback(nothing).method_not_allowed_fallback(no_method);
        let router = router.layer(DefaultBodyLimit::max(listen.limits.body_bytes));
        let router = router.layer(from_fn_with_state(Arc::new(gate), guard));
        let served = runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).map_err(Error::System)?;
            let told = async {
                while !stop.load(Ordering::Relaxed) {
                    tokio::time::sleep(LOOK).await;
                }
                let _ = sender.send(true);
            };
            tokio::join!(serve(listener, router, listen.limits, stopping), told);
            Ok(())
        });
        // A thread that decodes may take its time; nobody waits for what it makes.
        runtime.shutdown_background();
        served
    }
}

/// The address that a name leads to; that of IPv4 if there are several.
fn resolve(host: &str) -> Result<IpAddr> {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if let Ok(ip) = bare.parse() {
        return Ok(ip);
    }
    let failed = |reason: String| Error::Host { host: host.to_owned(), reason };
    let mut found: Vec<IpAddr> = match (bare, 0).to_socket_addrs() {
        Ok(found) => found.map(|address| address.ip()).collect(),
        Err(error) => return Err(failed(error.to_string())),
    };
    found.sort_by_key(IpAddr::is_ipv6);
    found.first().copied().ok_or_else(|| failed("it has no address".to_owned()))
}

/// Accepts connections until the server ends, then waits for their answers.
async fn serve(listener: tokio::net::TcpListener, router: Router, limits: Limits, mut stopping: Stopping) {
    let slots = Arc::new(Semaphore::new(limits.connections));
    let connections = Connections::default();
    let mut number = 0u64;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = ended(&mut stopping) => break,
        };
        let Ok((stream, peer)) = accepted else {
            // No more files can be open: some of them will be closed.
            connections.close_one(Duration::ZERO);
            tokio::time::sleep(LOOK).await;
            continue;
        };
        let slot = tokio::select! {
            slot = free_slot(&slots, &connections, limits.grace) => slot,
            () = ended(&mut stopping) => break,
        };
        number += 1;
        let registered = connections.register(number, peer.ip());
        let (router, stopping) = (router.clone(), stopping.clone());
        tokio::spawn(async move {
            let _ = stream.set_nodelay(true);
            let io = TokioIo::new(Impatient::new(stream, limits.write_time));
            converse(io, router, &limits, &registered.connection, stopping).await;
            drop((registered, slot));
        });
    }
    drop(listener);
    let all = u32::try_from(limits.connections).unwrap_or(u32::MAX);
    let _ = tokio::time::timeout(limits.shutdown, slots.acquire_many(all)).await;
}

/// Room for a connection, as soon as there is some.
async fn free_slot(slots: &Arc<Semaphore>, connections: &Connections, grace: Duration) -> Option<OwnedSemaphorePermit> {
    loop {
        match tokio::time::timeout(LOOK, slots.clone().acquire_owned()).await {
            Ok(slot) => return slot.ok(),
            Err(_) => connections.close_one(grace),
        }
    }
}

/// One connection, to its end.
async fn converse(
    io: TokioIo<Impatient>,
    router: Router,
    limits: &Limits,
    connection: &Connection,
    mut stopping: Stopping,
) {
    let inner = TowerToHyperService::new(router);
    let (own, ends) = (connection.clone(), stopping.clone());
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(own.clone());
        request.extensions_mut().insert(ends.clone());
        inner.call(request)
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limits.header_time).max_header_size(limits.header_bytes);
    let mut conversation = pin!(http.serve_connection(io, service));
    let mut told = false;
    loop {
        tokio::select! {
            _ = conversation.as_mut() => return,
            () = connection.closed() => return,
            () = ended(&mut stopping), if !told => {
                told = true;
                conversation.as_mut().graceful_shutdown();
            }
        }
    }
}

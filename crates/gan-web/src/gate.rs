//! Who may ask: names of this server, pages of this server, and on a network those who know the token.

use crate::headers::secure;
use crate::log::{Log, Served};
use crate::reply::{Failure, Problem};
use crate::token::Token;
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, COOKIE, HOST, HeaderMap, HeaderName, LOCATION, ORIGIN, SET_COOKIE};
use axum::http::{HeaderValue, Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// The header that a page of another origin cannot send without being asked first.
const OWN_HEADER: &str = "x-gan";
/// The cookie that stands for the token.
const SESSION: &str = "gan-session";

/// Decides about each request before anything else looks at it.
#[derive(Debug)]
pub(crate) struct Gate {
    /// `host:port` in lower case.
    hosts: Vec<String>,
    /// The port, where every address is one of this server: it listens on all of them. A page of another site can have its name lead
    /// here, but its name is no address.
    any_address: Option<u16>,
    key: Option<Key>,
    log: Log,
    requests: AtomicU64,
}

/// What opens the gate on a network.
#[derive(Debug)]
struct Key {
    token: Token,
    session: Token,
}

impl Gate {
    /// The gate of a server on `port`, for these names beside those of the loopback interface. With a token, only who knows it is let in.
    pub(crate) fn new(port: u16, names: &[String], any_address: bool, token: Option<Token>, log: Log) -> Self {
        let own = ["127.0.0.1", "localhost", "[::1]"].map(String::from);
        let with_port = |name: &String| {
            let name = name.to_ascii_lowercase();
            // Browsers leave out port 80.
            if port == 80 { vec![format!("{name}:80"), name] } else { vec![format!("{name}:{port}")] }
        };
        let own = own.iter().flat_map(with_port);
        // A name that was allowed may come with a port of its own, as behind a proxy or a tunnel.
        let given = names.iter().flat_map(|name| {
            let mut all = with_port(name);
            all.push(name.to_ascii_lowercase());
            all
        });
        let key = token.map(|token| Key { token, session: Token::random() });
        let any_address = any_address.then_some(port);
        Gate { hosts: own.chain(given).collect(), any_address, key, log, requests: AtomicU64::new(0) }
    }

    /// Whether `host:port` is this server.
    fn knows(&self, authority: &str) -> bool {
        let authority = authority.to_ascii_lowercase();
        self.hosts.contains(&authority) || self.any_address.is_some_and(|port| is_address(&authority, port))
    }

    fn check(&self, request: &Request) -> Result<(), Problem> {
        let misdirected = || {
            let sentence = "this server does not answer to that name: use the address that it printed, or start it with --allow-host";
            Problem::new(StatusCode::MISDIRECTED_REQUEST, sentence)
        };
        let mut hosts = request.headers().get_all(HOST).iter();
        let host = hosts.next().and_then(|host| host.to_str().ok()).ok_or_else(misdirected)?;
        let named_in_line = request.uri().authority().is_none_or(|authority| self.knows(authority.as_str()));
        if hosts.next().is_some() || !self.knows(host) || !named_in_line {
            return Err(misdirected());
        }
        self.check_origin(request)
    }

    /// Refuses what pages of other sites send. Programs send no origin, and need nothing.
    fn check_origin(&self, request: &Request) -> Result<(), Problem> {
        let refused = |sentence: &str| Problem::new(StatusCode::FORBIDDEN, sentence);
        let foreign = || refused("pages of other sites may not ask this server");
        let headers = request.headers();
        let reads = matches!(*request.method(), Method::GET | Method::HEAD);
        if let Some(site) = text(headers, &HeaderName::from_static("sec-fetch-site")) {
            // A link on another page may lead here.
            let link = reads && text(headers, &HeaderName::from_static("sec-fetch-mode")) == Some("navigate");
            let to_page = link && request.uri().path() == "/";
            if !to_page && !matches!(site, "same-origin" | "none") {
                return Err(foreign());
            }
        }
        let mut origins = headers.get_all(ORIGIN).iter();
        let Some(origin) = origins.next() else { return Ok(()) };
        let own = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
        let own = own.is_some_and(|(scheme, host)| matches!(scheme, "http" | "https") && self.knows(host));
        if !own || origins.next().is_some() {
            return Err(foreign());
        }
        if !reads && text(headers, &HeaderName::from_static(OWN_HEADER)) != Some("1") {
            return Err(refused("requests of a page need the header X-Gan: 1"));
        }
        Ok(())
    }

    /// Lets in who knows the token. A link with the token becomes a cookie, so that the token does not stay in the address line.
    fn admit(&self, request: &Request) -> Result<Option<Response>, Problem> {
        let Some(key) = &self.key else { return Ok(None) };
        let headers = request.headers();
        let bearer = text(headers, &AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer "));
        let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut cookies = cookies.flat_map(|value| value.split(';')).filter_map(|cookie| cookie.trim().split_once('='));
        let has_cookie = cookies.any(|(name, value)| name == SESSION && key.session.is(value));
        if has_cookie || bearer.is_some_and(|token| key.token.is(token.trim())) {
            return Ok(None);
        }
        if request.uri().path() == "/" && token_in(request.uri()).is_some_and(|token| key.token.is(token)) {
            let cookie = format!("{SESSION}={}; HttpOnly; SameSite=Strict; Path=/", key.session.digits());
            let mut response = StatusCode::SEE_OTHER.into_response();
            response.headers_mut().insert(LOCATION, HeaderValue::from_static("/"));
            if let Ok(cookie) = HeaderValue::from_str(&cookie) {
                response.headers_mut().insert(SET_COOKIE, cookie);
            }
            return Ok(Some(response));
        }
        let sentence = "open the link that the server printed, or send its token as Authorization: Bearer TOKEN";
        Err(Problem::new(StatusCode::UNAUTHORIZED, sentence))
    }
}

/// Checks a request, passes it on, and completes the answer.
pub(crate) async fn guard(State(gate): State<Arc<Gate>>, request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let number = gate.requests.fetch_add(1, Ordering::Relaxed) + 1;
    let (method, path) = (request.method().to_string(), request.uri().path().to_owned());
    let checked = gate.check(&request).and_then(|()| gate.admit(&request));
    let mut response = match checked {
        Ok(None) => next.run(request).await,
        Ok(Some(response)) => response,
        Err(problem) => problem.into_response(),
    };
    secure(response.headers_mut(), number);
    let failure = response.extensions_mut().remove::<Failure>().map(|Failure(text)| text);
    let status = response.status().as_u16();
    gate.log.tell(&Served { request: number, method, path, status, time: begun.elapsed(), failure });
    response
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn token_in(uri: &Uri) -> Option<&str> {
    uri.query()?.split('&').find_map(|pair| pair.strip_prefix("token="))
}

/// Whether this is an address, not a name, with this port.
fn is_address(authority: &str, port: u16) -> bool {
    let Some((host, given)) = authority.rsplit_once(':') else { return false };
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let address = match bare {
        Some(host) => host.parse::<IpAddr>().is_ok_and(|address| address.is_ipv6()),
        None => host.parse::<IpAddr>().is_ok_and(|address| address.is_ipv4()),
    };
    address && given == port.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(port: u16, names: &[&str], any_address: bool) -> Gate {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        Gate::new(port, &names, any_address, None, Log::default())
    }

    #[test]
    fn names_of_this_machine_with_the_port() {
        let local = gate(7878, &[], false);
        for own in ["127.0.0.1:7878", "localhost:7878", "LocalHost:7878", "[::1]:7878"] {
            assert!(local.knows(own), "{own}");
        }
        for other in [
            "localhost",
            "127.0.0.1",
            "localhost:80",
            "localhost.:7878",
            "127.0.0.2:7878",
            "10.0.0.9:7878",
            "evil.example:7878",
            "",
            ":7878",
        ] {
            assert!(!local.knows(other), "{other}");
        }
        assert!(gate(80, &[], false).knows("localhost"));
    }

    #[test]
    fn names_that_were_allowed_and_addresses_of_a_server_on_all() {
        let named = gate(7878, &["lab.example", "localhost:9000"], false);
        for own in ["lab.example:7878", "LAB.example", "localhost:9000"] {
            assert!(named.knows(own), "{own}");
        }
        assert!(!named.knows("lab.example.evil:7878") && !named.knows("10.0.0.9:7878"));
        let all = gate(7878, &[], true);
        assert!(all.knows("10.0.0.9:7878") && all.knows("[fe80::1]:7878"));
        for other in ["10.0.0.9:80", "evil.example:7878", "fe80::1:7878", "[10.0.0.9]:7878", "10.0.0.9"] {
            assert!(!all.knows(other), "{other}");
        }
    }
}

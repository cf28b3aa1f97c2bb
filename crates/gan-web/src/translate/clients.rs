//! How many requests of one client are worked on.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// Requests that are worked on or wait, by client. Programs of this machine are all alike to the server, so they are not counted: the
/// queue is their limit.
#[derive(Debug, Clone)]
pub(crate) struct Clients {
    most: usize,
    requests: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// A request of a client, until this is dropped.
#[derive(Debug)]
pub(crate) struct Counted {
    clients: Clients,
    client: Option<IpAddr>,
}

impl Clients {
    pub(crate) fn new(most: usize) -> Self {
        Clients { most, requests: Arc::default() }
    }

    /// Counts a request; `None` if the client has as many as it may have.
    pub(crate) fn count(&self, client: IpAddr) -> Option<Counted> {
        if client.is_loopback() {
            return Some(Counted { clients: self.clone(), client: None });
        }
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        let count = requests.entry(client).or_default();
        if *count >= self.most {
            return None;
        }
        *count += 1;
        Some(Counted { clients: self.clone(), client: Some(client) })
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let Some(client) = self.client else { return };
        let mut requests = self.clients.requests.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = requests.get_mut(&client) {
            *count -= 1;
            if *count == 0 {
                requests.remove(&client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn each_client_has_its_share() {
        let clients = Clients::new(2);
        let [one, other, own] = ["10.0.0.1", "10.0.0.2", "127.0.0.1"].map(|ip| ip.parse().unwrap());
        let held = [clients.count(one).unwrap(), clients.count(one).unwrap()];
        assert!(clients.count(one).is_none() && clients.count(other).is_some());
        assert!((0..9).map(|_| clients.count(own).unwrap()).collect::<Vec<_>>().len() == 9);
        drop(held);
        assert!(clients.count(one).is_some());
        assert!(clients.requests.lock().unwrap().is_empty());
    }
}

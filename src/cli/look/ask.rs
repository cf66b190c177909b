//! Whom to ask, and the asking.

use crate::config;
use serde_json::Value;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;
use wanctl_hal::linux;

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Whom to ask, and what to show there.
#[derive(Debug)]
pub(super) struct Endpoint {
    address: SocketAddr,
    token: Option<String>,
}

/// An answer.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) status: u16,
    pub(super) body: String,
}

impl Asked {
    pub(super) fn json(&self) -> Result<Value, String> {
        serde_json::from_str(&self.body).map_err(|e| format!("this is no answer of wanctl: {e}"))
    }
}

impl Endpoint {
    /// By URL if one is given; else what the configuration says, read without its other sections.
    pub(super) fn find(url: Option<&str>, path: &Path) -> Result<Self, String> {
        let env = |name: &str| std::env::var(name).ok();
        if let Some(url) = url {
            let address = url.strip_prefix("http://").map(|rest| rest.trim_end_matches('/'));
            let address = address.and_then(|rest| rest.parse().ok());
            let right = "--url must be http:// with an address and a port, such as http://127.0.0.1:9178";
            return Ok(Self { address: address.ok_or(right)?, token: env("WANCTL_OBSERVE_TOKEN") });
        }
        let observe = config::load_observe(path, &env).map_err(|faults| faults.to_string())?;
        let nobody = || format!("{}: observe.listen = \"off\", so nobody can be asked", path.display());
        let listen = observe.listen.ok_or_else(nobody)?;
        let ip = match listen.ip() {
            ip if !ip.is_unspecified() => ip,
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        };
        let token = observe.token.map(|token| token.reveal().to_owned());
        Ok(Self { address: SocketAddr::new(ip, listen.port()), token })
    }

    /// Asks for a page.
    pub(super) fn ask(&self, page: &str) -> Result<Asked, String> {
        let token = self.token.as_ref().map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
        let request = format!("GET {page} HTTP/1.0\r\nHost: {}\r\n{token}\r\n", self.address);
        let answer = linux::fetch(self.address, request.as_bytes(), PATIENCE).map_err(|e| {
            format!("nobody answers at http://{}: {e}. Is wanctl running there? (--url, observe.listen)", self.address)
        })?;
        let answer = String::from_utf8_lossy(&answer);
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
        match status {
            401 => Err(format!("http://{} wants a token: observe.token_file or WANCTL_OBSERVE_TOKEN", self.address)),
            200 | 503 => Ok(Asked { status, body: body.to_owned() }),
            _ => Err(format!("http://{}{page} says {}", self.address, head.lines().next().unwrap_or("nothing"))),
        }
    }
}

//! This machine, for commands that keep nothing: a board, the router's address, and one request
//! at a time.

use super::run::look_up;
use crate::config::{Router, Trust, Url};
use crate::daemon::{Restored, link};
use crate::routeros::{Client, Settings};
use crate::types::{Duration, Intent, Item, LinkError, RouterError, TlsFault};
use std::net::SocketAddr;
use std::path::PathBuf;
use wanctl_hal::linux::{LinuxBoard, StateDirectory};
use wanctl_hal::{Board, LinkEvent, LinkTarget};

/// How long one request to the router may take in all.
const ROUTER_TIME: Duration = Duration::from_secs(8);

/// How long to sleep at most before looking again.
const NAP: Duration = Duration::from_millis(50);

/// A board with a state directory of its own, so that it works beside a running daemon.
pub(super) struct Machine {
    pub(super) board: LinuxBoard,
    scratch: PathBuf,
}

impl Machine {
    pub(super) fn new(target: &LinkTarget) -> Result<Self, String> {
        let scratch = std::env::temp_dir().join(format!("wanctl-scratch-{}", std::process::id()));
        let directory = StateDirectory::open(&scratch).map_err(|e| e.to_string())?;
        let board = LinuxBoard::new(directory, target).map_err(|e| e.to_string())?;
        Ok(Self { board, scratch })
    }

    /// The certificate that the server at `url` shows.
    ///
    /// # Errors
    /// What to tell the user.
    pub(super) fn certificate(url: &Url) -> Result<[u8; 32], String> {
        // No certificate has this fingerprint, so the handshake ends as soon as the certificate was
        // seen. No request is ever given to the board: nothing but the handshake can be sent.
        let target = LinkTarget { server_name: url.host.clone(), trust: Trust::Fingerprint([0; 32]) };
        let mut machine = Self::new(&target)?;
        let address = look_up(url, &Restored::default(), &|| false)?;
        let board = &mut machine.board;
        let end = board.clock().now + ROUTER_TIME;
        board.link_open(address);
        while board.clock().now < end {
            match board.link_poll() {
                Some(LinkEvent::Down(LinkError::Tls(TlsFault::Fingerprint(_, seen)))) => return Ok(seen),
                Some(LinkEvent::Down(error)) => return Err(RouterError::Link(error).to_string()),
                Some(LinkEvent::Open { .. }) => return Err("the certificate can't be told".to_owned()),
                None => {}
            }
            let now = board.clock().now;
            board.wait((now + NAP).min(end));
        }
        Err(RouterError::ConnectTimeout.to_string())
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.scratch);
    }
}

/// A conversation with the router, request by request.
pub(super) struct Conversation<'a> {
    board: &'a mut LinuxBoard,
    client: Client,
    address: SocketAddr,
}

impl<'a> Conversation<'a> {
    pub(super) fn new(machine: &'a mut Machine, router: &Router, address: SocketAddr) -> Self {
        let settings = Settings {
            host: router.url.host_header(),
            credentials: format!("{}:{}", router.user, router.password.reveal()),
            connect_timeout: router.connect_timeout.min(ROUTER_TIME),
            response_timeout: router.response_timeout.min(ROUTER_TIME),
        };
        Self { board: &mut machine.board, client: Client::new(settings, 1), address }
    }

    /// One request, from start to end.
    pub(super) fn ask(&mut self, intent: Intent, mut sink: impl FnMut(Item)) -> Result<(), RouterError> {
        let Self { board, client, address } = self;
        let mut buffer = vec![0; 4096];
        let end = board.clock().now + ROUTER_TIME;
        let mut intent = Some(intent);
        loop {
            let now = board.clock().now;
            if now >= end {
                return Err(RouterError::ResponseTimeout);
            }
            while link::input(*board, client, &mut buffer, now, &mut sink).moved {}
            client.tick(now);
            if let Some((_, result)) = client.take_outcome() {
                return result.map(drop);
            }
            if client.is_free(now)
                && let Some(intent) = intent.take()
            {
                client.start(now, intent);
            }
            link::output(*board, client, *address, now);
            board.wait((now + NAP).min(end));
        }
    }
}

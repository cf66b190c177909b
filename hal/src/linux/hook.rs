//! The connection that alerts leave by: one at a time, its name looked up on the way, and no reason to end a sleep.

use super::link::Link;
use super::resolve::{Begun, Look, begin};
use super::tls::Tls;
use crate::board::{BadTrust, LinkError, LinkEvent, LinkIo, LinkTarget, MAX_HOOKS};
use core::net::{IpAddr, SocketAddr};
use mio::{Registry, Token};

/// Whom a rule tells.
#[derive(Debug)]
struct Target {
    host: String,
    tls: Option<Tls>,
}

/// All targets, and the connection to one of them or none.
#[derive(Debug, Default)]
pub(super) struct Hook {
    targets: [Option<Target>; MAX_HOOKS],
    link: Link,
    slot: usize,
    port: u16,
    look: Option<Look>,
    /// The look-up has failed.
    lost: bool,
    /// How many look-ups there were: each asks another name server.
    turn: usize,
}

impl Hook {
    /// See [`crate::Board::hook_target`].
    pub(super) fn target(&mut self, slot: usize, target: Option<&LinkTarget>) -> Result<(), BadTrust> {
        let Some(place) = self.targets.get_mut(slot) else { return Ok(()) };
        *place = None;
        if let Some(target) = target {
            *place = Some(Target { host: target.server_name.clone(), tls: Tls::new(target)? });
        }
        Ok(())
    }

    /// See [`crate::Board::hook_open`].
    pub(super) fn open(&mut self, slot: usize, port: u16, registry: &Registry, token: Token) {
        self.close(registry);
        (self.slot, self.port) = (slot, port);
        let Some(target) = self.targets.get(slot).and_then(Option::as_ref) else { return };
        self.turn = self.turn.wrapping_add(1);
        match begin(&target.host, self.turn) {
            Begun::Known(ip) => self.connect(ip, registry, token),
            Begun::Asked(look) => self.look = Some(look),
            Begun::Nowhere => self.lost = true,
        }
    }

    fn connect(&mut self, ip: IpAddr, registry: &Registry, token: Token) {
        self.link.open(SocketAddr::new(ip, self.port), tls(&self.targets, self.slot), registry, token);
    }

    /// See [`crate::Board::hook_poll`].
    pub(super) fn poll(&mut self, registry: &Registry, token: Token) -> Option<LinkEvent> {
        if let Some(answer) = self.look.as_mut().and_then(Look::poll) {
            self.look = None;
            match answer {
                Some(ip) => self.connect(ip, registry, token),
                None => self.lost = true,
            }
        }
        if core::mem::take(&mut self.lost) {
            return Some(LinkEvent::Down(LinkError::Unknown));
        }
        self.link.poll(tls(&self.targets, self.slot))
    }

    /// See [`crate::Board::hook_read`].
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> LinkIo {
        self.link.read(tls(&self.targets, self.slot), buffer)
    }

    /// See [`crate::Board::hook_write`].
    pub(super) fn write(&mut self, bytes: &[u8]) -> LinkIo {
        self.link.write(bytes)
    }

    /// See [`crate::Board::hook_close`].
    pub(super) fn close(&mut self, registry: &Registry) {
        (self.look, self.lost) = (None, false);
        self.link.close(registry);
    }

    /// The poll says that something has become possible.
    pub(super) fn progress(&mut self, readable: bool, writable: bool) {
        self.link.progress(readable, writable);
    }
}

fn tls(targets: &[Option<Target>], slot: usize) -> Option<&Tls> {
    targets.get(slot)?.as_ref()?.tls.as_ref()
}

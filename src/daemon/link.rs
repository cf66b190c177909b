//! Bytes between the router client (which knows no socket) and the board (which knows no
//! request). Used by the loop, and by commands that ask the router something.

use crate::routeros::{Client, Step};
use crate::types::{Duration, Instant, Item};
use core::net::SocketAddr;
use wanctl_hal::{Board, LinkEvent, LinkIo};

/// What one call of [`input`] brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Input {
    /// Bytes came; there may be more.
    pub moved: bool,
    /// A connection was made.
    pub opened: bool,
    /// It began with a TLS handshake in full.
    pub handshake: bool,
}

/// At most one buffer of the router's bytes, and what happened to the connection, to the client.
pub fn input<B: Board>(
    board: &mut B,
    client: &mut Client,
    buffer: &mut [u8],
    now: Instant,
    sink: &mut dyn FnMut(Item),
) -> Input {
    let mut input = Input::default();
    if let LinkIo::Moved(length) = board.link_read(buffer) {
        client.input(now, &buffer[..length], sink);
        input.moved = true;
    }
    while let Some(event) = board.link_poll() {
        match event {
            LinkEvent::Open { resumed } => {
                input.opened = true;
                input.handshake = resumed == Some(false);
                client.opened(now);
            }
            LinkEvent::Down(error) => client.down(now, error),
        }
    }
    input
}

/// What the client wants done, as far as the board can do it now.
pub fn output<B: Board>(board: &mut B, client: &mut Client, router: SocketAddr, now: Instant) {
    loop {
        match client.poll(now) {
            Step::Open => board.link_open(router),
            Step::Close => board.link_close(),
            Step::Write(bytes) => match board.link_write(bytes) {
                LinkIo::Moved(length) => client.wrote(now, length),
                LinkIo::WouldBlock | LinkIo::Down => return,
            },
            Step::Nothing => return,
        }
    }
}

/// A request that has been out for so long will hardly be answered in time to matter.
const SILENT: Duration = Duration::from_millis(1_500);

/// Whether what is wanted of the router takes effect, as far as anybody knows.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reach {
    asked: Option<Instant>,
    failing: bool,
}

impl Reach {
    /// A request was begun.
    pub(super) const fn asked(&mut self, now: Instant) {
        self.asked = Some(now);
    }

    /// It has ended, or the connection has.
    pub(super) const fn ended(&mut self, good: bool) {
        (self.asked, self.failing) = (None, !good);
    }

    /// What is wanted now is done soon.
    pub(super) fn acts(&self, now: Instant) -> bool {
        !self.failing && self.asked.is_none_or(|at| now.since(at) < SILENT)
    }
}

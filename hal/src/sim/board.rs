//! The board in virtual time: `wait` is what makes the world move.

use super::rng::Rng;
use super::router::{Output, Refusal, SessionId};
use super::world::{SharedWorld, World, lock};
use crate::board::{
    BadTrust, Board, Clock, EchoEvent, EchoRequest, LinkError, LinkEvent, LinkIo, LinkTarget, OpenError, ProbeSource,
    Ready, SendError, Signal, StoreError, StoreFile, TcpProbe, WanId,
};
use crate::endpoint::ListenError;
use crate::units::{Duration, Instant};
use core::net::SocketAddr;
use std::sync::MutexGuard;

/// Time from SYN to SYN-ACK of the router.
const CONNECT: Duration = Duration::from_millis(1);

/// The connection to the router.
#[derive(Debug)]
enum Link {
    Closed,
    /// SYN sent; answered at this time, if at all.
    Connecting(Option<Instant>),
    Open(SessionId),
    /// It ended; told or not yet told.
    Ended(Option<LinkError>),
}

/// A machine in virtual time.
#[derive(Debug)]
pub struct SimBoard {
    world: SharedWorld,
    rng: Rng,
    link: Link,
    /// Bytes from the router, and how many of them are read.
    inbox: Vec<u8>,
    read: usize,
    /// The end of the connection, behind the bytes in `inbox`.
    end: Option<LinkError>,
    /// The end was found by reading or writing, as on a real machine.
    end_found: bool,
    /// What the last `wait` reported, and whether anything was taken since.
    reported: Ready,
    taken: bool,
}

impl SimBoard {
    /// A machine in this world.
    #[must_use]
    pub fn new(world: SharedWorld) -> Self {
        let seed = lock(&world).seed;
        Self {
            world,
            rng: Rng::new(seed),
            link: Link::Closed,
            inbox: Vec::with_capacity(65_536),
            read: 0,
            end: None,
            end_found: false,
            reported: Ready::default(),
            taken: true,
        }
    }

    /// The world. Don't hold it across a call of the board.
    pub fn world(&self) -> MutexGuard<'_, World> {
        lock(&self.world)
    }

    /// The world, for another holder.
    #[must_use]
    pub fn share(&self) -> SharedWorld {
        self.world.clone()
    }

    /// Takes what the router has for us by now.
    fn pull(&mut self) {
        let Link::Open(session) = self.link else { return };
        let mut world = lock(&self.world);
        let now = world.now();
        while self.end.is_none() {
            match world.router.poll_output(session, now) {
                Some(Output::Bytes(bytes)) => {
                    if self.read == self.inbox.len() {
                        self.inbox.clear();
                        self.read = 0;
                    }
                    self.inbox.extend_from_slice(&bytes);
                }
                Some(Output::Close) => self.end = Some(LinkError::Closed),
                Some(Output::Reset) => {
                    // A reset discards what was not read yet.
                    self.inbox.clear();
                    self.read = 0;
                    self.end = Some(LinkError::Reset);
                }
                None => break,
            }
        }
    }

    fn forget_link(&mut self) {
        if let Link::Open(session) = self.link {
            let mut world = lock(&self.world);
            let now = world.now();
            world.router.disconnect(session, now);
        }
        self.link = Link::Closed;
        self.inbox.clear();
        self.read = 0;
        self.end = None;
        self.end_found = false;
    }

    /// Whether the link has news in this world.
    fn link_ready(&self, world: &World) -> bool {
        match self.link {
            Link::Closed | Link::Ended(None) => false,
            Link::Ended(Some(_)) => true,
            Link::Connecting(at) => at.is_some_and(|at| at <= world.now()),
            Link::Open(session) => {
                self.read < self.inbox.len()
                    || self.end.is_some()
                    || world.router.next_output_at(session).is_some_and(|at| at <= world.now())
            }
        }
    }

    fn look(&self, world: &World) -> Ready {
        let (wans, tcp) = world.probes_ready();
        Ready { wans, tcp, link: self.link_ready(world), signal: world.has_signal() }
    }
}

impl Board for SimBoard {
    fn clock(&mut self) -> Clock {
        let world = lock(&self.world);
        Clock { now: world.now(), wall: world.wall() }
    }

    fn entropy(&mut self) -> u64 {
        self.rng.bits()
    }

    fn wait(&mut self, until: Instant) -> Ready {
        let mut world = lock(&self.world);
        let mut ready = self.look(&world);
        // What was reported and left lying does not stop time: else a caller that takes a
        // bounded amount of it per wake-up would never see its deadline.
        let known = if self.taken { Ready::default() } else { self.reported };
        if !is_news(&ready, &known) {
            let connect = match self.link {
                Link::Connecting(Some(at)) if at > world.now() && at < until => at,
                _ => until,
            };
            world.advance_to_event(connect, |world| is_news(&self.look(world), &known));
            ready = self.look(&world);
        }
        drop(world);
        self.reported = ready;
        self.taken = false;
        ready
    }

    fn open_wan(&mut self, wan: WanId, _source: &ProbeSource) -> Result<(), OpenError> {
        lock(&self.world).open_wan(wan.index())
    }

    fn close_wan(&mut self, wan: WanId) {
        lock(&self.world).close_wan(wan.index());
    }

    fn send_echo(&mut self, wan: WanId, request: &EchoRequest) -> Result<Instant, SendError> {
        lock(&self.world).send_echo(wan.index(), request)
    }

    fn send_trace(&mut self, wan: WanId, request: &EchoRequest, hops: u8) -> Result<Instant, SendError> {
        lock(&self.world).send_trace(wan.index(), request, hops)
    }

    fn recv_echo(&mut self, wan: WanId) -> Option<EchoEvent> {
        self.taken = true;
        lock(&self.world).wans.get_mut(wan.index())?.recv_echo()
    }

    fn tcp_probe(&mut self, wan: WanId, slot: u8, to: SocketAddr) -> Result<(), SendError> {
        lock(&self.world).tcp_probe(wan.index(), slot, to)
    }

    fn tcp_result(&mut self, wan: WanId) -> Option<TcpProbe> {
        self.taken = true;
        lock(&self.world).wans.get_mut(wan.index())?.tcp_result()
    }

    fn link_target(&mut self, _target: &LinkTarget) -> Result<(), BadTrust> {
        Ok(())
    }

    fn link_open(&mut self, _to: SocketAddr) {
        self.forget_link();
        let world = lock(&self.world);
        self.link = Link::Connecting(Some(world.now() + CONNECT + world.router.handshake()));
    }

    fn link_poll(&mut self) -> Option<LinkEvent> {
        self.taken = true;
        self.pull();
        match &mut self.link {
            Link::Connecting(Some(at)) => {
                let mut world = lock(&self.world);
                let now = world.now();
                if now < *at {
                    return None;
                }
                match world.router.connect(now) {
                    Ok(session) => {
                        self.link = Link::Open(session);
                        Some(LinkEvent::Open { resumed: None })
                    }
                    Err(Refusal::Refused) => {
                        self.link = Link::Ended(None);
                        Some(LinkEvent::Down(LinkError::Refused))
                    }
                    // Linux repeats the SYN after a second.
                    Err(Refusal::Silent(_)) => {
                        *at = now + Duration::from_secs(1);
                        None
                    }
                }
            }
            Link::Open(_) if self.end_found => {
                let error = self.end?;
                self.forget_link();
                self.link = Link::Ended(None);
                Some(LinkEvent::Down(error))
            }
            Link::Ended(told) => told.take().map(LinkEvent::Down),
            _ => None,
        }
    }

    fn link_read(&mut self, buffer: &mut [u8]) -> LinkIo {
        self.taken = true;
        self.pull();
        if !matches!(self.link, Link::Open(_)) {
            return LinkIo::Down;
        }
        let left = &self.inbox[self.read..];
        let n = left.len().min(buffer.len()).min(lock(&self.world).link_chunk.max(1));
        if n == 0 {
            self.end_found = left.is_empty() && self.end.is_some();
            return if self.end_found { LinkIo::Down } else { LinkIo::WouldBlock };
        }
        buffer[..n].copy_from_slice(&left[..n]);
        self.read += n;
        LinkIo::Moved(n)
    }

    fn link_write(&mut self, bytes: &[u8]) -> LinkIo {
        self.pull();
        let Link::Open(session) = self.link else { return LinkIo::Down };
        if self.end.is_some() {
            self.end_found = true;
            return LinkIo::Down;
        }
        let mut world = lock(&self.world);
        let (now, n) = (world.now(), bytes.len().min(world.link_chunk.max(1)));
        if n == 0 {
            return LinkIo::WouldBlock;
        }
        world.router.input(session, now, &bytes[..n]);
        LinkIo::Moved(n)
    }

    fn link_close(&mut self) {
        self.forget_link();
    }

    fn listen(&mut self, at: Option<SocketAddr>) -> Result<Option<SocketAddr>, ListenError> {
        lock(&self.world).visitors.listen(at.is_some());
        Ok(at)
    }

    fn client_accept(&mut self) -> Option<usize> {
        lock(&self.world).visitors.accept()
    }

    fn client_read(&mut self, client: usize, buffer: &mut [u8]) -> LinkIo {
        lock(&self.world).visitors.read(client, buffer)
    }

    fn client_write(&mut self, client: usize, bytes: &[u8]) -> LinkIo {
        lock(&self.world).visitors.write(client, bytes)
    }

    fn client_close(&mut self, client: usize) {
        lock(&self.world).visitors.close(client);
    }

    fn hook_open(&mut self, slot: usize, _port: u16) {
        let mut world = lock(&self.world);
        let now = world.now();
        world.hooks.open(slot, now);
    }

    fn hook_poll(&mut self) -> Option<LinkEvent> {
        let mut world = lock(&self.world);
        let now = world.now();
        world.hooks.poll(now)
    }

    fn hook_read(&mut self, buffer: &mut [u8]) -> LinkIo {
        let mut world = lock(&self.world);
        let now = world.now();
        world.hooks.read(buffer, now)
    }

    fn hook_write(&mut self, bytes: &[u8]) -> LinkIo {
        let mut world = lock(&self.world);
        let now = world.now();
        world.hooks.write(bytes, now)
    }

    fn hook_close(&mut self) {
        lock(&self.world).hooks.close();
    }

    fn signal(&mut self) -> Option<Signal> {
        self.taken = true;
        lock(&self.world).take_signal()
    }

    fn load(&mut self, file: StoreFile, buffer: &mut [u8]) -> Result<usize, StoreError> {
        lock(&self.world).store.load(file, buffer)
    }

    fn store(&mut self, file: StoreFile, bytes: &[u8], durable: bool) -> Result<(), StoreError> {
        lock(&self.world).store.store(file, bytes, durable)
    }
}

/// Whether anything that ends a sleep is ready and not known yet.
const fn is_news(ready: &Ready, known: &Ready) -> bool {
    ready.tcp && !known.tcp || ready.link && !known.link || ready.signal && !known.signal
}

#[cfg(test)]
#[path = "board_tests.rs"]
mod tests;

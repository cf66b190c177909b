//! A board that writes down what passes through it.

use super::entry::{Entry, Io};
use super::file::Tape;
use super::veil::Veil;
use crate::board::{
    BadTrust, Board, Clock, EchoEvent, EchoRequest, LinkEvent, LinkIo, LinkTarget, Notice, OpenError, ProbeSource,
    Ready, SendError, Signal, StoreError, StoreFile, TcpProbe, WanId,
};
use crate::endpoint::ListenError;
use crate::forward::inner_clients_and_hooks;
use crate::units::Instant;
use core::net::SocketAddr;
use std::cell::RefCell;
use std::rc::Rc;

/// Longest request of which nothing is left out; the daemon's are shorter.
const REQUEST: usize = 4096;

/// Another board, watched.
#[derive(Debug)]
pub struct Recorder<B> {
    inner: B,
    tape: Rc<RefCell<Tape>>,
    veil: Veil,
    /// What of a request may be seen.
    public: Vec<u8>,
}

impl<B: Board> Recorder<B> {
    /// Writes what passes between the daemon and `inner` on `tape`.
    pub fn new(inner: B, tape: Tape) -> Self {
        let tape = Rc::new(RefCell::new(tape));
        Self { inner, tape, veil: Veil::default(), public: Vec::with_capacity(REQUEST) }
    }

    /// The machine below.
    pub const fn inner(&mut self) -> &mut B {
        &mut self.inner
    }

    /// The tape, for whoever reads something beside the board.
    #[must_use]
    pub fn tape(&self) -> Rc<RefCell<Tape>> {
        Rc::clone(&self.tape)
    }

    fn put(&self, entry: &Entry<'_>) {
        self.tape.borrow_mut().put(entry);
    }
}

/// How a place is described on the tape; compared as a whole.
pub(super) fn source_text(source: &ProbeSource) -> String {
    format!("{source:?}")
}

/// The same for the router. Certificates are told by their check sum: they are long.
pub(super) fn target_text(target: &LinkTarget) -> String {
    match &target.trust {
        crate::board::Trust::Authorities(pem) => {
            format!("{:?}, signed by authorities {:08x}", target.server_name, crate::crc32::crc32(pem))
        }
        other => format!("{:?}, {other:?}", target.server_name),
    }
}

impl<B: Board> Board for Recorder<B> {
    fn clock(&mut self) -> Clock {
        let clock = self.inner.clock();
        self.put(&Entry::Clock(clock));
        clock
    }

    fn entropy(&mut self) -> u64 {
        let bits = self.inner.entropy();
        self.put(&Entry::Entropy(bits));
        bits
    }

    fn wait(&mut self, until: Instant) -> Ready {
        let at_most = {
            let mut tape = self.tape.borrow_mut();
            tape.breathe();
            until.since(tape.now())
        };
        let ready = self.inner.wait(until);
        self.put(&Entry::Wait { at_most, ready });
        ready
    }

    fn open_wan(&mut self, wan: WanId, source: &ProbeSource) -> Result<(), OpenError> {
        let result = self.inner.open_wan(wan, source);
        self.put(&Entry::OpenWan { wan, source: source_text(source).into(), result: result.clone() });
        result
    }

    fn close_wan(&mut self, wan: WanId) {
        self.inner.close_wan(wan);
        self.put(&Entry::CloseWan(wan));
    }

    fn send_echo(&mut self, wan: WanId, request: &EchoRequest) -> Result<Instant, SendError> {
        let result = self.inner.send_echo(wan, request);
        self.put(&Entry::SendEcho { wan, request: *request, result });
        result
    }

    fn send_trace(&mut self, wan: WanId, request: &EchoRequest, hops: u8) -> Result<Instant, SendError> {
        let result = self.inner.send_trace(wan, request, hops);
        self.put(&Entry::SendTrace { wan, request: *request, hops, result });
        result
    }

    fn recv_echo(&mut self, wan: WanId) -> Option<EchoEvent> {
        let event = self.inner.recv_echo(wan);
        self.put(&Entry::RecvEcho { wan, event });
        event
    }

    fn tcp_probe(&mut self, wan: WanId, slot: u8, to: SocketAddr) -> Result<(), SendError> {
        let result = self.inner.tcp_probe(wan, slot, to);
        self.put(&Entry::TcpProbe { wan, slot, to, result });
        result
    }

    fn tcp_result(&mut self, wan: WanId) -> Option<TcpProbe> {
        let probe = self.inner.tcp_result(wan);
        self.put(&Entry::TcpResult { wan, probe });
        probe
    }

    fn link_target(&mut self, target: &LinkTarget) -> Result<(), BadTrust> {
        let result = self.inner.link_target(target);
        self.put(&Entry::LinkTarget { target: target_text(target).into(), result });
        result
    }

    fn link_open(&mut self, to: SocketAddr) {
        self.inner.link_open(to);
        self.veil = Veil::default();
        self.put(&Entry::LinkOpen(to));
    }

    fn link_poll(&mut self) -> Option<LinkEvent> {
        let event = self.inner.link_poll();
        self.put(&Entry::LinkPoll(event));
        event
    }

    fn link_read(&mut self, buffer: &mut [u8]) -> LinkIo {
        let io = self.inner.link_read(buffer);
        self.put(&Entry::LinkRead(shown(io, buffer)));
        io
    }

    fn link_write(&mut self, bytes: &[u8]) -> LinkIo {
        let io = self.inner.link_write(bytes);
        self.public.clear();
        if let LinkIo::Moved(taken) = io {
            let veil = &mut self.veil;
            self.public.extend(bytes.iter().take(taken).filter(|&&byte| !veil.hides(byte)));
        }
        self.put(&Entry::LinkWrite(match io {
            LinkIo::Moved(_) => Io::Moved((&self.public[..]).into()),
            other => shown(other, &[]),
        }));
        io
    }

    fn link_close(&mut self) {
        self.inner.link_close();
        self.put(&Entry::LinkClose);
    }

    inner_clients_and_hooks!();

    fn signal(&mut self) -> Option<Signal> {
        let signal = self.inner.signal();
        self.put(&Entry::Signal(signal));
        signal
    }

    fn load(&mut self, file: StoreFile, buffer: &mut [u8]) -> Result<usize, StoreError> {
        let result = self.inner.load(file, buffer);
        let content = result.map(|length| buffer[..length.min(buffer.len())].into());
        self.put(&Entry::Load { file, result: content });
        result
    }

    fn notify(&mut self, notice: Notice) {
        self.inner.notify(notice);
    }

    fn store(&mut self, file: StoreFile, bytes: &[u8], durable: bool) -> Result<(), StoreError> {
        let result = self.inner.store(file, bytes, durable);
        self.put(&Entry::Store { file, durable, bytes: bytes.into(), result });
        result
    }
}

fn shown(io: LinkIo, buffer: &[u8]) -> Io<'_> {
    match io {
        LinkIo::Moved(length) => Io::Moved(buffer[..length.min(buffer.len())].into()),
        LinkIo::WouldBlock => Io::WouldBlock,
        LinkIo::Down => Io::Down,
    }
}

//! The board itself: one poll, and what is registered with it.

use super::echo::{ClockRelation, EchoSocket, Inbox, send_error};
use super::files::StateDirectory;
use super::hook::Hook;
use super::link::Link;
use super::manager::Manager;
use super::serve::Endpoint;
use super::sys::{self, Timer};
use super::tcp::TcpProbes;
use super::tls::Tls;
use crate::board::{
    BadTrust, Board, Clock, EchoEvent, EchoRequest, LinkEvent, LinkIo, LinkTarget, MAX_WANS, Notice, OpenError,
    ProbeSource, Ready, SendError, Signal, StoreError, StoreFile, TcpProbe, WanId,
};
use crate::endpoint::ListenError;
use crate::icmp::Family;
use crate::units::{Duration, Instant};
use core::net::SocketAddr;
use mio::event::Event;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use std::io;
use std::io::Read;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const TIMER: Token = Token(0);
const SIGNAL: Token = Token(1);
const LINK: Token = Token(2);
const TCP: Token = Token(3);

/// Among the probe sockets, which have two for each WAN.
const HOOK: Token = Token(2 * MAX_WANS);

/// A wall clock that moved this much against the monotonic one was set, not slewed.
const CLOCK_STEP: u128 = 1_000_000;

/// The signals that are watched, and their flags.
#[derive(Debug)]
struct Signals {
    wake: UnixStream,
    flags: [(Signal, Arc<AtomicBool>); 4],
}

/// The sockets of one WAN, IPv4 and IPv6.
#[derive(Debug, Default)]
struct WanSockets {
    source: ProbeSource,
    echo: [Option<EchoSocket>; 2],
    /// Which of them may have unread datagrams. The poll tells a change only once.
    unread: [bool; 2],
    /// Made when the WAN is opened.
    inbox: Option<Box<Inbox>>,
    tcp: TcpProbes,
}

impl WanSockets {
    /// Takes one datagram, of the family `turn` first. The two take turns from wake-up to wake-up, each of which takes a
    /// bounded number: what one is flooded with does not keep back what the other has.
    fn receive(&mut self, turn: usize, clocks: ClockRelation) -> Option<EchoEvent> {
        let inbox = self.inbox.as_mut()?;
        loop {
            if let Some(event) = inbox.take(&self.echo) {
                return Some(event);
            }
            let family = [turn, turn ^ 1].into_iter().find(|family| self.unread[*family])?;
            self.unread[family] = inbox.fill(&self.echo, family, clocks);
        }
    }
}

/// A Linux machine.
#[derive(Debug)]
pub struct LinuxBoard {
    poll: Poll,
    /// The probe sockets, and the connection of alerts: no reason to end a sleep.
    echo_poll: Poll,
    events: Events,
    timer: Timer,
    signals: Option<Signals>,
    wans: [WanSockets; MAX_WANS],
    /// Bit *i*: WAN *i* has probe sockets.
    open: u8,
    /// `echo_poll` was asked since the last sleep.
    looked: bool,
    /// Which family's sockets are read first in this wake-up.
    turn: usize,
    link: Link,
    tls: Option<Tls>,
    hook: Hook,
    endpoint: Endpoint,
    directory: StateDirectory,
    manager: Option<Manager>,
    clocks: ClockRelation,
}

impl LinuxBoard {
    /// The socket of a WAN for where a probe goes.
    fn echo_socket(&self, wan: WanId, request: &EchoRequest) -> Result<&EchoSocket, SendError> {
        let family = Family::of(request.to);
        let socket = self.wans[wan.index()].echo.iter().flatten().find(|s| s.family() == family);
        socket.ok_or(SendError::NoSocket)
    }

    /// A board that keeps its files in `directory` and speaks to `target`.
    ///
    /// # Errors
    /// When the kernel refuses a poll or a timer, or the target can't be used.
    pub fn new(directory: StateDirectory, target: &LinkTarget) -> io::Result<Self> {
        let poll = Poll::new()?;
        let timer = Timer::new()?;
        poll.registry().register(&mut SourceFd(&timer.as_raw_fd()), TIMER, Interest::READABLE)?;
        Ok(Self {
            poll,
            echo_poll: Poll::new()?,
            events: Events::with_capacity(64),
            timer,
            signals: None,
            wans: core::array::from_fn(|_| WanSockets::default()),
            open: 0,
            looked: false,
            turn: 0,
            link: Link::default(),
            tls: Tls::new(target).map_err(|bad| io::Error::other(bad.to_string()))?,
            hook: Hook::default(),
            endpoint: Endpoint::default(),
            directory,
            manager: None,
            clocks: ClockRelation { offset: offset(), stepped: false },
        })
    }

    /// Takes over SIGTERM, SIGINT, SIGHUP and SIGUSR1 of this process. Also as process 1, for
    /// which signals have no default action.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn watch_signals(&mut self) -> io::Result<()> {
        use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
        sys::ignore_children();
        let (wake, sender) = UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        sender.set_nonblocking(true)?;
        let mut flags =
            [(SIGTERM, Signal::Stop), (SIGINT, Signal::Stop), (SIGHUP, Signal::Reload), (SIGUSR1, Signal::Dump)]
                .map(|(number, signal)| (number, signal, Arc::new(AtomicBool::new(false))));
        for (number, _, flag) in &mut flags {
            signal_hook::flag::register(*number, Arc::clone(flag))?;
            signal_hook::low_level::pipe::register(*number, sender.try_clone()?)?;
        }
        self.poll.registry().register(&mut SourceFd(&wake.as_raw_fd()), SIGNAL, Interest::READABLE)?;
        self.signals = Some(Signals { wake, flags: flags.map(|(_, signal, flag)| (signal, flag)) });
        Ok(())
    }

    /// Whether a stop was asked for, without taking the signal: for what waits before the loop does.
    pub fn stop_asked(&self) -> impl Fn() -> bool + use<> {
        let flags = self.signals.iter().flat_map(|signals| &signals.flags);
        let stops: Vec<_> = flags.filter(|(s, _)| *s == Signal::Stop).map(|(_, flag)| Arc::clone(flag)).collect();
        move || stops.iter().any(|flag| flag.load(Ordering::Acquire))
    }

    /// From now on the service manager is told, if the environment names one.
    pub fn answer_to_manager(&mut self) {
        self.manager = Manager::from_environment();
    }

    /// Whether a WAN has a probe socket for IPv4, and for IPv6.
    #[must_use]
    pub fn families(&self, wan: WanId) -> [bool; 2] {
        [0, 1].map(|f| self.wans[wan.index()].echo[f].is_some())
    }

    fn drop_sockets(&mut self, wan: WanId) {
        let sockets = &mut self.wans[wan.index()];
        for socket in sockets.echo.iter_mut().filter_map(Option::take) {
            let _ = self.echo_poll.registry().deregister(&mut SourceFd(&socket.as_raw_fd()));
        }
        (sockets.unread, sockets.inbox) = ([false; 2], None);
        self.open &= !(1 << wan.index());
    }

    /// Finds out which probe sockets have something, and what the connection of alerts can do: once in a wake-up, when
    /// somebody asks first. Most wake-ups send a probe, and nobody asks.
    fn look(&mut self) {
        if core::mem::replace(&mut self.looked, true) {
            return;
        }
        let _ = self.echo_poll.poll(&mut self.events, Some(Duration::ZERO));
        for event in &self.events {
            match event.token() {
                HOOK => {
                    let [reads, writes] = able(event);
                    self.hook.progress(reads, writes);
                }
                Token(place) => self.wans[place / 2].unread[place % 2] = true,
            }
        }
        self.turn ^= 1;
        let now = offset();
        self.clocks = ClockRelation { offset: now, stepped: now.abs_diff(self.clocks.offset) > CLOCK_STEP };
    }

    /// Sorts what the poll has found.
    fn sort_events(&mut self) -> Ready {
        let mut ready = Ready { wans: self.open, ..Ready::default() };
        for event in &self.events {
            match event.token() {
                TIMER => {}
                SIGNAL => ready.signal = true,
                LINK => {
                    ready.link = true;
                    let [reads, writes] = able(event);
                    self.link.progress(reads, writes);
                }
                _ => ready.tcp = true,
            }
        }
        ready.link |= self.link.is_pending();
        ready
    }
}

/// Whether a stream can be read, and written: one that has failed tells so to whoever tries either.
fn able(event: &Event) -> [bool; 2] {
    let failed = event.is_error() || event.is_read_closed() || event.is_write_closed();
    [event.is_readable() || failed, event.is_writable() || failed]
}

/// Wall-clock time less monotonic time.
fn offset() -> i128 {
    i128::from(sys::wall_clock().0) - i128::from(sys::monotonic().as_nanos())
}

impl Board for LinuxBoard {
    fn clock(&mut self) -> Clock {
        Clock { now: sys::monotonic(), wall: sys::wall_clock() }
    }

    fn entropy(&mut self) -> u64 {
        let mut bytes = [0; 8];
        let read = std::fs::File::open("/dev/urandom").and_then(|mut f| f.read_exact(&mut bytes));
        if read.is_err() {
            // A container without /dev: the two clocks are the best that is left.
            return sys::wall_clock().0.rotate_left(32) ^ sys::monotonic().as_nanos();
        }
        u64::from_ne_bytes(bytes)
    }

    fn wait(&mut self, until: Instant) -> Ready {
        let at_once = self.link.is_pending() || until <= sys::monotonic();
        if !at_once {
            self.timer.set(until);
        }
        let timeout = at_once.then_some(Duration::ZERO);
        // The only error is EINTR; the caller looks at the clock in any case.
        let _ = self.poll.poll(&mut self.events, timeout);
        self.looked = false;
        self.sort_events()
    }

    fn open_wan(&mut self, wan: WanId, source: &ProbeSource) -> Result<(), OpenError> {
        self.drop_sockets(wan);
        let ident = u16::try_from(self.entropy() & 0xffff).unwrap_or(0);
        let mut first_error = None;
        let families = match source.address.map(Family::of) {
            Some(family) => [Some(family), None],
            None => [Some(Family::V4), Some(Family::V6)],
        };
        for family in families.into_iter().flatten() {
            let index = usize::from(family == Family::V6);
            match EchoSocket::open(family, source, ident) {
                Ok(socket) => {
                    let token = Token(2 * wan.index() + index);
                    let mut source = SourceFd(&socket.as_raw_fd());
                    let registered = self.echo_poll.registry().register(&mut source, token, Interest::READABLE);
                    registered.map_err(|e| OpenError::Os(e.raw_os_error().unwrap_or(0)))?;
                    self.wans[wan.index()].echo[index] = Some(socket);
                }
                Err(error) => {
                    first_error.get_or_insert(error);
                }
            }
        }
        self.wans[wan.index()].source = source.clone();
        if self.wans[wan.index()].echo.iter().any(Option::is_some) {
            self.wans[wan.index()].inbox = Some(Box::new(Inbox::new(self.clocks)));
            self.open |= 1 << wan.index();
            return Ok(());
        }
        Err(first_error.unwrap_or(OpenError::NoPermission))
    }

    fn close_wan(&mut self, wan: WanId) {
        self.drop_sockets(wan);
        self.wans[wan.index()] = WanSockets::default();
    }

    fn send_echo(&mut self, wan: WanId, request: &EchoRequest) -> Result<Instant, SendError> {
        self.echo_socket(wan, request)?.send(request)
    }

    fn send_trace(&mut self, wan: WanId, request: &EchoRequest, hops: u8) -> Result<Instant, SendError> {
        self.echo_socket(wan, request)?.send_over(request, hops)
    }

    fn recv_echo(&mut self, wan: WanId) -> Option<EchoEvent> {
        self.look();
        self.wans[wan.index()].receive(self.turn, self.clocks)
    }

    fn tcp_probe(&mut self, wan: WanId, slot: u8, to: SocketAddr) -> Result<(), SendError> {
        let sockets = &mut self.wans[wan.index()];
        let fd = sockets.tcp.start(slot, to, &sockets.source)?;
        let watched = self.poll.registry().register(&mut SourceFd(&fd), TCP, Interest::WRITABLE);
        watched.map_err(|e| send_error(&e))
    }

    fn tcp_result(&mut self, wan: WanId) -> Option<TcpProbe> {
        let probes = &mut self.wans[wan.index()].tcp;
        if probes.is_busy() { probes.take() } else { None }
    }

    fn link_target(&mut self, target: &LinkTarget) -> Result<(), BadTrust> {
        self.tls = Tls::new(target)?;
        Ok(())
    }

    fn link_open(&mut self, to: SocketAddr) {
        self.link.open(to, self.tls.as_ref(), self.poll.registry(), LINK);
    }

    fn link_poll(&mut self) -> Option<LinkEvent> {
        self.link.poll(self.tls.as_ref())
    }

    fn link_read(&mut self, buffer: &mut [u8]) -> LinkIo {
        self.link.read(self.tls.as_ref(), buffer)
    }

    fn link_write(&mut self, bytes: &[u8]) -> LinkIo {
        self.link.write(bytes)
    }

    fn link_close(&mut self) {
        self.link.close(self.poll.registry());
    }

    fn listen(&mut self, at: Option<SocketAddr>) -> Result<Option<SocketAddr>, ListenError> {
        self.endpoint.listen(at)
    }

    fn client_accept(&mut self) -> Option<usize> {
        self.endpoint.accept()
    }

    fn client_read(&mut self, client: usize, buffer: &mut [u8]) -> LinkIo {
        self.endpoint.read(client, buffer)
    }

    fn client_write(&mut self, client: usize, bytes: &[u8]) -> LinkIo {
        self.endpoint.write(client, bytes)
    }

    fn client_close(&mut self, client: usize) {
        self.endpoint.close(client);
    }

    fn hook_target(&mut self, slot: usize, target: Option<&LinkTarget>) -> Result<(), BadTrust> {
        self.hook.target(slot, target)
    }

    fn hook_open(&mut self, slot: usize, port: u16) {
        self.hook.open(slot, port, self.echo_poll.registry(), HOOK);
    }

    fn hook_poll(&mut self) -> Option<LinkEvent> {
        self.look();
        self.hook.poll(self.echo_poll.registry(), HOOK)
    }

    fn hook_read(&mut self, buffer: &mut [u8]) -> LinkIo {
        self.look();
        self.hook.read(buffer)
    }

    fn hook_write(&mut self, bytes: &[u8]) -> LinkIo {
        self.hook.write(bytes)
    }

    fn hook_close(&mut self) {
        self.hook.close(self.echo_poll.registry());
    }

    fn stopwatch(&mut self) -> Instant {
        sys::monotonic()
    }

    fn signal(&mut self) -> Option<Signal> {
        let signals = self.signals.as_mut()?;
        let mut drain = [0; 64];
        while signals.wake.read(&mut drain).is_ok_and(|n| n > 0) {}
        signals.flags.iter().find(|(_, flag)| flag.swap(false, Ordering::AcqRel)).map(|(signal, _)| *signal)
    }

    fn notify(&mut self, notice: Notice) {
        if let Some(manager) = &mut self.manager {
            manager.tell(notice);
        }
    }

    fn load(&mut self, file: StoreFile, buffer: &mut [u8]) -> Result<usize, StoreError> {
        self.directory.load(file, buffer)
    }

    fn store(&mut self, file: StoreFile, bytes: &[u8], durable: bool) -> Result<(), StoreError> {
        self.directory.store(file, bytes, durable)
    }
}

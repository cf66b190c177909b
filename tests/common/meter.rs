//! What the daemon itself costs, told apart from what its machine costs: [`Metered`] stands between
//! the two and books time and allocations on the side that caused them.
#![allow(dead_code, reason = "each user needs a part")]

use core::cell::Cell;
use core::net::SocketAddr;
use std::alloc::{GlobalAlloc, Layout, System};
use std::backtrace::Backtrace;
use std::time::Instant as Stopwatch;
use wanctl_hal::{
    BadTrust, Board, Clock, Duration, EchoEvent, EchoRequest, Instant, LinkEvent, LinkIo, LinkTarget, OpenError,
    ProbeSource, Ready, SendError, Signal, StoreError, StoreFile, TcpProbe, WanId,
};

/// On whose behalf this thread is working.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Nobody's: test, set-up, other threads.
    Off,
    /// The daemon's own code.
    Own,
    /// The machine below it, real or simulated.
    Board,
}

thread_local! {
    static SIDE: Cell<Side> = const { Cell::new(Side::Off) };
    static ALLOCATIONS: [Cell<u64>; 2] = const { [Cell::new(0), Cell::new(0)] };
    /// Where the first allocation of the daemon's own came from, for the message of a failing test.
    static FIRST: Cell<Option<Backtrace>> = const { Cell::new(None) };
}

/// Counts allocations (and reallocations) by side, on each thread for itself.
pub struct CountingAllocator;

impl CountingAllocator {
    fn count() {
        match SIDE.get() {
            Side::Off => {}
            Side::Board => ALLOCATIONS.with(|a| a[1].update(|n| n + 1)),
            Side::Own => {
                ALLOCATIONS.with(|a| a[0].update(|n| n + 1));
                if ALLOCATIONS.with(|a| a[0].get()) == 1 {
                    // A backtrace allocates; that is not to be counted.
                    SIDE.set(Side::Off);
                    FIRST.set(Some(Backtrace::force_capture()));
                    SIDE.set(Side::Own);
                }
            }
        }
    }
}

// SAFETY: every call is passed on unchanged to the system's allocator.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::count();
        // SAFETY: as promised by the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        Self::count();
        // SAFETY: as promised by the caller.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        Self::count();
        // SAFETY: as promised by the caller.
        unsafe { System.realloc(old, layout, size) }
    }

    unsafe fn dealloc(&self, old: *mut u8, layout: Layout) {
        // SAFETY: as promised by the caller.
        unsafe { System.dealloc(old, layout) }
    }
}

/// Allocations of this thread while `work` ran: the daemon's own, and the board's.
pub fn allocations(work: impl FnOnce()) -> (u64, u64) {
    ALLOCATIONS.with(|a| a.iter().for_each(|count| count.set(0)));
    SIDE.set(Side::Own);
    work();
    SIDE.set(Side::Off);
    ALLOCATIONS.with(|a| (a[0].get(), a[1].get()))
}

/// Where the first allocation of the daemon's own was made, in the last [`allocations`] of this
/// thread; told once.
pub fn first_allocation() -> String {
    FIRST.take().map_or_else(String::new, |backtrace| backtrace.to_string())
}

/// The parts of a wake-up, as far as the calls of the board tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Taking replies.
    Replies,
    /// The sample of every WAN, its verdict, and what is wanted of the router.
    SampleDecide,
    /// Choosing and booking probes.
    Probes,
    /// Actuate and routeros: requests and answers.
    Router,
    /// Histograms, history, log, state, endpoint: what comes when the control is done.
    Observe,
}

/// How many stages there are.
pub const STAGES: usize = 5;

/// More than the caches of a machine hold together, for all that a virtual one gets of it.
const CACHES: usize = 64 << 20;

/// The last call of the board.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Call {
    Wake,
    Receive,
    Send,
    Link,
    /// The stopwatch was read behind the link: what follows in this wake-up is no control.
    Done,
}

/// One cycle: everything between two beats, however many wake-ups that takes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cycle {
    /// Own time by stage, in nanoseconds.
    pub own: [u64; STAGES],
    /// Time in the board but for its sleep: on a real one, that of system calls and TLS.
    pub board: u64,
    /// Wake-ups.
    pub wakes: u32,
    /// Requests to the router begun.
    pub requests: u32,
    /// Those of them that change a limit.
    pub writes: u32,
    /// Calls of the board.
    pub calls: u32,
    /// Most of them in one wake-up.
    pub busiest: u32,
}

impl Cycle {
    /// Own time of measure, decide and actuate.
    pub fn control(&self) -> u64 {
        self.total() - self.own[Stage::Observe as usize]
    }

    /// Own time of all stages.
    pub fn total(&self) -> u64 {
        self.own.iter().sum()
    }
}

/// What has been seen so far.
#[derive(Debug, Default)]
pub struct Record {
    /// Cycle by cycle.
    pub cycles: Vec<Cycle>,
    /// Own time of actuate and routeros in the wake-ups that carried bytes, per request.
    pub requests: Vec<u64>,
    /// Own time from the wake-up in which a cut or rise was decided to its first byte.
    pub to_first_byte: Vec<u64>,
}

/// A board that books what is done above it and below it. All bookkeeping is in memory made
/// beforehand.
pub struct Metered<B> {
    inner: B,
    /// What was seen; to be emptied by whoever reads it.
    pub record: Record,
    length: Duration,
    /// The first look at the clock, from which the daemon counts its cycles.
    origin: Option<Instant>,
    beat: u64,
    current: Cycle,
    last: Call,
    /// When the board last gave way to the daemon; without it, time is not measured.
    since: Option<Stopwatch>,
    /// Own time since the wake-up; of it, that of the router's stage; bytes were moved in it.
    wake: u64,
    router: u64,
    moved: bool,
    /// Calls of the board since the wake-up.
    calls: u32,
    /// Router time of the request under way.
    request: u64,
    /// Read through at every wake-up by the clock, so that nothing of the daemon is left in any
    /// cache; empty: left alone.
    chill: Vec<u8>,
}

impl<B: Board> Metered<B> {
    /// Stands before `inner`; makes room for so many cycles of this length.
    pub fn new(inner: B, length: Duration, cycles: usize) -> Self {
        let record = Record {
            cycles: Vec::with_capacity(cycles),
            requests: Vec::with_capacity(cycles * 2),
            to_first_byte: Vec::with_capacity(cycles * 2),
        };
        Self {
            inner,
            record,
            length,
            origin: None,
            beat: 0,
            current: Cycle::default(),
            last: Call::Wake,
            since: Some(Stopwatch::now()),
            wake: 0,
            router: 0,
            moved: false,
            calls: 0,
            request: 0,
            chill: Vec::new(),
        }
    }

    /// From now on every wake-up by the clock finds cold caches, as after a sleep on a machine
    /// with other work.
    pub fn chill(&mut self) {
        self.chill = vec![1; CACHES];
    }

    /// Leaves time alone, so that only instructions of the daemon's own are left to count.
    pub fn without_time(&mut self) {
        self.since = None;
    }

    /// Forgets what was seen so far.
    pub fn clear(&mut self) {
        self.record.cycles.clear();
        self.record.requests.clear();
        self.record.to_first_byte.clear();
        self.current = Cycle::default();
    }

    /// The board's own work: neither its time nor its allocations are the daemon's.
    fn outside<T>(&mut self, call: Call, work: impl FnOnce(&mut B) -> T) -> T {
        let entered = self.book(call);
        let side = SIDE.replace(if SIDE.get() == Side::Off { Side::Off } else { Side::Board });
        let result = board_work(|| work(&mut self.inner));
        SIDE.set(side);
        if self.last != Call::Done || call == Call::Wake {
            self.last = call;
        }
        if let Some(entered) = entered {
            let now = Stopwatch::now();
            self.current.board += nanos(now - entered);
            self.since = Some(now);
        }
        result
    }

    /// The time since the last call belongs to the stage that lies between it and this one.
    fn book(&mut self, call: Call) -> Option<Stopwatch> {
        let since = self.since?;
        let now = Stopwatch::now();
        let spent = nanos(now - since);
        let stage = match (self.last, call) {
            (Call::Wake | Call::Receive, Call::Receive) => Stage::Replies,
            (Call::Wake | Call::Receive, _) => Stage::SampleDecide,
            (Call::Send, _) => Stage::Probes,
            (Call::Link, _) => Stage::Router,
            (Call::Done, _) => Stage::Observe,
        };
        self.current.own[stage as usize] += spent;
        self.current.calls += 1;
        self.calls += 1;
        self.current.busiest = self.current.busiest.max(self.calls);
        self.wake += spent;
        if stage == Stage::Router {
            self.router += spent;
        }
        Some(now)
    }

    fn end_wake(&mut self) {
        if self.moved {
            self.request += self.router;
        }
        (self.wake, self.router, self.moved, self.calls) = (0, 0, false, 0);
    }

    fn begin_cycle_of(&mut self, now: Instant) {
        let origin = *self.origin.get_or_insert(now);
        let beat = nanos(now.since(origin)) / nanos(self.length).max(1);
        if beat != self.beat {
            self.beat = beat;
            push(&mut self.record.cycles, self.current);
            self.current = Cycle::default();
        }
        self.current.wakes += 1;
    }

    fn begin_request(&mut self, bytes: &[u8]) {
        if self.request > 0 {
            push(&mut self.record.requests, core::mem::take(&mut self.request));
        }
        self.current.requests += 1;
        if bytes.starts_with(b"PATCH ") {
            self.current.writes += 1;
            push(&mut self.record.to_first_byte, self.wake);
        }
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Never grows: the bookkeeping must not allocate.
fn push<T>(list: &mut Vec<T>, item: T) {
    if list.len() < list.capacity() {
        list.push(item);
    }
}

/// Everything below the daemon passes through here, under a name that callgrind can be told to
/// leave out.
#[inline(never)]
fn board_work<T>(work: impl FnOnce() -> T) -> T {
    work()
}

impl<B: Board> Board for Metered<B> {
    fn clock(&mut self) -> Clock {
        let last = self.last;
        let clock = self.outside(last, Board::clock);
        if last == Call::Wake {
            self.begin_cycle_of(clock.now);
        }
        clock
    }

    fn entropy(&mut self) -> u64 {
        self.outside(Call::Wake, Board::entropy)
    }

    fn wait(&mut self, until: Instant) -> Ready {
        // The time up to here still belongs to the wake-up that ends.
        let board = self.current.board;
        let ready = self.outside(Call::Wake, |board| board.wait(until));
        let by_clock = !(ready.tcp || ready.link || ready.signal);
        if by_clock && !self.chill.is_empty() {
            let lines = self.chill.iter().step_by(64);
            std::hint::black_box(lines.fold(0, |sum, byte| sum ^ byte));
            self.since = self.since.map(|_| Stopwatch::now());
        }
        self.current.board = board; // sleep is no work
        self.end_wake();
        ready
    }

    fn open_wan(&mut self, wan: WanId, source: &ProbeSource) -> Result<(), OpenError> {
        self.outside(Call::Wake, |board| board.open_wan(wan, source))
    }

    fn close_wan(&mut self, wan: WanId) {
        self.outside(Call::Wake, |board| board.close_wan(wan));
    }

    fn send_echo(&mut self, wan: WanId, request: &EchoRequest) -> Result<Instant, SendError> {
        self.outside(Call::Send, |board| board.send_echo(wan, request))
    }

    fn send_trace(&mut self, wan: WanId, request: &EchoRequest, hops: u8) -> Result<Instant, SendError> {
        self.outside(Call::Send, |board| board.send_trace(wan, request, hops))
    }

    fn recv_echo(&mut self, wan: WanId) -> Option<EchoEvent> {
        self.outside(Call::Receive, |board| board.recv_echo(wan))
    }

    fn tcp_probe(&mut self, wan: WanId, slot: u8, to: SocketAddr) -> Result<(), SendError> {
        self.outside(Call::Send, |board| board.tcp_probe(wan, slot, to))
    }

    fn tcp_result(&mut self, wan: WanId) -> Option<TcpProbe> {
        self.outside(Call::Receive, |board| board.tcp_result(wan))
    }

    fn link_target(&mut self, target: &LinkTarget) -> Result<(), BadTrust> {
        self.outside(Call::Link, |board| board.link_target(target))
    }

    fn link_open(&mut self, to: SocketAddr) {
        self.outside(Call::Link, |board| board.link_open(to));
    }

    fn link_poll(&mut self) -> Option<LinkEvent> {
        self.outside(Call::Link, Board::link_poll)
    }

    fn link_read(&mut self, buffer: &mut [u8]) -> LinkIo {
        let moved = self.outside(Call::Link, |board| board.link_read(buffer));
        self.moved |= matches!(moved, LinkIo::Moved(_));
        moved
    }

    fn link_write(&mut self, bytes: &[u8]) -> LinkIo {
        let moved = self.outside(Call::Link, |board| board.link_write(bytes));
        if matches!(moved, LinkIo::Moved(_)) {
            self.moved = true;
            if bytes.starts_with(b"GET ") || bytes.starts_with(b"PATCH ") {
                self.begin_request(bytes);
            }
        }
        moved
    }

    fn link_close(&mut self) {
        self.outside(Call::Link, Board::link_close);
    }

    fn hook_target(&mut self, slot: usize, target: Option<&LinkTarget>) -> Result<(), BadTrust> {
        self.outside(Call::Link, |board| board.hook_target(slot, target))
    }

    fn hook_open(&mut self, slot: usize, port: u16) {
        self.outside(Call::Link, |board| board.hook_open(slot, port));
    }

    fn hook_poll(&mut self) -> Option<LinkEvent> {
        self.outside(Call::Link, Board::hook_poll)
    }

    fn hook_read(&mut self, buffer: &mut [u8]) -> LinkIo {
        self.outside(Call::Link, |board| board.hook_read(buffer))
    }

    fn hook_write(&mut self, bytes: &[u8]) -> LinkIo {
        self.outside(Call::Link, |board| board.hook_write(bytes))
    }

    fn hook_close(&mut self) {
        self.outside(Call::Link, Board::hook_close);
    }

    fn stopwatch(&mut self) -> Instant {
        let call = if self.last == Call::Link { Call::Done } else { self.last };
        self.outside(call, Board::stopwatch)
    }

    fn signal(&mut self) -> Option<Signal> {
        self.outside(Call::Wake, Board::signal)
    }

    fn load(&mut self, file: StoreFile, buffer: &mut [u8]) -> Result<usize, StoreError> {
        self.outside(Call::Link, |board| board.load(file, buffer))
    }

    fn store(&mut self, file: StoreFile, bytes: &[u8], durable: bool) -> Result<(), StoreError> {
        self.outside(Call::Link, |board| board.store(file, bytes, durable))
    }
}

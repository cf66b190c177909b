//! The loop: measure, decide, actuate, every cycle, on one thread.
//!
//! [`Daemon::run`] is the screen to read first. The daemon owns the board and moves data between
//! it and the pure parts; it decides nothing itself. It sleeps in one place ([`Board::wait`]) and
//! bounds the work of every wake-up: so many datagrams, so many bytes from the router, one request.

pub mod alert;
mod farewell;
pub mod link;
mod reload;
mod report;
mod schedule;
mod serve;
mod setup;
mod steer;
mod store;
mod wan;
mod watch;

pub use setup::{Problem, Setup, ids};
pub(crate) use setup::{actuator, client};
pub use steer::Steering;
pub use store::{Restored, SteerRecord, SteerRecords, Store, Unusable};
pub use wan::Wan;

use crate::actuate::Actuator;
use crate::config::Config;
use crate::measure::Change;
use crate::observe::{Alerts, EventRing, Flood, Spread};
use crate::routeros::Client;
use crate::types::{Duration, Event, EventKind, Instant, OverrunCause, Stage, WanId};
use core::net::SocketAddr;
use schedule::Schedule;
use serve::Endpoint;
use wanctl_hal::{Board, Clock, EchoEvent, Notice, Ready};
use watch::Watch;

/// Most datagrams taken from one WAN in one wake-up; the rest waits for the next one, which
/// follows at once.
const DATAGRAMS: usize = 64;

/// Most bytes taken from the router in one wake-up.
const LINK_BYTES: usize = 4096;

/// Shortest time between two writes of the state file.
const SAVE_EVERY: Duration = Duration::from_secs(60);

/// The same, once a write has taken longer than [`SLOW_SAVE`]: the medium is a slow one.
const SAVE_SELDOM: Duration = Duration::from_secs(900);

/// A write of the state file that takes longer than this is slow.
const SLOW_SAVE: Duration = Duration::from_millis(20);

/// Later than any clock will show.
const FOR_EVER: Instant = Instant::from_nanos(u64::MAX);

/// How the daemon gets a new configuration when asked to reload: reads the file, and checks it
/// against the one in force. `Err` holds the number of faults, which were reported.
pub type Reloader = Box<dyn FnMut(&Config) -> Result<Config, u32>>;

/// What the loop has done since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Cycles run.
    pub cycles: u64,
    /// Cycles skipped because something took too long.
    pub missed: u64,
    /// Connections to the router.
    pub connections: u64,
    /// TLS handshakes in full.
    pub handshakes: u64,
    /// Most datagrams handled in one wake-up.
    pub most_datagrams: usize,
    /// State files written.
    pub saves: u64,
    /// Writes of the state file that took too long.
    pub slow_saves: u64,
}

/// Input that was more than one wake-up takes.
#[derive(Clone, Copy, Debug, Default)]
struct Left {
    /// Datagrams of probe sockets.
    datagrams: bool,
    /// Bytes of the router.
    link: bool,
}

/// The loop and everything it holds.
pub struct Daemon<B: Board> {
    board: B,
    config: Config,
    wans: Vec<Wan>,
    actuator: Actuator,
    steering: Steering,
    client: Client,
    router: SocketAddr,
    schedule: Schedule,
    store: Store,
    reloader: Reloader,
    events: EventRing,
    flood: Flood,
    names: Vec<String>,
    counters: Counters,
    link_buffer: Box<[u8; LINK_BYTES]>,
    reach: link::Reach,
    watch: Watch,
    endpoint: Endpoint,
    alerts: Option<Box<Alerts>>,
    /// The last full TLS handshake, of whichever connection.
    handshake_at: Option<Instant>,
    /// Input that was left for the next wake-up, which must follow at once.
    left: Left,
    /// What has taken unusually long since the last cycle.
    heavy: Option<OverrunCause>,
    /// How many events were given to the log.
    logged: u64,
    saved_at: Instant,
    save_every: Duration,
    journal_at: Instant,
    summary_at: Instant,
}

impl<B: Board> Daemon<B> {
    /// Runs until a signal says stop; then leaves the router as configured, and saves the state.
    pub fn run(&mut self) {
        self.board.notify(Notice::Ready);
        while !self.run_until(FOR_EVER) {}
    }

    /// One wake-up. Whatever can wait for the next cycle does: most wake-ups send a probe and do nothing else.
    pub fn step(&mut self, ready: Ready, clock: Clock) {
        let due = self.schedule.due(clock.now);
        let stopwatch = self.board.stopwatch();
        self.watch.begin(stopwatch);
        // Connects are timed by when their end is seen, so that can't wait.
        self.take_connects(ready, clock.now);
        // Replies can: the kernel has stamped them.
        if due.is_some() || self.left.datagrams {
            self.receive(ready);
            self.lap(Stage::Receive);
        }
        if let Some(missed) = due {
            self.measure_decide(clock.now, missed);
            self.steer(clock);
            self.lap(Stage::Decide);
            self.board.notify(Notice::Alive);
        }
        self.probe(clock.now);
        self.lap(Stage::Probe);
        // Requests are chosen when something was decided or the router has said something; pauses and time-outs are looked
        // at as often, as they always were on a line whose probes have the pace of an idle one.
        let is_routed = due.is_some() || ready.link || self.left.link;
        if is_routed {
            self.actuate(clock.now);
            self.lap(Stage::Router);
        }
        if due.is_some() {
            self.book(clock.now);
        }
        if is_routed {
            self.keep(clock);
        }
        self.serve(clock, due.is_some());
        self.alert(clock, due.is_some());
        self.lap(Stage::Observe);
    }

    /// A stage of this wake-up is over.
    fn lap(&mut self, stage: Stage) {
        let stopwatch = self.board.stopwatch();
        self.watch.lap(stage, stopwatch);
    }

    /// Replies → measure. Bounded; what is left is taken in the next wake-up.
    fn receive(&mut self, ready: Ready) {
        let left = core::mem::take(&mut self.left.datagrams);
        for wan in &mut self.wans {
            let mut taken = 0;
            let is_ready = left || ready.wans & (1 << wan.id.index()) != 0;
            while is_ready && let Some(event) = self.board.recv_echo(wan.id) {
                match event {
                    EchoEvent::Reply(reply) => wan.reply(&reply),
                    EchoEvent::Unreachable { from, to, sequence } => wan.unreachable(from, to, sequence),
                    EchoEvent::ClockStep => wan.measure.clock_step(),
                    EchoEvent::Malformed | EchoEvent::Foreign => wan.measure.noise(),
                }
                taken += 1;
                if taken == DATAGRAMS {
                    self.left.datagrams = true;
                    break;
                }
            }
            self.counters.most_datagrams = self.counters.most_datagrams.max(taken);
        }
    }

    /// Ended TCP probes → measure.
    fn take_connects(&mut self, ready: Ready, now: Instant) {
        if !ready.tcp {
            return;
        }
        for wan in &mut self.wans {
            while let Some(probe) = self.board.tcp_result(wan.id) {
                wan.measure.tcp_result(now, probe.slot, probe.result);
            }
        }
    }

    /// measure → decide → what actuate shall want, for every WAN.
    fn measure_decide(&mut self, now: Instant, missed: u32) {
        let acts = self.reach.acts(now);
        let (events, actuator) = (&mut self.events, &mut self.actuator);
        let mut tell = |kind| events.push(Event { at: now, kind });
        let (stage, took) = self.watch.cycle();
        let (mut loaded, mut curious) = (false, false);
        for wan in &mut self.wans {
            let stats = actuator.statistics(wan.id);
            let verdict = wan.cycle(now, stats, acts, &mut tell);
            loaded |= wan.is_loaded(now, stats);
            curious |= verdict.curious;
            if wan.has_measured() {
                actuator.want(wan.id, [verdict.download.rate, verdict.upload.rate]);
            }
            while let Some(change) = wan.measure.take_change() {
                tell(reflector_event(wan.id, change));
            }
        }
        actuator.set_loaded(now, loaded);
        if curious {
            actuator.hurry_statistics(now);
        }
        if missed > 0 {
            let cause = self.heavy.unwrap_or(OverrunCause::Host);
            tell(EventKind::Overrun { cycles: missed, cause, stage, took });
        }
        self.heavy = None;
        self.counters.cycles += 1;
        self.counters.missed += u64::from(missed);
    }

    /// Books the cycle that began at `now`, when nothing waits for it any more.
    fn book(&mut self, now: Instant) {
        self.watch.book_cycle(now);
        for wan in &self.wans {
            self.watch.book_wan(wan.id, wan, now, self.actuator.statistics(wan.id));
        }
    }

    /// Sends the probes that are due.
    fn probe(&mut self, now: Instant) {
        for wan in &mut self.wans {
            while let Some(request) = wan.measure.poll_probe(now) {
                let outcome = self.board.send_echo(wan.id, &request);
                wan.measure.sent(&request, outcome);
            }
            if let Some((hops, request)) = wan.poll_trace(now) {
                // One that could not be sent is not answered: that is all there is to know.
                let _ = self.board.send_trace(wan.id, &request, hops);
            }
            while let Some((slot, target)) = wan.measure.poll_tcp(now) {
                if let Err(error) = self.board.tcp_probe(wan.id, slot, target) {
                    wan.measure.tcp_result(now, slot, Err(error));
                }
            }
        }
    }

    /// The router's bytes in, and the next request out.
    fn actuate(&mut self, now: Instant) {
        self.link_input(now);
        self.client.tick(now);
        self.settle_request(now);
        self.journal(now);
        if self.client.is_free(now)
            && let Some(intent) = self.actuator.next(now)
        {
            self.actuator.started(&intent);
            self.reach.asked(now);
            self.client.start(now, intent);
        }
        link::output(&mut self.board, &mut self.client, self.router, now);
    }

    fn link_input(&mut self, now: Instant) {
        let actuator = &mut self.actuator;
        let observe = &mut |item| actuator.observe(item);
        let input = link::input(&mut self.board, &mut self.client, &mut self.link_buffer[..], now, observe);
        self.left.link = input.moved;
        if input.opened {
            self.counters.connections += 1;
            self.actuator.reconnected(now);
        }
        if input.handshake {
            self.counters.handshakes += 1;
            self.handshake_at = Some(now);
            self.heavy = Some(OverrunCause::Handshake);
        }
    }

    /// The end of a request: what it means for actuate, and for people.
    fn settle_request(&mut self, now: Instant) {
        let Some((intent, result)) = self.client.take_outcome() else { return };
        self.reach.ended(result.is_ok());
        match result {
            Ok(exchange) => {
                self.watch.latency.record(exchange.latency());
                let failures = core::mem::take(&mut self.watch.failures);
                if failures > 0 {
                    self.tell(now, EventKind::RouterBack { failures });
                }
            }
            Err(error) => {
                self.watch.failures += 1;
                self.watch.error = Some(error);
                self.tell(now, EventKind::RouterFault(error));
            }
        }
        if let Some(intent) = intent {
            self.actuator.finished(now, &intent, result);
        }
        while let Some(kind) = self.actuator.take_event() {
            self.tell(now, kind);
        }
    }

    /// When there is something to do, whatever comes in.
    fn next_wake(&self) -> Instant {
        if self.left.datagrams || self.left.link {
            return Instant::ZERO;
        }
        self.wans.iter().map(|w| w.measure.next_wake()).fold(self.schedule.next(), Instant::min)
    }

    fn tell(&mut self, now: Instant, kind: EventKind) {
        self.events.push(Event { at: now, kind });
    }

    /// The WANs, for tests and views.
    #[must_use]
    pub fn wans(&self) -> &[Wan] {
        &self.wans
    }

    /// What is known of the router, for tests and views.
    #[must_use]
    pub const fn actuator(&self) -> &Actuator {
        &self.actuator
    }

    /// Where marked connections go, for tests and views.
    #[must_use]
    pub const fn steering(&self) -> &Steering {
        &self.steering
    }

    /// What the loop has done.
    #[must_use]
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// How late its cycles were.
    #[must_use]
    pub const fn lateness(&self) -> &Spread {
        self.schedule.lateness()
    }

    /// The machine.
    pub const fn board(&mut self) -> &mut B {
        &mut self.board
    }

    /// The last events.
    #[must_use]
    pub const fn events(&self) -> &EventRing {
        &self.events
    }

    /// Runs until `until` or a stop signal; for tests and views. Returns whether it was stopped.
    pub fn run_until(&mut self, until: Instant) -> bool {
        loop {
            let (ready, clock) = self.sleep(until);
            if self.turn(ready, clock) {
                return true;
            }
            if clock.now >= until {
                return false;
            }
        }
    }

    /// Sleeps until there is something to do, at most until `until`; says what woke it, and when.
    pub fn sleep(&mut self, until: Instant) -> (Ready, Clock) {
        let ready = self.board.wait(self.next_wake().min(until));
        (ready, self.board.clock())
    }

    /// Does what there is to do. Returns whether it was stopped: then the router was left in order.
    pub fn turn(&mut self, ready: Ready, clock: Clock) -> bool {
        let stopped = self.signals(ready, clock);
        if stopped {
            self.farewell();
        } else {
            self.step(ready, clock);
        }
        stopped
    }
}

/// What a change in the set of reflectors means to people.
const fn reflector_event(wan: WanId, change: Change) -> EventKind {
    match change {
        Change::Out(reflector) => EventKind::ReflectorOut { wan, reflector },
        Change::Back(reflector) => EventKind::ReflectorBack { wan, reflector },
    }
}

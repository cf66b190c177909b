//! probes → one delay sample per WAN and cycle. Pure: time is an argument.
//!
//! First of measure → decide → actuate. It says when to probe which reflector, matches replies,
//! and condenses them: the *median of the reflectors' fresh replies*. It is *not* responsible for
//! what a delay means, nor for baselines: those are decide's.
//!
//! Terms. A *round* is one probe to every active reflector. A reply is *fresh* for one round and a
//! cycle. A probe is *overdue* after three cycles or `SRTT + 4 RTTVAR` of its reflector, whichever
//! is more. The WAN is *silent* when nothing is fresh and the newest probes are overdue; then the
//! fall-backs are tried: gateway ping, and TCP connect times. A TCP connect takes another path
//! through hosts than an echo, so its time is told apart ([`Source::TcpConnect`]) and is never a
//! sample's `rtt`: it proves that the line is up; a law that knows each target's own distance may
//! go by it.

mod combine;
mod pace;
mod probe;
mod reflector;
mod settings;
mod tcp;
mod trace;

pub use combine::median;
pub use pace::Pace;
pub use settings::{MAX_CANDIDATES, MAX_TCP_TARGETS, Settings};
pub use trace::{HOPS, Path, Trace, compare};

use crate::types::{
    Duration, EchoReply, EchoRequest, Instant, MAX_REFLECTORS, Millis, Sample, SendError, Signal, SilenceMode, Source,
};
use core::net::{IpAddr, SocketAddr};
use pace::Pacer;
use probe::{IN_FLIGHT, Match, Probe, Table};
use reflector::{Reflector, Role};
use tcp::TcpFallback;

/// Cycles that a probe may take before silence is considered.
const PATIENT_CYCLES: u32 = 3;

/// Cycles for which the last value stands in during silence ([`SilenceMode::Degrade`]).
const STAND_IN_CYCLES: u32 = 3;

/// Time between pings of the gateway while silent.
const GATEWAY_EVERY: Duration = Duration::from_millis(250);

/// A proof that the line is up counts for this long.
const PROOF_LASTS: Duration = Duration::from_millis(2500);

/// A reflector is outlying when its delay above its usual stands this far off the others, in
/// milliseconds; a tenth of a second of lying is worse than one reflector less.
const OUTLYING_MS: f64 = 30.0;

/// The gateway's number in the table of probes.
const GATEWAY: usize = MAX_CANDIDATES;

/// What happened to a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyVerdict {
    /// It counts.
    Accepted,
    /// The probe was answered before.
    Duplicate,
    /// Its token is wrong.
    Forged,
    /// Another host answered.
    Foreign,
    /// Its probe is forgotten.
    Late,
    /// Its time is impossible (before the probe, or more than a minute after).
    Impossible,
}

/// A change in the set of reflectors, by number in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Taken out.
    Out(u8),
    /// Back in.
    Back(u8),
}

/// What has happened since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Probes sent.
    pub sent: u64,
    /// Replies that counted.
    pub accepted: u64,
    /// Second answers.
    pub duplicate: u64,
    /// Replies with a wrong token.
    pub forged: u64,
    /// Replies from another host, malformed datagrams, others' traffic.
    pub foreign: u64,
    /// Replies to forgotten probes.
    pub late: u64,
    /// Replies at impossible times, or while the wall clock was set.
    pub impossible: u64,
    /// Probes not answered in time, though the line was up.
    pub overdue: u64,
    /// ICMP errors about our probes.
    pub unreachable: u64,
    /// Probes that could not be sent.
    pub send_errors: u64,
    /// Overdue probes that gave way in a full table.
    pub overflow: u64,
    /// Probes not sent because too many were on their way.
    pub held: u64,
}

/// The measurement of one WAN.
#[derive(Debug)]
pub struct Measure {
    settings: Settings,
    reflectors: heapless::Vec<Reflector, MAX_CANDIDATES>,
    table: Table,
    pacer: Pacer,
    /// Position of the round robin.
    turn: usize,
    pending: Option<usize>,
    counters: Counters,
    changes: heapless::Deque<Change, 16>,
    started: Instant,
    /// When a reflector last answered, and the value then.
    last: Option<(Instant, Millis)>,
    /// When anything but an active reflector last proved that the line is up.
    proof: Option<Instant>,
    tcp: TcpFallback,
    gateway_at: Instant,
    renewed: bool,
    /// The last probe could not be sent.
    blocked: bool,
    signal: Signal,
}

impl Measure {
    /// Starts to measure; `key` makes the tokens unpredictable.
    #[must_use]
    pub fn new(settings: Settings, key: u64, now: Instant) -> Self {
        let active = settings.active.clamp(1, MAX_REFLECTORS);
        let role = |i| if i < active { Role::Active } else { Role::Spare };
        let reflectors = (0..settings.reflectors.len()).map(|i| Reflector::new(role(i))).collect();
        Self {
            pacer: Pacer::new(&settings, now),
            reflectors,
            table: Table::new(key),
            turn: 0,
            pending: None,
            counters: Counters::default(),
            changes: heapless::Deque::new(),
            started: now,
            last: None,
            proof: None,
            tcp: TcpFallback::default(),
            gateway_at: now,
            renewed: false,
            blocked: false,
            signal: Signal::WarmingUp,
            settings,
        }
    }

    /// The settings in force.
    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// When the next probe is due.
    #[must_use]
    pub const fn next_wake(&self) -> Instant {
        self.pacer.next()
    }

    /// How fast to probe. Takes effect at once.
    pub fn set_pace(&mut self, now: Instant, pace: Pace) {
        let active = self.active_reflectors();
        self.pacer.set(now, pace, active);
    }

    /// The next probe to send now, if one is due. Send it and tell [`Measure::sent`].
    pub fn poll_probe(&mut self, now: Instant) -> Option<EchoRequest> {
        if let Some(gateway) = self.settings.gateway
            && self.is_silent()
            && self.gateway_at <= now
        {
            self.gateway_at = now + GATEWAY_EVERY;
            return Some(self.request(GATEWAY, gateway));
        }
        if let Some(i) = self.reflectors.iter_mut().position(|r| r.ask_benched(now)) {
            return Some(self.request(i, self.settings.reflectors[i]));
        }
        if !self.pacer.take(now, self.is_silent()) {
            return None;
        }
        // A full table slows down; it gives up only what is overdue.
        let least = self.settings.cycle * PATIENT_CYCLES;
        let waits =
            |p: &Probe| self.reflectors.get(p.reflector).is_some_and(|r| now.since(p.sent) <= r.patience(least));
        if self.table.in_the_way().is_some_and(waits) {
            self.counters.held += 1;
            return None;
        }
        let count = self.reflectors.len();
        let next = (1..=count).map(|step| (self.turn + step) % count).find(|&i| self.reflectors[i].is_active())?;
        self.turn = next;
        Some(self.request(next, self.settings.reflectors[next]))
    }

    fn request(&mut self, reflector: usize, to: IpAddr) -> EchoRequest {
        self.pending = Some(reflector);
        self.table.request(to)
    }

    /// A probe that counts for nothing here, for a [`Trace`] of this WAN: its number is nobody else's.
    pub fn trace_request(&mut self, to: IpAddr) -> EchoRequest {
        self.table.request(to)
    }

    /// What became of the probe that [`Measure::poll_probe`] asked for. That it could not be sent
    /// is not the reflector's fault.
    pub fn sent(&mut self, request: &EchoRequest, outcome: Result<Instant, SendError>) {
        let Some(reflector) = self.pending.take() else { return };
        self.blocked = outcome.is_err();
        match outcome {
            Ok(at) => {
                self.counters.sent += 1;
                self.counters.overflow += u64::from(self.table.sent(reflector, request, at));
            }
            Err(_) => self.counters.send_errors += 1,
        }
    }

    /// A reply has come in.
    pub fn reply(&mut self, reply: &EchoReply) -> ReplyVerdict {
        let (verdict, counter) = match self.table.find(reply) {
            Match::Answer(index) => return self.accept(index, reply.at),
            Match::Duplicate => (ReplyVerdict::Duplicate, &mut self.counters.duplicate),
            Match::Forged => (ReplyVerdict::Forged, &mut self.counters.forged),
            Match::Foreign => (ReplyVerdict::Foreign, &mut self.counters.foreign),
            Match::Late => (ReplyVerdict::Late, &mut self.counters.late),
        };
        *counter += 1;
        verdict
    }

    fn accept(&mut self, index: usize, at: Instant) -> ReplyVerdict {
        let Some(probe) = self.table.answer(index) else { return ReplyVerdict::Late };
        let rtt = (at >= probe.sent).then(|| Millis::try_from(at.since(probe.sent)).ok()).flatten();
        let Some(rtt) = rtt else {
            self.counters.impossible += 1;
            return ReplyVerdict::Impossible;
        };
        self.counters.accepted += 1;
        let mut active = false;
        if let Some(reflector) = self.reflectors.get_mut(probe.reflector) {
            reflector.answered(probe.number, rtt, at);
            reflector.hasten(at);
            active = reflector.is_active();
        }
        if active {
            self.renewed = true;
        } else {
            self.proof = Some(self.proof.map_or(at, |p| p.max(at)));
        }
        ReplyVerdict::Accepted
    }

    /// An ICMP error about a probe of ours: counted; silence says the rest.
    pub fn unreachable(&mut self, _to: IpAddr, _sequence: u16) {
        self.counters.unreachable += 1;
    }

    /// A reply that can't be placed in time. Nobody knows whose it was, so none of the probes in
    /// flight is held against its reflector any more.
    pub fn clock_step(&mut self) {
        self.counters.impossible += 1;
        self.table.excuse();
    }

    /// A datagram that is not ours.
    pub fn noise(&mut self) {
        self.counters.foreign += 1;
    }

    /// The next TCP connect to start now: slot and target. Often while silent, seldom otherwise.
    pub fn poll_tcp(&mut self, now: Instant) -> Option<(u8, SocketAddr)> {
        if self.signal == Signal::WarmingUp {
            return None;
        }
        self.tcp.poll(now, self.is_silent(), &self.settings.tcp_targets)
    }

    /// A TCP connect has ended.
    pub fn tcp_result(&mut self, now: Instant, slot: u8, result: Result<Duration, SendError>) {
        let time = result.ok().and_then(|d| Millis::try_from(d).ok());
        if self.tcp.ended(now, slot, time) {
            self.proof = Some(now);
        }
    }

    /// The sample of this cycle.
    pub fn sample(&mut self, now: Instant) -> Sample {
        let least = self.settings.cycle * PATIENT_CYCLES;
        let mut out = [None; MAX_CANDIDATES];
        let (oldest_overdue, all_overdue) = self.overdue(now, least, &mut out);
        let window = (self.pacer.round(self.active_reflectors()) + self.settings.cycle).max(self.settings.cycle * 2);
        let mut per_reflector = [None; MAX_REFLECTORS];
        let (mut candidates, mut waiting) = ([0; MAX_REFLECTORS], [None; MAX_REFLECTORS]);
        let mut fresh: heapless::Vec<f64, MAX_REFLECTORS> = heapless::Vec::new();
        // Before any of them gives way.
        let taken = self.active_reflectors();
        let active = self.reflectors.iter().enumerate().filter(|(_, r)| r.is_active());
        for (i, ((candidate, reflector), place)) in active.zip(&mut per_reflector).enumerate() {
            candidates[i] = u8::try_from(candidate).unwrap_or(u8::MAX);
            waiting[i] = out[candidate].map(|sent| now.since(sent));
            if let Some((_, rtt, at)) = reflector.newest
                && now.since(at) <= window
            {
                *place = Some(rtt);
                let _ = fresh.push(rtt.get());
                self.last =
                    Some(self.last.map_or((at, rtt), |(last, old)| if at > last { (at, rtt) } else { (last, old) }));
            }
        }
        let count = u8::try_from(fresh.len()).unwrap_or(u8::MAX);
        let median = median(&mut fresh).and_then(Millis::new);
        if let (Some(value), Some((at, _))) = (median, self.last) {
            self.last = Some((at, value));
        }
        let age = self.last.map_or(now.since(self.started), |(at, _)| now.since(at));
        let was_silent = self.is_silent();
        self.signal = self.judge_signal(now, median.is_some(), all_overdue, age);
        if was_silent && !self.is_silent() {
            self.pacer.resume(now);
        }
        self.rotate(now);
        self.table.forget(now);
        let (rtt, renewed, source) = self.value(now, median, age);
        let mut sample = Sample {
            at: now,
            rtt,
            renewed,
            age,
            fresh: count,
            source,
            signal: self.signal,
            per_reflector,
            candidates,
            waiting,
            oldest_overdue,
        };
        self.tcp.fill(&mut sample, taken, self.signal == Signal::Degraded);
        sample
    }

    /// The value to decide on, and whether it is new.
    fn value(&mut self, now: Instant, median: Option<Millis>, age: Duration) -> (Option<Millis>, bool, Source) {
        let renewed = core::mem::take(&mut self.renewed);
        if median.is_some() && !self.is_silent() {
            return (median, renewed, Source::Icmp);
        }
        let source = if self.tcp_time(now).is_some() { Source::TcpConnect } else { Source::Icmp };
        let last = self.last.map(|(_, rtt)| rtt);
        match self.settings.silence {
            SilenceMode::Last => (last, last.is_some(), source),
            SilenceMode::Degrade if age <= self.settings.cycle * (PATIENT_CYCLES + STAND_IN_CYCLES) => {
                (last, false, source)
            }
            SilenceMode::Degrade | SilenceMode::Hold => (None, false, source),
        }
    }

    /// Median of the TCP connect times that still count.
    #[must_use]
    pub fn tcp_time(&self, now: Instant) -> Option<Millis> {
        self.tcp.time(now)
    }

    fn judge_signal(&self, now: Instant, has_value: bool, all_overdue: bool, age: Duration) -> Signal {
        let proven = self.proof.is_some_and(|at| now.since(at) <= PROOF_LASTS);
        if has_value || (self.last.is_some() && !all_overdue) {
            Signal::Good
        } else if self.last.is_none() && age < self.settings.down_after {
            if proven { Signal::Degraded } else { Signal::WarmingUp }
        } else if proven
            && age > self.settings.cycle * PATIENT_CYCLES
            && self.proof.is_some_and(|at| now.since(at) < age)
        {
            Signal::Degraded
        } else if age < self.settings.down_after {
            Signal::Silent
        } else {
            Signal::Down
        }
    }

    /// Whether every reflector is silent.
    #[must_use]
    pub const fn is_silent(&self) -> bool {
        matches!(self.signal, Signal::Silent | Signal::Degraded | Signal::Down)
    }

    /// The age of the oldest overdue probe, and whether all newest probes are overdue. Books an
    /// overdue probe once its neighbours prove that the line was up: else it is the line, not the
    /// reflector.
    fn overdue(
        &mut self,
        now: Instant,
        least: Duration,
        out: &mut [Option<Instant>; MAX_CANDIDATES],
    ) -> (Option<Duration>, bool) {
        let mut oldest: Option<Duration> = None;
        let mut lost: heapless::Vec<(u64, usize), IN_FLIGHT> = heapless::Vec::new();
        for probe in self.table.outstanding() {
            let Some(reflector) = self.reflectors.get(probe.reflector) else { continue };
            let age = now.since(probe.sent);
            let later = reflector.newest.is_some_and(|(number, ..)| number > probe.number);
            if !later {
                out[probe.reflector].get_or_insert(probe.sent); // the oldest comes first
            }
            if age <= reflector.patience(least) {
                continue;
            }
            if reflector.is_active() && !later {
                oldest = Some(oldest.map_or(age, |o| o.max(age)));
            }
            if !probe.booked {
                let _ = lost.push((probe.number, probe.reflector));
            }
        }
        let round = self.active_reflectors();
        for (number, reflector) in lost {
            if self.table.line_was_up(number, round) {
                self.table.book(number);
                self.counters.overdue += 1;
                self.reflectors[reflector].overdue();
            }
        }
        let silent = self
            .reflectors
            .iter()
            .all(|r| !r.is_active() || r.newest.is_none_or(|(_, _, at)| now.since(at) > r.patience(least)));
        // In silence new probes go on; only those older than the patience speak. When none can
        // even be sent, nothing else will.
        (oldest, silent && (oldest.is_some() || self.blocked))
    }

    /// Takes out what is silent or lying, and brings back what has mended.
    fn rotate(&mut self, now: Instant) {
        if self.is_silent() || self.last.is_none() {
            return;
        }
        self.judge_outliers(now);
        for i in 0..self.reflectors.len() {
            let number = u8::try_from(i).unwrap_or(u8::MAX);
            if self.reflectors[i].is_mended() {
                let room = self.active_reflectors() < self.settings.active;
                self.reflectors[i] = Reflector::new(if room { Role::Active } else { Role::Spare });
                self.tell(Change::Back(number));
            } else if self.reflectors[i].is_active() && self.reflectors[i].is_bad() {
                let spare = self.reflectors.iter().position(|r| r.role == Role::Spare);
                // Without a spare, two good ones must remain: one alone could lie unnoticed.
                if spare.is_none() && self.active_reflectors() <= 2 {
                    continue;
                }
                self.reflectors[i].bench(now);
                self.table.forget_reflector(i);
                if let Some(spare) = spare {
                    self.reflectors[spare].role = Role::Active;
                }
                self.tell(Change::Out(number));
            }
        }
    }

    /// Compares each active reflector's delay above its usual with the median of all: with three
    /// or more, one that stands apart is wrong; with two, nobody knows which.
    fn judge_outliers(&mut self, now: Instant) {
        let window = self.settings.cycle * 2;
        let is_new = |r: &Reflector| r.is_active() && r.newest.is_some_and(|(_, _, at)| now.since(at) <= window);
        let mut excess: heapless::Vec<f64, MAX_REFLECTORS> = self
            .reflectors
            .iter()
            .filter(|r| r.is_active())
            .filter_map(Reflector::excess)
            .take(MAX_REFLECTORS)
            .collect();
        if excess.len() < 3 {
            return;
        }
        let Some(middle) = median(&mut excess) else { return };
        for reflector in self.reflectors.iter_mut().filter(|r| is_new(r)) {
            let own = reflector.excess().unwrap_or(middle);
            reflector.judge(libm::fabs(own - middle) > OUTLYING_MS);
        }
    }

    fn tell(&mut self, change: Change) {
        if self.changes.is_full() {
            self.changes.pop_front();
        }
        let _ = self.changes.push_back(change);
    }

    /// A change in the set of reflectors, one by one.
    pub fn take_change(&mut self) -> Option<Change> {
        self.changes.pop_front()
    }

    /// How many reflectors are asked in every round.
    #[must_use]
    pub fn active_reflectors(&self) -> usize {
        self.reflectors.iter().filter(|r| r.is_active()).count()
    }

    /// Score of each candidate, and whether it is active.
    pub fn reflectors(&self) -> impl Iterator<Item = (IpAddr, f64, bool)> {
        self.settings.reflectors.iter().zip(&self.reflectors).map(|(ip, r)| (*ip, r.score, r.is_active()))
    }

    /// What has happened since the start.
    #[must_use]
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }
}

//! The search on a machine: probes, the router link, and the limits that are given back.
//!
//! Whatever ends a [`Session`] (done, failed, told to stop, a panic that unwinds), its farewell gives
//! the router its originals; they were journalled before the first write, so that the next start of
//! `run` or `calibrate` does it where no farewell was possible.

use super::search::{News, Options, Search};
use super::series::Probe;
use crate::actuate::{Actuator, Exit, Settings};
use crate::config::{Config, WanConfig};
use crate::daemon::{self, Store, ids, link};
use crate::measure::{Measure, Pace, ReplyVerdict};
use crate::routeros::Client;
use crate::types::{Bitrate, Direction, Duration, EventKind, Instant, Intent, Menu, RateRange, RouterError, WanId};
use core::net::{IpAddr, SocketAddr};
use std::collections::VecDeque;
use wanctl_hal::{Board, EchoEvent, Signal};

/// The search goes on so often, and a sample is taken.
const TICK: Duration = Duration::from_millis(50);

/// Every so many ticks the search goes on.
const STEP: u32 = 5;

/// Time between readings of the counters.
const READ: Duration = Duration::from_millis(250);

/// A router that has not answered for so long is lost; the limits can't be told any more.
const LOST: Duration = Duration::from_secs(12);

/// Longest time to give the limits back: when asked to stop; when not; when the router is lost.
const STOP_PATIENCE: Duration = Duration::from_millis(1_500);
const PATIENCE: Duration = Duration::from_secs(15);
const LOST_PATIENCE: Duration = Duration::from_secs(600);

/// Probes whose answers are waited for.
const FLYING: usize = 2_048;

/// Who is told what happens, and provides transfers.
pub trait Host {
    /// The search has come to something.
    fn news(&mut self, search: &Search, news: &News);
    /// Something for people, in a line.
    fn say(&mut self, line: &str);
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// All is known.
    Done,
    /// It can't be done; why.
    Failed(String),
    /// A signal.
    Stopped,
}

/// The search and everything it needs.
pub struct Session<B: Board> {
    board: B,
    config: Config,
    id: WanId,
    measure: Measure,
    search: Search,
    actuator: Actuator,
    client: Client,
    router: SocketAddr,
    store: Store,
    /// Probes under way: number, and when they left.
    flying: VecDeque<(u16, Instant)>,
    reflectors: Vec<IpAddr>,
    buffer: Box<[u8; 4096]>,
    /// Input was left for the next wake-up.
    more: bool,
    tick_at: Instant,
    ticks: u32,
    /// When the router last answered, and what came instead since.
    heard: Instant,
    error: Option<RouterError>,
    /// The statistics that were taken last.
    counted: Instant,
    /// The limits found were compared with the journal.
    compared: bool,
    range: RateRange,
    failure: Option<String>,
    left: bool,
}

impl<B: Board> Session<B> {
    /// Opens sockets, reads the journal. Nothing is written anywhere yet.
    ///
    /// # Errors
    /// What to tell the user.
    pub fn new(
        mut board: B,
        mut config: Config,
        wan: usize,
        router: SocketAddr,
        options: Options,
    ) -> Result<Self, String> {
        // Connections are steered by others meanwhile, or not at all.
        config.steering.clear();
        config.actuate = Settings {
            rise_fraction: 0.0,
            rise_minimum: Bitrate::ZERO,
            rise_spacing: Duration::ZERO,
            read_loaded: READ,
            read_idle: READ,
            writes_per_hour: 100_000,
            sectors_per_hour: None,
        };
        let now = board.clock().now;
        let found = ids(&config).nth(wan).ok_or("there is no such WAN")?;
        let (id, settings) = found;
        board.open_wan(id, &settings.source).map_err(|e| format!("wan \"{}\": {e}", settings.name))?;
        let mut measure = Measure::new(settings.measure.clone(), board.entropy(), now);
        measure.set_pace(now, Pace::Full);
        let mut store = Store::default();
        let mut actuator = daemon::actuator(&config);
        let known = store.load_originals(&mut board).map_err(|why| daemon::Problem::Journal(why).to_string())?;
        for (menu, name, original) in known.unwrap_or_default() {
            actuator.restore_original(menu, &name, &original);
        }
        Ok(Self {
            id,
            measure,
            search: Search::new(options, now),
            actuator,
            client: daemon::client(&config, board.entropy()),
            router,
            store,
            flying: VecDeque::with_capacity(FLYING),
            reflectors: Vec::new(),
            buffer: Box::new([0; 4096]),
            more: false,
            tick_at: now,
            ticks: 0,
            heard: now,
            error: None,
            counted: now,
            compared: false,
            range: options.range,
            failure: None,
            left: false,
            board,
            config,
        })
    }

    /// Searches until all is known or something ends it, then gives the limits back. The flag tells
    /// whether the router confirmed that.
    pub fn run(&mut self, host: &mut dyn Host) -> (End, bool) {
        let end = loop {
            if let Some(end) = self.turn(host) {
                break end;
            }
        };
        let restored = self.farewell(&end, host);
        (end, restored)
    }

    /// Only gives the limits back that a killed run has left.
    pub fn restore(&mut self, host: &mut dyn Host) -> bool {
        self.farewell(&End::Done, host)
    }

    /// One wake-up.
    pub fn turn(&mut self, host: &mut dyn Host) -> Option<End> {
        let wake = if self.more { Instant::ZERO } else { self.measure.next_wake().min(self.tick_at) };
        let ready = self.board.wait(wake);
        if ready.signal && self.is_told_to_stop() {
            return Some(End::Stopped);
        }
        let now = self.board.clock().now;
        self.more = false;
        self.receive();
        self.probe(now);
        self.actuate(now);
        if now >= self.tick_at {
            self.tick_at = now + TICK;
            self.ticks += 1;
            // It keeps the reflectors in order; the search goes by single replies.
            let _ = self.measure.sample(now);
            self.compare(host);
            if self.ticks.is_multiple_of(STEP) {
                self.search.step(now);
            }
        }
        if let Some(end) = self.news(host) {
            return Some(end);
        }
        if now.since(self.heard) > LOST {
            let why = self.error.map_or_else(|| "no answer".to_owned(), |error| error.to_string());
            self.failure.get_or_insert(format!("the router does not answer: {why}"));
        }
        self.failure.take().map(End::Failed)
    }

    fn news(&mut self, host: &mut dyn Host) -> Option<End> {
        let mut end = None;
        while let Some(news) = self.search.take_news() {
            host.news(&self.search, &news);
            match news {
                News::Done => end = Some(End::Done),
                News::Failed(why) => end = Some(End::Failed(why.to_string())),
                _ => {}
            }
        }
        if let Some(limits) = self.search.limits() {
            self.actuator.want(self.id, limits.map(|limit| self.range.clamp(limit)));
        }
        end
    }

    /// What was asked for by signals; a terminal that is gone (HUP) wants nothing more.
    fn is_told_to_stop(&mut self) -> bool {
        let mut told = false;
        while let Some(signal) = self.board.signal() {
            told |= matches!(signal, Signal::Stop | Signal::Reload);
        }
        told
    }

    fn receive(&mut self) {
        while let Some(event) = self.board.recv_echo(self.id) {
            let reply = match event {
                EchoEvent::Reply(reply) => reply,
                EchoEvent::ClockStep => {
                    self.measure.clock_step();
                    continue;
                }
                _ => continue,
            };
            if self.measure.reply(&reply) != ReplyVerdict::Accepted {
                continue;
            }
            let Some(&(_, sent)) = self.flying.iter().rev().find(|(sequence, _)| *sequence == reply.sequence) else {
                continue;
            };
            let reflector = self.reflectors.iter().position(|ip| *ip == reply.from).unwrap_or_else(|| {
                self.reflectors.push(reply.from);
                self.reflectors.len() - 1
            });
            self.search.probe(Probe { sent, reflector, rtt: reply.at.since(sent).as_secs_f64() * 1e3 });
        }
    }

    fn probe(&mut self, now: Instant) {
        while let Some(request) = self.measure.poll_probe(now) {
            let outcome = self.board.send_echo(self.id, &request);
            self.measure.sent(&request, outcome);
            if let Ok(sent) = outcome {
                if self.flying.len() == FLYING {
                    self.flying.pop_front();
                }
                self.flying.push_back((request.sequence, sent));
            }
        }
    }

    /// The router's bytes in, the next request out; journal first.
    fn actuate(&mut self, now: Instant) {
        let Self { board, client, actuator, buffer, .. } = self;
        let input = link::input(board, client, &mut buffer[..], now, &mut |item| actuator.observe(item));
        self.more |= input.moved;
        if input.opened {
            actuator.reconnected(now);
        }
        client.tick(now);
        self.settle(now);
        if self.actuator.journal_due() {
            match self.store.save_originals(&mut self.board, self.actuator.originals()) {
                Ok(()) => self.actuator.journalled(),
                Err(error) => {
                    let what = "the originals can't be journalled in state.directory, so nothing is changed";
                    self.failure.get_or_insert(format!("{what}: {error:?}"));
                }
            }
        }
        if self.client.is_free(now)
            && let Some(intent) = self.actuator.next(now)
        {
            self.actuator.started(&intent);
            self.client.start(now, intent);
        }
        link::output(&mut self.board, &mut self.client, self.router, now);
    }

    fn settle(&mut self, now: Instant) {
        let Some((intent, result)) = self.client.take_outcome() else { return };
        match result {
            Ok(_) => (self.heard, self.error) = (now, None),
            Err(error) => {
                self.error = Some(error);
                let is_write = matches!(intent, Some(Intent::SetLimit { .. }));
                // The id of a queue changes when the router boots: that mends itself.
                if is_write && error.is_refusal() && error != RouterError::NotFound {
                    self.failure.get_or_insert(format!("the router refuses a limit: {error}"));
                }
            }
        }
        if let Some(intent) = intent {
            self.actuator.finished(now, &intent, result);
        }
        while let Some(event) = self.actuator.take_event() {
            self.judge(event);
        }
        if let Some(stats) = self.actuator.statistics(self.id).filter(|stats| stats.at > self.counted) {
            self.counted = stats.at;
            for direction in Direction::BOTH {
                if let Some(rate) = stats.achieved[direction.index()] {
                    self.search.count(direction, stats.since[direction.index()], stats.at, rate);
                }
            }
        }
        self.search.shown(now, Direction::BOTH.map(|d| self.actuator.observed(self.id, d)));
    }

    /// What ends the search, of what the router link tells.
    fn judge(&mut self, event: EventKind) {
        let why = match event {
            EventKind::QueueUnusable { wan, direction, .. } if wan == self.id => format!(
                "the {} queue of the file is missing on the router, or can't be used; `wanctl check` prints what mends it",
                direction.name()
            ),
            EventKind::Swapped { wan } if wan == self.id => {
                "download and upload are exchanged in the file, as the router's counters tell: exchange the queue names"
                    .to_owned()
            }
            EventKind::Contested { wan, .. } if wan == self.id => {
                "somebody else keeps changing the limits: `wanctl check` names scripts that do".to_owned()
            }
            _ => return,
        };
        self.failure.get_or_insert(why);
    }

    /// Once, when the router has shown its limits: whether they are the originals.
    fn compare(&mut self, host: &mut dyn Host) {
        let found = Direction::BOTH.map(|d| self.actuator.observed(self.id, d));
        let (false, [Some(down), Some(up)]) = (self.compared, found) else { return };
        self.compared = true;
        let as_found = |menu, text: &str| match (menu, text.split_once('/')) {
            (Menu::Simple, Some((u, d))) => u.parse() == Ok(up.bps()) && d.parse() == Ok(down.bps()),
            _ => [down, up].into_iter().any(|limit| text.parse() == Ok(limit.bps())),
        };
        let other = self.actuator.originals().find(|(menu, _, original)| !as_found(*menu, original));
        if let Some((_, name, original)) = other {
            host.say(&format!(
                "warning: queue \"{name}\" has other limits than your original, max-limit={original}, which it gets back \
                 at the end. If its present limit is your own, stop here (Ctrl-C) and run `wanctl adopt` first"
            ));
        }
    }

    /// Gives the limits back, as far as the router answers in time; tells whether it has confirmed them.
    fn farewell(&mut self, end: &End, host: &mut dyn Host) -> bool {
        self.left = true;
        let start = self.board.clock().now;
        let mut until = start + if *end == End::Stopped { STOP_PATIENCE } else { PATIENCE };
        let mut is_waiting = false;
        self.actuator.leave(Exit::Restore);
        loop {
            let now = self.board.clock().now;
            if self.actuator.has_left(now) && self.client.in_flight().is_none() {
                self.board.link_close();
                return true;
            }
            if now >= until && *end != End::Stopped && !is_waiting {
                // Nothing else can be done, and leaving it so is worse than waiting.
                is_waiting = true;
                until = start + LOST_PATIENCE;
                host.say("waiting for the router, to give its limits back (Ctrl-C leaves that to the next start)");
            } else if now >= until {
                self.board.link_close();
                return false;
            }
            if !is_waiting {
                self.client.hurry(now);
            }
            self.actuate(now);
            let ready = self.board.wait((now + Duration::from_millis(20)).min(until));
            if ready.signal && self.is_told_to_stop() {
                until = until.min(self.board.clock().now + STOP_PATIENCE);
                is_waiting = true;
            }
        }
    }

    /// The search, with all that was seen.
    #[must_use]
    pub const fn search(&self) -> &Search {
        &self.search
    }

    /// The WAN, as the file has it.
    #[must_use]
    pub fn wan(&self) -> &WanConfig {
        &self.config.wans[self.id.index()]
    }

    /// The machine.
    pub const fn board(&mut self) -> &mut B {
        &mut self.board
    }

    /// The end of a process that is killed: nothing is given back. For tests.
    pub fn abandon(mut self) {
        self.left = true;
        self.board.link_close();
    }
}

/// Somebody who need not be told.
struct Nobody;

impl Host for Nobody {
    fn news(&mut self, _: &Search, _: &News) {}
    fn say(&mut self, _: &str) {}
}

impl<B: Board> Drop for Session<B> {
    fn drop(&mut self) {
        if !self.left {
            self.farewell(&End::Stopped, &mut Nobody);
        }
    }
}

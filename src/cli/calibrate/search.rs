//! The search for what a line carries: pure, time is an argument.
//!
//! First the idle line is watched. Then, for each direction, the limit is lifted while a transfer runs:
//! while a queue stands in the line, what passes is what the line carries. Is that the same all the
//! time, limits below it are tried, with the queue drained before each, for the highest at which the
//! delay does not rise; else the tenth percentile of what it carried is the answer.

use super::series::{Idle, Loaded, Probe, Series, quantile, within};
use crate::types::{Bitrate, Direction, Duration, Instant, RateRange};

/// How long a limit is in force before it is judged, and how long each look at it lasts.
const SETTLE: Duration = Duration::from_secs(3);
const LOOK: Duration = Duration::from_secs(4);

/// Looks at one limit before it is given up: a queue that stands does so in all of them.
const LOOKS: u32 = 4;

/// A queue that is not below this part of what it was a look before does not drain.
const STANDS: f64 = 0.8;

/// How long the line is watched with the limit lifted: a steady one, and one that varies.
const LIFTED: Duration = Duration::from_secs(20);
const VARYING: Duration = Duration::from_secs(100);

/// What is known of a line is told by the rates of so long pieces: a steady one, and one that varies.
const PIECE: Duration = Duration::from_secs(1);
const SHORT_PIECE: Duration = Duration::from_millis(500);

/// Transfers need this long to fill a line, and so many round trips more.
const RAMP: Duration = Duration::from_secs(6);
const RAMP_TRIPS: f64 = 40.0;

/// Shortest and longest time to drain the queue.
const DRAIN: Duration = Duration::from_secs(1);
const DRAIN_MOST: Duration = Duration::from_secs(15);

/// Part of the estimate at which the queue drains.
const DRAINING: f64 = 0.75;

/// The first limit tried, as part of the estimate, and how fast limits fall that make delay.
const FIRST: f64 = 0.98;
const FALL: f64 = 0.93;

/// The search ends when the lowest limit with delay is this near to the highest without.
const NEAR: f64 = 1.025;

/// On download what passes a standing queue is exactly what the line carries, and what CAKE drops has
/// passed it before: on slow lines delay rises earlier. The ceiling is not below this part of it.
const EXACT: f64 = 0.965;

/// Below this part of it there is then nothing to be gained by a closer search.
const CLOSE: f64 = 0.9;

/// A limit is used when so much of it passes.
const USED: f64 = 0.94;

/// A line varies when a tenth of the time it carries less than this part of what it carries in another.
const STEADY: f64 = 0.92;
const STEADY_UPLOAD: f64 = 0.93;

/// Delay at this part of the estimate is reason to watch the line for longer.
const DOUBT: f64 = 0.95;

/// How much of the expected rate must pass for a transfer to be there, and for how long less.
const PRESENT: f64 = 0.3;
const ABSENT: Duration = Duration::from_secs(4);

/// Least rate that is a transfer at all (bit/s).
const TRANSFER: f64 = 250_000.0;

/// Probes that must be answered on the idle line.
const LEAST_PROBES: usize = 40;

/// What is to be searched, and how.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Download, upload.
    pub directions: [bool; 2],
    /// The limits that may be set; the highest is that of a lifted limit.
    pub range: RateRange,
    /// How long the idle line is watched.
    pub idle: Duration,
    /// How long a transfer is waited for.
    pub patience: Duration,
}

/// What was seen at one limit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row {
    /// Which direction.
    pub direction: Direction,
    /// The limit; `None` when it was lifted.
    pub limit: Option<Bitrate>,
    /// What passed (bit/s).
    pub rate: f64,
    /// Median and 95th percentile of the delay above the idle line (milliseconds).
    pub delay: [f64; 2],
    /// Whether a queue stood.
    pub risen: bool,
    /// Beginning and end.
    pub time: [Instant; 2],
}

/// What kind of a line a direction is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// It carries the same all the time.
    Steady,
    /// It carries more and less: 10th, 50th and 90th percentile (bit/s).
    Varying([f64; 3]),
    /// The delay never rose: it carries this much, perhaps more.
    Unfilled,
}

/// What was found of one direction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found {
    /// What kind of a line it is.
    pub kind: Kind,
    /// The highest rate to set (bit/s).
    pub ceiling: f64,
    /// The highest limit that was tried and made no delay (bit/s).
    pub quiet: f64,
    /// The least that the line carried in a second (bit/s).
    pub least: f64,
}

impl Found {
    /// Whether the line was full: else nothing is known of what it carries.
    #[must_use]
    pub fn is_filled(&self) -> bool {
        self.kind != Kind::Unfilled
    }
}

/// Why the search can't go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Too few probes were answered on the idle line.
    NoAnswers,
    /// No transfer began in time.
    NoTransfer(Direction),
}

/// What the search has come to.
#[derive(Clone, Debug, PartialEq)]
pub enum News {
    /// The idle line is known.
    Idle,
    /// A transfer in this direction is wanted; again, when one has ended too early.
    Wanted(Direction, bool),
    /// It is there, at this rate (bit/s).
    There(Direction, f64),
    /// The line varies: it is watched for longer.
    Varies(Direction),
    /// A limit was judged.
    Row(Row),
    /// The direction is known, and needs no more transfers.
    Found(Direction),
    /// All is known.
    Done,
    /// It can't go on.
    Failed(Failure),
}

/// What is being done.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Stage {
    Idle,
    Lifted {
        varying: bool,
    },
    Drain {
        next: f64,
    },
    /// With the delay of the look before.
    Trial {
        looks: u32,
        delay: f64,
    },
    Over,
}

/// What is known of the direction under search.
#[derive(Clone, Copy, Debug, Default)]
struct Bounds {
    estimate: f64,
    /// Highest limit without delay; lowest with.
    low: Option<f64>,
    high: f64,
    least: f64,
    /// It was watched for as long as one that varies.
    watched: bool,
}

/// The search.
#[derive(Clone, Debug)]
pub struct Search {
    options: Options,
    series: Series,
    idle: Option<Idle>,
    direction: Direction,
    stage: Stage,
    /// Since when the stage lasts, counted from the router's confirmation of the limit.
    since: Instant,
    /// Since when a transfer is waited for.
    asked: Option<Instant>,
    limits: Option<[Bitrate; 2]>,
    confirmed: bool,
    bounds: Bounds,
    found: [Option<Found>; 2],
    rows: Vec<Row>,
    news: Vec<News>,
}

impl Search {
    /// Begins to watch the idle line.
    #[must_use]
    pub fn new(options: Options, now: Instant) -> Self {
        Self {
            options,
            series: Series::default(),
            idle: None,
            direction: Direction::Download,
            stage: Stage::Idle,
            since: now,
            asked: None,
            limits: None,
            confirmed: false,
            bounds: Bounds::default(),
            found: [None; 2],
            rows: Vec::new(),
            news: Vec::new(),
        }
    }

    /// A probe was answered.
    pub fn probe(&mut self, probe: Probe) {
        self.series.probe(probe);
    }

    /// The counters were read.
    pub fn count(&mut self, direction: Direction, since: Instant, at: Instant, rate: Bitrate) {
        self.series.count(direction, since, at, rate);
    }

    /// The router shows these limits.
    pub fn shown(&mut self, now: Instant, limits: [Option<Bitrate>; 2]) {
        for (direction, limit) in Direction::BOTH.into_iter().zip(limits) {
            if let Some(limit) = limit {
                self.series.limit(direction, now, limit);
            }
        }
        let wanted = self.limits.map(|limits| limits.map(Some));
        if !self.confirmed && wanted == Some(limits) {
            self.confirmed = true;
            self.since = now;
        }
    }

    /// The limits that are wanted now; `None` until the idle line is known.
    #[must_use]
    pub const fn limits(&self) -> Option<[Bitrate; 2]> {
        self.limits
    }

    /// What has happened since the last call, one by one.
    pub fn take_news(&mut self) -> Option<News> {
        if self.news.is_empty() { None } else { Some(self.news.remove(0)) }
    }

    /// What was seen.
    #[must_use]
    pub const fn series(&self) -> &Series {
        &self.series
    }

    /// The idle line.
    #[must_use]
    pub const fn idle(&self) -> Option<&Idle> {
        self.idle.as_ref()
    }

    /// What was found of a direction.
    #[must_use]
    pub const fn found(&self, direction: Direction) -> Option<&Found> {
        self.found[direction.index()].as_ref()
    }

    /// What was seen at each limit.
    #[must_use]
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Goes on, if it is time for that. To be called a few times a second.
    pub fn step(&mut self, now: Instant) {
        match self.stage {
            Stage::Over => {}
            Stage::Idle => self.watch_idle(now),
            // What the router has not confirmed is not judged.
            _ if !self.confirmed => {}
            _ if self.asked.is_some() => self.await_transfer(now),
            _ if self.is_gone(now) => self.ask(now, true),
            Stage::Lifted { varying } => self.lifted(now, varying),
            Stage::Drain { next } => self.drain(now, next),
            Stage::Trial { looks, delay } => self.trial(now, looks, delay),
        }
    }

    fn watch_idle(&mut self, now: Instant) {
        if now.since(self.since) < self.options.idle {
            return;
        }
        self.idle = self.series.idle(self.since, now).filter(|idle| idle.count >= LEAST_PROBES);
        if self.idle.is_none() {
            return self.fail(Failure::NoAnswers);
        }
        self.news.push(News::Idle);
        self.next_direction(now);
    }

    /// The first direction that is asked for and not known.
    fn next_direction(&mut self, now: Instant) {
        let open = |d: &Direction| self.options.directions[d.index()] && self.found[d.index()].is_none();
        let Some(direction) = Direction::BOTH.into_iter().find(open) else {
            self.stage = Stage::Over;
            self.news.push(News::Done);
            return;
        };
        self.direction = direction;
        self.bounds = Bounds::default();
        self.set(None);
        self.stage = Stage::Lifted { varying: false };
        self.ask(now, false);
    }

    /// A limit for the direction under search, or none; the other one has what was found for it.
    fn set(&mut self, limit: Option<f64>) {
        let range = self.options.range;
        let mut limits = self.found.map(|found| found.map_or(range.ceiling(), |found| within(range, found.ceiling)));
        limits[self.direction.index()] = limit.map_or(range.ceiling(), |limit| within(range, limit));
        self.confirmed &= self.limits == Some(limits);
        self.limits = Some(limits);
    }

    fn ask(&mut self, now: Instant, again: bool) {
        self.asked = Some(now);
        self.news.push(News::Wanted(self.direction, again));
    }

    fn fail(&mut self, why: Failure) {
        self.stage = Stage::Over;
        self.news.push(News::Failed(why));
    }

    fn rate(&self, from: Instant, to: Instant) -> Option<f64> {
        self.series.rate(self.direction, from, to)
    }

    /// Until when the counters are known, as far as that is of any use.
    fn known(&self, now: Instant) -> Instant {
        self.series.counted_until(self.direction).map_or(now, |at| at.min(now))
    }

    /// Least rate that is the transfer we want.
    fn least_rate(&self) -> f64 {
        (PRESENT * self.bounds.estimate).max(TRANSFER)
    }

    fn await_transfer(&mut self, now: Instant) {
        let to = self.known(now);
        if let Some(rate) = self.rate(to - LOOK / 2, to).filter(|rate| *rate >= self.least_rate()) {
            self.asked = None;
            self.since = now;
            self.news.push(News::There(self.direction, rate));
            if let Stage::Trial { .. } = self.stage {
                self.stage = Stage::Trial { looks: 0, delay: 0.0 };
            }
        } else if self.asked.is_some_and(|asked| now.since(asked) > self.options.patience) {
            self.fail(Failure::NoTransfer(self.direction));
        }
    }

    fn is_gone(&self, now: Instant) -> bool {
        let to = self.known(now);
        now.since(self.since) > ABSENT + SETTLE
            && self.rate(to - ABSENT, to).is_some_and(|rate| rate < self.least_rate() / 2.0)
    }

    fn lifted(&mut self, now: Instant, varying: bool) {
        let Some(idle) = &self.idle else { return };
        let to = self.known(now);
        // A line that varies is worth every second; a steady one is judged when it is full.
        let ramp = RAMP + Duration::from_secs_f64(RAMP_TRIPS * idle.baseline / 1e3);
        let full = self.since + ramp;
        let (piece, lasts) = if varying { (SHORT_PIECE, VARYING) } else { (PIECE, ramp + LIFTED) };
        if to.since(self.since) < lasts {
            return;
        }
        let rate = self.rate(full, to).unwrap_or(0.0);
        let risen = idle.risen(rate);
        let is_filled = self.series.delay(idle, full, to, 0.75).is_some_and(|delay| delay > risen);
        let of = Loaded { direction: self.direction, idle, from: self.since, to, risen, overflows: false };
        let mut pieces = self.series.capacities(&of, piece);
        if !pieces.iter().any(|(_, stands)| *stands) {
            // A queue too small to stand: the line is full now and then at best.
            pieces = self.series.capacities(&Loaded { from: full, ..of }, piece);
        }
        let values = |standing: bool| -> Vec<f64> {
            pieces.iter().filter(|(_, stands)| *stands || !standing).map(|(value, _)| *value).collect()
        };
        let all = values(false);
        let at = |part| quantile(all.clone(), part).unwrap_or(rate);
        let spread = [at(0.1), at(0.5), at(0.9)];
        // On upload some of what overflows is in the high percentiles.
        let is_varying = is_filled
            && match self.direction {
                Direction::Download => spread[0] < STEADY * spread[2],
                Direction::Upload => spread[0] < STEADY_UPLOAD * spread[1],
            };
        if is_varying && !varying {
            return self.watch_longer();
        }
        let row = self.row(full, to, None, risen);
        let carried = self.series.capacities(&Loaded { overflows: true, ..of }, piece);
        let carried =
            [0.1, 0.5, 0.9].map(|part| quantile(carried.iter().map(|(rate, _)| *rate).collect(), part).unwrap_or(rate));
        let standing = values(true);
        let estimate = if standing.len() >= 3 { quantile(standing, 0.5).unwrap_or(rate) } else { spread[2] };
        self.judged(row);
        self.bounds = Bounds { estimate, high: estimate, least: at(0.0), low: None, watched: varying };
        if !is_filled {
            self.bounds.low = Some(rate);
            self.conclude(now, Kind::Unfilled);
        } else if is_varying {
            self.conclude(now, Kind::Varying(carried));
        } else {
            self.try_limit(now, estimate * FIRST);
        }
    }

    /// What was believed of a steady line is not true of this one.
    fn watch_longer(&mut self) {
        self.stage = Stage::Lifted { varying: true };
        self.set(None);
        self.news.push(News::Varies(self.direction));
    }

    /// The queue first, then the limit.
    fn try_limit(&mut self, now: Instant, limit: f64) {
        self.stage = Stage::Drain { next: limit };
        self.since = now;
        self.set(Some(limit.min(self.bounds.estimate) * DRAINING));
    }

    fn drain(&mut self, now: Instant, next: f64) {
        let Some(idle) = &self.idle else { return };
        let lasts = now.since(self.since);
        let delay = self.series.delay(idle, now - DRAIN, now, 0.5);
        let is_calm = delay.is_some_and(|delay| delay <= idle.risen(next));
        if (lasts >= DRAIN * 2 && is_calm) || lasts >= DRAIN_MOST {
            self.stage = Stage::Trial { looks: 0, delay: 0.0 };
            self.since = now;
            self.set(Some(next));
        }
    }

    fn trial(&mut self, now: Instant, looks: u32, delay: f64) {
        let (Some(idle), Some(limits)) = (&self.idle, self.limits) else { return };
        let limit = limits[self.direction.index()].as_f64();
        let from = self.since + SETTLE + LOOK * looks;
        let to = self.known(now);
        if to.since(from) < LOOK {
            return;
        }
        let row = self.row(from, to, Some(limits[self.direction.index()]), idle.risen(limit));
        let stands = row.risen && row.delay[0] > STANDS * delay.max(idle.risen(limit));
        let is_open = row.risen && (looks == 0 || !stands) || row.rate < USED * limit;
        if is_open && looks + 1 < LOOKS {
            self.stage = Stage::Trial { looks: looks + 1, delay: row.delay[0] };
            return;
        }
        self.judged(row);
        // It carries less now than before, or delay where none should be: perhaps it varies slowly.
        let doubt = row.rate < USED * limit || limit < self.bounds.estimate * DOUBT;
        if row.risen && doubt && !self.bounds.watched {
            return self.watch_longer();
        }
        if row.risen {
            self.bounds.high = self.bounds.high.min(limit);
        } else {
            self.bounds.low = Some(self.bounds.low.unwrap_or(0.0).max(limit));
        }
        let Bounds { low, high, estimate, .. } = self.bounds;
        let is_close = |low| self.direction == Direction::Download && low >= estimate * CLOSE && low < estimate * EXACT;
        match low {
            None if high > estimate * 0.2 => self.try_limit(now, high * FALL),
            Some(low) if high > low * NEAR && !is_close(low) => self.try_limit(now, libm::sqrt(low * high)),
            _ => self.conclude(now, Kind::Steady),
        }
    }

    fn conclude(&mut self, now: Instant, kind: Kind) {
        let Bounds { estimate, low, high, least, .. } = self.bounds;
        let quiet = low.unwrap_or(high);
        let ceiling = match kind {
            Kind::Varying([tenth, ..]) => tenth,
            Kind::Steady if self.direction == Direction::Download => quiet.max(estimate * EXACT),
            _ => quiet,
        };
        self.found[self.direction.index()] = Some(Found { kind, ceiling, quiet, least: least.min(ceiling) });
        self.news.push(News::Found(self.direction));
        self.next_direction(now);
    }

    fn row(&self, from: Instant, to: Instant, limit: Option<Bitrate>, risen: f64) -> Row {
        let delay = |part| {
            let delay = self.idle.as_ref().and_then(|idle| self.series.delay(idle, from, to, part));
            // No answer at all is no calm line.
            delay.unwrap_or(f64::INFINITY)
        };
        let [median, p95] = [delay(0.5), delay(0.95)];
        let rate = self.rate(from, to).unwrap_or(0.0);
        Row { direction: self.direction, limit, rate, delay: [median, p95], risen: median > risen, time: [from, to] }
    }

    fn judged(&mut self, row: Row) {
        self.rows.push(row);
        self.news.push(News::Row(row));
    }
}

impl core::fmt::Display for Failure {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::NoAnswers => f.write_str(
                "too few probes were answered on the idle line; `wanctl check` tries each of wan.reflectors",
            ),
            Self::NoTransfer(direction) => write!(
                f,
                "no {} passed the queue of the file in time: does it go through this line, and past FastTrack?",
                direction.name()
            ),
        }
    }
}

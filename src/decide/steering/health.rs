//! How bad one WAN is for a call: signals → score, with every contribution visible.
//!
//! What is known only from delay (congestion state, delay) fades over five seconds instead of
//! vanishing with the first good sample: a law that cuts fast keeps delay low on a line that has
//! broken down, and the capacity it has lost is seen only with the statistics. What is known only
//! from statistics fades as they age. Nothing is made up for what is not known: the score gets
//! lower, and the confidence that is told beside it.

use super::{Mode, Settings};
use crate::types::{Bitrate, Duration, Instant, LinkStats, Millis, Part, Score, Signal, State};

/// What is seen of one WAN in one cycle.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Signals {
    /// Quality of the measurement.
    pub quality: Signal,
    /// Age of the newest reply.
    pub age: Duration,
    /// Round-trip time of the idle line.
    pub baseline: Millis,
    /// Delay above it.
    pub delay: Millis,
    /// How many reflectors show (about) this delay, each for itself.
    pub witnesses: u8,
    /// How many reflectors are asked.
    pub reflectors: u8,
    /// The more congested of the two directions.
    pub state: State,
    /// Part of the probes that is lost, as the middle one of the reflectors has it.
    pub loss: f64,
    /// Whether anything but the reflectors is asked in silence (gateway, TCP).
    pub has_fallback: bool,
    /// The router's newest statistics.
    pub stats: Option<LinkStats>,
    /// The rates of the shapers of download and upload.
    pub rates: [Bitrate; 2],
    /// The highest rates they may have.
    pub ceilings: [Bitrate; 2],
}

/// Whether anything comes through a WAN.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reach {
    /// Nothing is known yet.
    #[default]
    Unknown,
    /// It does, and delay is measured.
    Up,
    /// It does, but nothing can be said about delay.
    Unmeasured,
    /// Silence, for too short a time to say.
    Doubtful,
    /// It does not.
    Lost,
}

/// Time in which what is known from delay fades…
const FADE_S: f64 = 5.0;

/// …beginning with this part of it: what is over counts less than what is.
const FADE_FROM: f64 = 0.8;

/// SOFT_RED for so long is a standing queue (three assessments of the original).
const SOFT_RED_LASTS: Duration = Duration::from_millis(1_500);

/// Points for a congestion state without any delay; each millisecond of delay bears out one more.
const UNPROVEN: f64 = 10.0;

/// What only one reflector shows counts this much: it takes another sign for a switch.
const LONE_WITNESS: f64 = 0.6;

/// And no more than this in all, nor as much as makes a WAN bad.
const LONE_MOST: f64 = 45.0;

/// Silence of every reflector for this long and a round-trip time is a loss…
const LOST_AFTER: Duration = Duration::from_millis(520);

/// …if the fall-backs were given this long and a round-trip time to object.
const OBJECTION: Duration = Duration::from_millis(150);

/// Loss is averaged over this time, in seconds.
const LOSS_TC_S: f64 = 3.0;

/// A queue that takes so long to send is half full (in seconds).
const HALF_FULL_S: f64 = 0.1;

/// A direction uses what it has above this part of its rate…
const USED: f64 = 0.7;

/// …or with so much waiting in the router (in seconds).
const WAITING_S: f64 = 0.02;

/// What is known of lost capacity fades in this time when nobody fills the line any more.
const CAPACITY_FADES_S: f64 = 30.0;

/// Demand is the most that was carried lately; it is forgotten with this time constant, in seconds.
const DEMAND_TC_S: f64 = 30.0;

/// Statistics up to this age (in seconds) count in full…
const FRESH_S: f64 = 1.5;

/// …and from this age on not at all.
const STALE_S: f64 = 10.0;

/// Time constant of the slow mean, by which the brake tells the fitter WAN, in seconds.
const MEAN_TC_S: f64 = 60.0;

/// Bytes of a full packet: statistics tell bytes.
const PACKET: u64 = 1_500;

/// Points that fade linearly from their peak.
#[derive(Clone, Copy, Debug, Default)]
struct Fading {
    peak: f64,
    at: Instant,
}

impl Fading {
    fn feed(&mut self, now: Instant, points: f64) -> f64 {
        let left = FADE_FROM * self.peak * (1.0 - now.since(self.at).as_secs_f64() / FADE_S).max(0.0);
        if points >= left {
            *self = Self { peak: points, at: now };
            return points;
        }
        left
    }
}

/// What has been seen of one WAN.
#[derive(Clone, Debug, Default)]
pub struct Health {
    score: Score,
    reach: Reach,
    last: Option<Instant>,
    soft_red_since: Option<Instant>,
    silent_since: Option<Instant>,
    state: Fading,
    delay: Fading,
    loss: f64,
    stats_at: Option<Instant>,
    /// Drops per second in the last readings, newest last.
    drops: [f64; 3],
    /// Readings in a row with a queue half full.
    full: u8,
    /// Of each direction: the most carried lately, in bit/s.
    demand: [f64; 2],
    /// Of each direction: points for lost capacity, and when the line was last filled.
    lacking: [(f64, Instant); 2],
    mean: f64,
}

impl Health {
    /// The score of the last cycle.
    #[must_use]
    pub const fn score(&self) -> &Score {
        &self.score
    }

    /// Whether anything came through.
    #[must_use]
    pub const fn reach(&self) -> Reach {
        self.reach
    }

    /// The score of about the last minute.
    #[must_use]
    pub const fn mean(&self) -> f64 {
        self.mean
    }

    /// One cycle.
    pub fn assess(&mut self, now: Instant, seen: &Signals, settings: &Settings) {
        let elapsed = self.last.map_or(0.0, |last| now.since(last).as_secs_f64()).min(1.0);
        self.last = Some(now);
        self.reach = self.judge_reach(now, seen);
        let freshness = self.read(now, seen, settings);
        let (state, delay) = self.delay_points(now, seen);
        let loss = self.loss_points(elapsed, seen, state + delay, settings);
        let known = match (seen.quality, seen.witnesses) {
            (Signal::Good, 2..) => 70.0,
            (Signal::Good, _) => 70.0 * LONE_WITNESS,
            _ => 0.0,
        };
        let mut score = Score::healthy(points(known + 30.0 * freshness));
        if self.reach == Reach::Lost {
            score = Score::healthy(100).with(Part::Reach, 100);
        } else if settings.mode == Mode::Hysteresis {
            score = score.with(Part::Rule, rule(seen, freshness > 0.0));
        } else {
            let rising = self.drops[0] < self.drops[1] && self.drops[1] < self.drops[2];
            let standing = self.full >= 2;
            score = score
                .with(Part::State, points(state))
                .with(Part::Delay, points(delay))
                .with(Part::Loss, points(loss))
                .with(Part::Drops, points(if rising { 10.0 * freshness } else { 0.0 }))
                .with(Part::Queue, points(if standing { 10.0 * freshness } else { 0.0 }))
                .with(Part::Capacity, points(self.capacity_points(now)));
        }
        self.score = score;
        self.mean += (f64::from(score.total()) - self.mean) * (elapsed / MEAN_TC_S);
    }

    fn judge_reach(&mut self, now: Instant, seen: &Signals) -> Reach {
        let silent = matches!(seen.quality, Signal::Silent | Signal::Down);
        self.silent_since = if silent { Some(self.silent_since.unwrap_or(now)) } else { None };
        match (seen.quality, self.silent_since) {
            (Signal::WarmingUp, _) => Reach::Unknown,
            (Signal::Good, _) => Reach::Up,
            (Signal::Degraded, _) => Reach::Unmeasured,
            (Signal::Down, _) => Reach::Lost,
            (Signal::Silent, since) => {
                let rtt = (seen.baseline.to_duration() + seen.delay.to_duration()).min(Duration::from_secs(2));
                let heard_out = since.is_some_and(|since| now.since(since) >= OBJECTION + rtt);
                if seen.has_fallback && heard_out && seen.age >= LOST_AFTER + rtt {
                    Reach::Lost
                } else {
                    Reach::Doubtful
                }
            }
        }
    }

    /// Points for state and delay. What can't be measured adds nothing, and what was fades.
    fn delay_points(&mut self, now: Instant, seen: &Signals) -> (f64, f64) {
        let good = seen.quality == Signal::Good;
        let soft_red = good && seen.state >= State::SoftRed;
        self.soft_red_since = if soft_red { Some(self.soft_red_since.unwrap_or(now)) } else { None };
        let lasts = self.soft_red_since.is_some_and(|since| now.since(since) >= SOFT_RED_LASTS);
        let state: f64 = match seen.state {
            State::Red => 50.0,
            State::SoftRed if lasts => 25.0,
            State::SoftRed | State::Yellow => 10.0,
            State::Green => 0.0,
        };
        // A law may call RED what it cuts for: it counts as far as the delay bears it out.
        let state = state.min(UNPROVEN + seen.delay.get());
        let delay = match seen.delay.get() {
            ms if ms > 120.0 => 25.0,
            ms if ms > 80.0 => 15.0,
            _ => 0.0,
        };
        let weight = if !good {
            0.0
        } else if seen.witnesses >= 2 {
            1.0
        } else {
            LONE_WITNESS
        };
        (self.state.feed(now, state * weight), self.delay.feed(now, delay * weight))
    }

    /// Points for loss, beside those that the same reflectors have given for delay.
    fn loss_points(&mut self, elapsed: f64, seen: &Signals, given: f64, settings: &Settings) -> f64 {
        if seen.quality == Signal::Good {
            self.loss += (seen.loss - self.loss) * (elapsed / LOSS_TC_S).min(1.0);
        }
        let percent = self.loss * 100.0;
        let points = if percent < 1.0 { 0.0 } else { (20.0 * percent).min(60.0) };
        if seen.reflectors >= 2 {
            return points;
        }
        let most = LONE_MOST.min(f64::from(settings.steer_at) - 1.0);
        (points * LONE_WITNESS).min(most - given).max(0.0)
    }

    /// Takes new statistics; returns how fresh they are, from 0 to 1.
    fn read(&mut self, now: Instant, seen: &Signals, settings: &Settings) -> f64 {
        let Some(stats) = &seen.stats else { return 0.0 };
        let age = now.since(stats.at).as_secs_f64();
        if self.stats_at != Some(stats.at) {
            let since = self.stats_at.map(|at| stats.at.since(at).as_secs_f64());
            self.stats_at = Some(stats.at);
            if let Some(since) = since.filter(|s| *s > 0.0 && *s < STALE_S) {
                self.learn(now, since, stats, seen, settings);
            } else {
                (self.drops, self.full) = ([f64::INFINITY; 3], 0);
            }
        }
        ((STALE_S - age) / (STALE_S - FRESH_S)).clamp(0.0, 1.0)
    }

    /// A reading, so many seconds after the one before.
    fn learn(&mut self, now: Instant, since: f64, stats: &LinkStats, seen: &Signals, settings: &Settings) {
        #[expect(clippy::cast_precision_loss, reason = "drops between two readings, bytes in a queue")]
        let number = |n: u64| n as f64;
        let dropped = stats.dropped.iter().fold(0_u64, |sum, n| sum.saturating_add(*n));
        self.drops = [self.drops[1], self.drops[2], number(dropped) / since];
        let mut full = false;
        for i in 0..2 {
            let rate = seen.rates[i].as_f64().max(1.0);
            let waiting = number(stats.queued_bytes[i]) * 8.0 / rate;
            full |= waiting >= HALF_FULL_S;
            let Some(carried) = stats.achieved[i].map(Bitrate::as_f64) else { continue };
            if carried >= USED * rate || waiting >= WAITING_S {
                let wanted = (settings.usable * seen.ceilings[i].as_f64()).max(0.5 * self.demand[i]);
                let deficit = if wanted > rate { 1.0 - rate / wanted } else { 0.0 };
                self.lacking[i] = (40.0 * deficit, now);
            }
            self.demand[i] *= (1.0 - since / DEMAND_TC_S).max(0.0);
            self.demand[i] = self.demand[i].max(carried);
        }
        self.full = if full { self.full.saturating_add(1) } else { 0 };
    }

    /// The direction that lacks more.
    fn capacity_points(&self, now: Instant) -> f64 {
        let of =
            |(points, at): &(f64, Instant)| points * (1.0 - now.since(*at).as_secs_f64() / CAPACITY_FADES_S).max(0.0);
        self.lacking.iter().map(of).fold(0.0, f64::max)
    }
}

/// The original's rule, as points: RED is bad, YELLOW neither bad nor well.
fn rule(seen: &Signals, is_known: bool) -> u8 {
    let stats = seen.stats.filter(|_| is_known);
    let queued = stats.map_or(0, |s| s.queued_bytes[0].max(s.queued_bytes[1]));
    let dropped = stats.is_some_and(|s| s.dropped.iter().any(|n| *n > 0));
    let delayed = seen.quality == Signal::Good && seen.delay.get() > 15.0;
    if delayed && seen.witnesses >= 2 && dropped && queued >= 50 * PACKET {
        100
    } else if delayed || queued >= 10 * PACKET {
        40
    } else {
        0
    }
}

/// Whole points, from 0 to 100.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped; `as` makes NaN 0")]
fn points(x: f64) -> u8 {
    libm::round(x.clamp(0.0, 100.0)) as u8
}

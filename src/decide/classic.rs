//! The classic law: that of the Python original (version 1.3), which the golden traces record.
//!
//! Theory of operation. Two exponential averages follow the RTT: `load`, fast, and `baseline`,
//! slow and *frozen* while `load` stands more than a threshold above it, so that bufferbloat is
//! never learnt as normal. Their difference, the delay, is sorted by thresholds into states
//! (download four, upload three), and each state has one action on the rate: RED multiplies by
//! `factor_down`, YELLOW by `factor_down_yellow`, SOFT_RED holds, GREEN adds `step_up` once it has
//! lasted for `green_required`. Bounds follow.
//!
//! Time. The original counted cycles; here weights, factors and steps are those of a reference
//! cycle of [`REFERENCE_CYCLE`] and are scaled by the real time since the last sample, and streaks
//! are durations. At 50 ms the arithmetic is that of the original to the last bit.
//!
//! Its known faults are kept, because the traces contain them: the floor of a state lifts the
//! rate when the state improves (the first GREEN after RED jumps to GREEN's floor), both
//! directions are blamed for one delay, and a permanent rise of the path's RTT freezes the
//! baseline for ever.

use super::{Input, Learnt};
use crate::types::{
    Bitrate, Controlled, DirectionVerdict, Duration, Instant, Millis, RateRange, Reason, Signal, State, Verdict,
};

/// The cycle in which weights, factors and steps are given: that of the original.
pub const REFERENCE_CYCLE: Duration = Duration::from_millis(50);

/// Longest time between two samples that counts in full. After a longer gap (silence, a suspended
/// machine) the evidence is one sample all the same.
const LONGEST_STEP: Duration = Duration::from_secs(1);

/// Settings of the classic law for one WAN.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Start value of both averages (milliseconds).
    pub baseline_initial: Millis,
    /// Weight of one sample in `load`, per reference cycle (0 exclusive to 1).
    pub load_weight: f64,
    /// Weight of one sample in `baseline`, per reference cycle (0 exclusive to 1).
    pub baseline_weight: f64,
    /// The baseline learns only while the delay is below this (milliseconds).
    pub baseline_update_threshold: Millis,
    /// Lowest baseline that is believed.
    pub baseline_min: Millis,
    /// Highest baseline that is believed.
    pub baseline_max: Millis,
    /// Towards us.
    pub download: DirectionSettings,
    /// Away from us.
    pub upload: DirectionSettings,
}

/// Settings of the classic law for one direction.
#[derive(Clone, Debug, PartialEq)]
pub struct DirectionSettings {
    /// Delay above which GREEN ends.
    pub green: Millis,
    /// Delay above which YELLOW ends: SOFT_RED begins for download, RED for upload.
    pub soft_red: Millis,
    /// Delay above which download is RED.
    pub hard_red: Millis,
    /// How long the delay must be SOFT_RED before it counts as such (YELLOW until then).
    pub soft_red_required: Duration,
    /// Lowest rate in GREEN (download only; likewise the next two).
    pub floor_green: Bitrate,
    /// Lowest rate in YELLOW.
    pub floor_yellow: Bitrate,
    /// Lowest rate in SOFT_RED.
    pub floor_soft_red: Bitrate,
    /// From the floor in RED, the lowest of all, to the ceiling.
    pub range: RateRange,
    /// Added in GREEN, per reference cycle.
    pub step_up: Bitrate,
    /// Rate multiplier in RED, per reference cycle (0 to 1).
    pub factor_down: f64,
    /// Rate multiplier in YELLOW, per reference cycle (0 to 1).
    pub factor_down_yellow: f64,
    /// How long GREEN must last before the rate rises.
    pub green_required: Duration,
}

/// The classic law at work on one WAN.
#[derive(Clone, Debug)]
pub struct Classic {
    settings: Settings,
    baseline: f64,
    load: f64,
    download: Controller,
    upload: Controller,
    last: Option<Instant>,
}

/// One direction: its rate, and how long its state has lasted.
#[derive(Clone, Debug)]
struct Controller {
    rate: Controlled,
    state: State,
    reason: Reason,
    green_for: Duration,
    soft_red_for: Duration,
}

impl Classic {
    /// Starts at the ceilings, with both averages at their initial value.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let start = settings.baseline_initial.get();
        Self {
            baseline: start,
            load: start,
            download: Controller::new(settings.download.range),
            upload: Controller::new(settings.upload.range),
            last: None,
            settings,
        }
    }

    /// See [`super::Law::restore`]. The averages start together at the restored baseline: a queue
    /// of yesterday is no queue of today.
    pub fn restore(&mut self, learnt: Learnt) {
        let (min, max) = (self.settings.baseline_min.get(), self.settings.baseline_max.get());
        self.baseline = learnt.baseline.get().clamp(min, max);
        self.load = self.baseline;
        self.download.rate = self.settings.download.range.clamp(learnt.rates[0]);
        self.upload.rate = self.settings.upload.range.clamp(learnt.rates[1]);
    }

    /// See [`super::Law::learnt`].
    #[must_use]
    pub fn learnt(&self) -> Learnt {
        Learnt { baseline: self.millis(self.baseline), rates: [self.download.rate.rate(), self.upload.rate.rate()] }
    }

    /// See [`super::Law::decide`]. Without a renewed sample everything is held.
    pub fn decide(&mut self, input: Input<'_>) -> Verdict {
        match input.sample.rtt {
            Some(rtt) if input.sample.renewed => {
                let elapsed = self.last.map_or(REFERENCE_CYCLE, |last| input.now.since(last)).min(LONGEST_STEP);
                self.last = Some(input.now);
                self.average(rtt.get(), ratio(elapsed));
                let delay = self.load - self.baseline;
                let (download, upload) = (&self.settings.download, &self.settings.upload);
                self.download.step(download, elapsed, |c| c.classify_download(download, delay, elapsed));
                self.upload.step(upload, elapsed, |_| classify_upload(upload, delay));
            }
            _ => {
                let reason = match input.sample.signal {
                    Signal::WarmingUp => Reason::WarmingUp,
                    Signal::Good => Reason::Steady,
                    _ => Reason::NoSignal,
                };
                self.download.reason = reason;
                self.upload.reason = reason;
            }
        }
        Verdict {
            baseline: self.millis(self.baseline),
            load: self.millis(self.load),
            download: self.download.verdict(),
            upload: self.upload.verdict(),
            curious: false,
        }
    }

    /// Both averages take in one round-trip time; `ratio` is elapsed time over reference cycle.
    fn average(&mut self, rtt: f64, ratio: f64) {
        let s = &self.settings;
        let weight = (s.load_weight * ratio).min(1.0);
        self.load = (1.0 - weight) * self.load + weight * rtt;
        if self.load - self.baseline < s.baseline_update_threshold.get() {
            let weight = (s.baseline_weight * ratio).min(1.0);
            let candidate = (1.0 - weight) * self.baseline + weight * rtt;
            if candidate >= s.baseline_min.get() && candidate <= s.baseline_max.get() {
                self.baseline = candidate;
            }
        }
    }

    /// An average of valid delays is a valid delay.
    fn millis(&self, value: f64) -> Millis {
        Millis::new(value).unwrap_or(self.settings.baseline_initial)
    }
}

impl Controller {
    fn new(range: RateRange) -> Self {
        Self {
            rate: range.clamp(range.ceiling()),
            state: State::Green,
            reason: Reason::WarmingUp,
            green_for: Duration::ZERO,
            soft_red_for: Duration::ZERO,
        }
    }

    fn verdict(&self) -> DirectionVerdict {
        DirectionVerdict { state: self.state, rate: self.rate, reason: self.reason }
    }

    /// Four states, of which SOFT_RED must last to count.
    fn classify_download(&mut self, s: &DirectionSettings, delay: f64, elapsed: Duration) -> (State, Bitrate) {
        let is_soft_red = delay > s.soft_red.get() && delay <= s.hard_red.get();
        self.soft_red_for = if is_soft_red { self.soft_red_for + elapsed } else { Duration::ZERO };
        if delay > s.hard_red.get() {
            (State::Red, s.range.floor())
        } else if is_soft_red && lasted(self.soft_red_for, s.soft_red_required, elapsed) {
            (State::SoftRed, s.floor_soft_red)
        } else if delay > s.green.get() {
            (State::Yellow, s.floor_yellow)
        } else {
            (State::Green, s.floor_green)
        }
    }

    /// Sorts the delay into a state and takes the state's one action on the rate.
    fn step(&mut self, s: &DirectionSettings, elapsed: Duration, classify: impl FnOnce(&mut Self) -> (State, Bitrate)) {
        let (state, floor) = classify(self);
        self.state = state;
        self.green_for = if state == State::Green { self.green_for + elapsed } else { Duration::ZERO };
        let before = self.rate.rate();
        let scaled = |factor: f64| Bitrate::from_f64(before.as_f64() * libm::pow(factor, ratio(elapsed)));
        let wanted = match state {
            State::Red => scaled(s.factor_down),
            State::Yellow => scaled(s.factor_down_yellow),
            State::Green if lasted(self.green_for, s.green_required, elapsed) => {
                Bitrate::from_f64(before.as_f64() + s.step_up.as_f64() * ratio(elapsed))
            }
            State::SoftRed | State::Green => before,
        };
        self.rate = s.range.clamp(wanted.max(floor));
        self.reason = match state {
            State::Red | State::Yellow if self.rate.rate() == before && wanted < before => Reason::Floor,
            State::Red => Reason::Red,
            State::SoftRed => Reason::SoftRed,
            State::Yellow => Reason::Yellow,
            State::Green if self.rate.rate() > before => Reason::Recovering,
            State::Green => Reason::Steady,
        };
    }
}

/// Three states, one floor.
fn classify_upload(s: &DirectionSettings, delay: f64) -> (State, Bitrate) {
    let state = if delay > s.soft_red.get() {
        State::Red
    } else if delay > s.green.get() {
        State::Yellow
    } else {
        State::Green
    };
    (state, s.range.floor())
}

/// Whether a streak that this cycle's `elapsed` belongs to has reached `required`; half a cycle of
/// tolerance, so that a streak of five cycles ends with the fifth although timers are never exact.
fn lasted(streak: Duration, required: Duration, elapsed: Duration) -> bool {
    streak + elapsed / 2 >= required
}

/// Elapsed time in reference cycles; exactly 1 at 50 ms.
fn ratio(elapsed: Duration) -> f64 {
    elapsed.as_secs_f64() / REFERENCE_CYCLE.as_secs_f64()
}

//! Laws of others, to compare ours with: only in the simulation.
//!
//! Written by us from descriptions of what the projects do; none of it is their code, and none of
//! it is tuned by us. They decide on our measurement (the median of our reflectors) and through
//! our router link instead of a local `tc`; what that changes is said at each law.

mod cake_autorate;
mod sqm_autorate;

use super::{Input, Learnt};
use crate::types::{Bitrate, DirectionVerdict, Millis, RateRange, Reason, State, Verdict};
use cake_autorate::CakeAutorate;
use sqm_autorate::SqmAutorate;

/// Which law.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// cake-autorate (bash), with plain ping.
    CakeAutorate,
    /// sqm-autorate, with plain ping as in its Rust version.
    SqmAutorate,
}

/// Settings of a published law for one WAN.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// Which law.
    pub kind: Kind,
    /// RTT of the idle line before anything is measured.
    pub baseline: Millis,
    /// Bounds of download and upload.
    pub ranges: [RateRange; 2],
    /// The base rates their users have to guess, download and upload.
    pub bases: [Bitrate; 2],
}

/// A published law at work on one WAN.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant, reason = "one for each WAN, in place from the start")]
enum Inner {
    CakeAutorate(CakeAutorate),
    SqmAutorate(SqmAutorate),
}

/// A published law at work on one WAN.
#[derive(Clone, Debug)]
pub struct Published {
    ranges: [RateRange; 2],
    last: Opinion,
    inner: Inner,
}

/// What a law thinks: rates in bit/s, delays in milliseconds.
#[derive(Clone, Copy, Debug)]
struct Opinion {
    baseline: f64,
    load: f64,
    rates: [f64; 2],
    states: [State; 2],
    reasons: [Reason; 2],
}

impl Published {
    /// A law that starts from nothing.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let inner = match settings.kind {
            Kind::CakeAutorate => Inner::CakeAutorate(CakeAutorate::new(settings.bases.map(Bitrate::as_f64))),
            Kind::SqmAutorate => Inner::SqmAutorate(SqmAutorate::new(settings.bases.map(Bitrate::as_f64))),
        };
        let last = Opinion {
            baseline: settings.baseline.get(),
            load: settings.baseline.get(),
            rates: settings.bases.map(Bitrate::as_f64),
            states: [State::Green; 2],
            reasons: [Reason::WarmingUp; 2],
        };
        Self { ranges: settings.ranges, last, inner }
    }

    /// See [`super::Law::restore`].
    pub fn restore(&mut self, learnt: Learnt) {
        self.last.rates = learnt.rates.map(Bitrate::as_f64);
        self.last.baseline = learnt.baseline.get();
    }

    /// See [`super::Law::learnt`].
    #[must_use]
    pub fn learnt(&self) -> Learnt {
        Learnt { baseline: millis(self.last.baseline), rates: self.last.rates.map(Bitrate::from_f64) }
    }

    /// See [`super::Law::decide`].
    pub fn decide(&mut self, input: Input<'_>) -> Verdict {
        let now = match &mut self.inner {
            Inner::CakeAutorate(law) => law.decide(input, self.last),
            Inner::SqmAutorate(law) => law.decide(input, self.last),
        };
        self.last = now;
        let direction = |i: usize| DirectionVerdict {
            state: now.states[i],
            rate: self.ranges[i].clamp(Bitrate::from_f64(now.rates[i])),
            reason: now.reasons[i],
        };
        let verdict = Verdict {
            baseline: millis(now.baseline),
            load: millis(now.load),
            curious: false,
            download: direction(0),
            upload: direction(1),
        };
        self.last.rates = [verdict.download, verdict.upload].map(|d| d.rate.rate().as_f64());
        verdict
    }
}

/// Averages of valid delays are valid delays.
fn millis(value: f64) -> Millis {
    Millis::new(value).unwrap_or(Millis::ZERO)
}

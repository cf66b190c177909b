//! What steering says: how bad a WAN is and why, when it turned, and what it waits for.

use super::{Duration, WanId};
use core::fmt;
use core::net::IpAddr;

/// What the ways of two WANs' probes have to do with each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ways {
    /// Too few routers have answered to tell.
    #[default]
    Unknown,
    /// They part, at the latest on this hop (the first is 1).
    Part(u8),
    /// They are the same as far as is known; this is the last router on both.
    Same(IpAddr),
}

/// What a score is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The congestion state: RED 50, SOFT_RED that lasts 25, YELLOW 10; fades over 5 s.
    State,
    /// Delay above baseline: 15 above 80 ms, 25 above 120 ms; fades over 5 s.
    Delay,
    /// Lost probes: 20 at 1 %, up to 60 at 3 %.
    Loss,
    /// The router's queue drops more from reading to reading: 10.
    Drops,
    /// The router's queue has been half full in two readings: 10.
    Queue,
    /// The line carries too little: up to 40 with the deficit.
    Capacity,
    /// Mode `hysteresis`: its YELLOW 40, its RED 100.
    Rule,
    /// Nothing comes through: 100.
    Reach,
}

impl Part {
    /// How many there are.
    pub const COUNT: usize = 8;

    /// All of them, in the order in which they are told.
    pub const ALL: [Self; Self::COUNT] =
        [Self::State, Self::Delay, Self::Loss, Self::Drops, Self::Queue, Self::Capacity, Self::Rule, Self::Reach];

    /// In a word or two.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::State => "congestion",
            Self::Delay => "delay",
            Self::Loss => "loss",
            Self::Drops => "rising drops",
            Self::Queue => "standing queue",
            Self::Capacity => "lost capacity",
            Self::Rule => "three-state rule",
            Self::Reach => "no connection",
        }
    }
}

/// How bad a WAN is for a call: from 0 (healthy) to 100, with every contribution.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Score {
    parts: [u8; Part::COUNT],
    confidence: u8,
}

impl Score {
    /// Nothing against it, known with so many percent of what could be known.
    #[must_use]
    pub const fn healthy(confidence: u8) -> Self {
        Self { parts: [0; Part::COUNT], confidence }
    }

    /// With a part set to so many points.
    #[must_use]
    pub const fn with(mut self, part: Part, points: u8) -> Self {
        self.parts[part as usize] = points;
        self
    }

    /// The points of a part.
    #[must_use]
    pub const fn part(&self, part: Part) -> u8 {
        self.parts[part as usize]
    }

    /// The sum, at most 100.
    #[must_use]
    pub fn total(&self) -> u8 {
        self.parts.iter().fold(0_u8, |sum, points| sum.saturating_add(*points)).min(100)
    }

    /// How much of what could be known is known, in percent.
    #[must_use]
    pub const fn confidence(&self) -> u8 {
        self.confidence
    }
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.total())?;
        let told = Part::ALL.into_iter().filter(|part| self.part(*part) > 0);
        for (i, part) in told.enumerate() {
            write!(f, "{}{} {}", if i == 0 { " (" } else { ", " }, part.name(), self.part(part))?;
        }
        if self.total() > 0 {
            f.write_str(")")?;
        }
        if self.confidence < 100 {
            write!(f, " at {} % confidence", self.confidence)?;
        }
        Ok(())
    }
}

/// Why marked connections take another WAN from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SteerReason {
    /// It was found so on the router.
    Found,
    /// The WAN in use was bad for the sustain time, and there is a fit one.
    Degraded,
    /// Nothing comes through the WAN in use.
    Lost,
    /// The primary has been well for the recovery time.
    Recovered,
    /// The primary has not been RED for so long that it has to be good enough.
    GoodEnough,
    /// The alternate has become the worse of the two.
    AlternateWorse,
    /// The router has no usable switch for the alternate any more.
    Refused,
    /// Somebody flipped the switch by hand or by script.
    ByHand,
}

impl SteerReason {
    /// In a few plain words.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Found => "found so on the router",
            Self::Degraded => "bad for longer than degrade_sustain",
            Self::Lost => "nothing comes through",
            Self::Recovered => "the primary is well again",
            Self::GoodEnough => "the primary is not perfect, and has been good enough for long",
            Self::AlternateWorse => "the alternate is the worse one now",
            Self::Refused => "the router has no usable switch for it",
            Self::ByHand => "flipped by hand or by a script",
        }
    }
}

/// Why an alternate is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// Nothing is known of it yet, or its delay can't be measured.
    Unmeasured,
    /// Nothing comes through it.
    Lost,
    /// It is bad itself, or was a moment ago.
    Bad,
    /// It is not better by the margin.
    NotBetter,
    /// Its shapers leave less than `headroom`.
    NoHeadroom,
    /// The router has no usable switch for it.
    Refused,
}

impl Unfit {
    /// In a few plain words.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Unmeasured => "can't be measured",
            Self::Lost => "lets nothing through",
            Self::Bad => "is bad itself, or was a moment ago",
            Self::NotBetter => "is not better by the margin",
            Self::NoHeadroom => "has no headroom",
            Self::Refused => "has no usable switch on the router",
        }
    }
}

/// What keeps a switch back that the scores ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SteerHold {
    /// No alternate is fit; why the first one is not.
    NoFitAlternate(Unfit),
    /// The last switch is too recent.
    HoldDown(Duration),
    /// Too many switches lately: the fitter WAN is held.
    Brake(Duration),
    /// A person or a script flipped the switch: that is respected.
    ByHand(Duration),
}

impl SteerHold {
    /// Whether it is the same cause, whatever the details.
    #[must_use]
    pub fn is_like(self, other: Self) -> bool {
        core::mem::discriminant(&self) == core::mem::discriminant(&other)
    }
}

impl fmt::Display for SteerHold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoFitAlternate(why) => write!(f, "no alternate is fit, the first one {}", why.text()),
            Self::HoldDown(left) => write!(f, "the last switch is too recent, {} s of hold-down left", secs(*left)),
            Self::Brake(left) => {
                write!(f, "too many switches lately, the fitter WAN is held for {} s more", secs(*left))
            }
            Self::ByHand(left) => write!(f, "flipped by hand or by a script, respected for {} s more", secs(*left)),
        }
    }
}

/// Marked connections take another WAN from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// From this WAN…
    pub from: WanId,
    /// …to this one.
    pub to: WanId,
    /// Why.
    pub why: SteerReason,
    /// The scores of the two.
    pub scores: [Score; 2],
}

/// A turn that the scores ask for is held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// The WAN in use.
    pub wan: WanId,
    /// What holds it back.
    pub hold: SteerHold,
    /// Its score.
    pub score: Score,
}

/// Whole seconds, upwards.
fn secs(span: Duration) -> u64 {
    span.as_secs() + u64::from(span.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_says_what_it_is_made_of() {
        let score = Score::healthy(70).with(Part::State, 50).with(Part::Capacity, 31);
        assert_eq!(score.to_string(), "81 (congestion 50, lost capacity 31) at 70 % confidence");
        assert_eq!(Score::healthy(100).to_string(), "0");
        assert_eq!(score.with(Part::Loss, 60).total(), 100);
    }
}

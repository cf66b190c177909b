//! Who answers probes in the simulated internet, and how badly.

use super::rng::Rng;
use crate::board::SendError;
use crate::units::{Duration, Instant};
use core::net::IpAddr;

/// How a reflector answers, when it answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Answer {
    /// As it should.
    #[default]
    Reply,
    /// From another address than it was asked at.
    From(IpAddr),
    /// With a token that is not ours.
    ForgedToken,
    /// A router on the way says that it can't be reached.
    Unreachable(IpAddr),
}

/// How many answers a rate limit lets through at once after a pause.
const BURST: f64 = 6.0;

/// A host that answers echo requests.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Reflector {
    /// What it answers.
    pub answer: Answer,
    /// Its distance beyond the base round-trip time of the line.
    pub extra: Duration,
    /// Probability that it loses a probe.
    pub loss: f64,
    /// It answers at most so many probes per second; zero: all of them.
    pub rate: f64,
    /// Up to when its rate is used up.
    pub used_up: Instant,
    /// Copies of each answer besides the first.
    pub duplicates: u8,
    /// It answers nothing from the first moment to the second.
    pub silent: Option<(Instant, Instant)>,
}

impl Reflector {
    /// A good one, this much farther away than the base round-trip time.
    #[must_use]
    pub fn at_distance(extra: Duration) -> Self {
        Self { extra, ..Self::default() }
    }

    pub(crate) fn answers(&mut self, now: Instant, rng: &mut Rng) -> bool {
        !rng.chance(self.loss) && !self.silent.is_some_and(|(from, to)| from <= now && now < to) && self.may(now)
    }

    /// Whether the rate limit lets an answer through, which is then made.
    fn may(&mut self, now: Instant) -> bool {
        if self.rate <= 0.0 {
            return true;
        }
        let ahead = self.used_up.since(now).as_secs_f64() * self.rate;
        if ahead > BURST - 1.0 {
            return false;
        }
        self.used_up = self.used_up.max(now) + Duration::from_secs_f64(1.0 / self.rate);
        true
    }
}

/// What comes of a TCP probe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Connect {
    /// SYN-ACK (or RST, which proves the path as well).
    #[default]
    Answers,
    /// Nothing ever.
    Silent,
    /// An error after the round trip.
    Fails(SendError),
}

/// A host that answers SYN.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// What comes back.
    pub connect: Connect,
    /// Its distance beyond the base round-trip time of the line.
    pub extra: Duration,
}

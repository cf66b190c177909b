//! What the medium of a line does to a packet on its way, queues apart: how long it has to wait
//! for its turn, and whether it is lost while the line changes over.
//!
//! Only probes feel it: for a transfer of megabytes these are a few milliseconds in a round trip. The exception is a medium that
//! halts: it halts everything.

use super::rng::Rng;
use crate::units::{Direction, Duration, Instant, nanos};

/// How long a retransmission takes on LTE (HARQ, eight subframes of a millisecond).
const HARQ: Duration = Duration::from_millis(8);

/// Part of the blocks that LTE sends again: link adaptation aims at it.
const HARQ_SHARE: f64 = 0.1;

/// How often Starlink chooses satellites anew, all over the world at the same seconds.
const SLOT: Duration = Duration::from_secs(15);

/// How long such a change is felt.
const CHANGE: Duration = Duration::from_millis(150);

/// Part of the packets lost meanwhile.
const CHANGE_LOSS: f64 = 0.2;

/// How far the ways over two satellites differ, at most.
const WAYS: Duration = Duration::from_millis(12);

/// How often a medium that halts may do so, and the part of the times that it does.
const BEAT: Duration = Duration::from_millis(500);
const HALTS: f64 = 0.7;

/// The nature of a line. `mean` is the jitter that a scenario gives it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Medium {
    /// Fibre, DSL: exponential jitter, once in a round trip.
    #[default]
    Plain,
    /// Cable: on the way up a packet asks for a grant and waits for it, evenly up to 1.6 times the
    /// mean; one request in ten collides, and is asked again after a random pause.
    Docsis,
    /// Mobile: grants on the way up, evenly up to twice the mean; in both directions one block in
    /// ten is sent again, 8 ms later.
    Lte,
    /// Frames, evenly up to the mean each way; every 15 s another satellite: a step of up to 12 ms,
    /// 150 ms of waiting, one packet in five lost.
    Starlink,
    /// A busy virtual machine, powerline, a crowded radio: seven times in five seconds everything stands still for half the mean
    /// to half as much again, transfers too, and goes on as if nothing had been.
    Halting,
}

impl Medium {
    /// How long a packet waits that leaves the queue of this direction at `at`.
    pub(crate) fn wait(self, direction: Direction, at: Instant, mean: Duration, rng: &mut Rng) -> Duration {
        let up = direction == Direction::Upload;
        match self {
            Self::Plain if up => Duration::ZERO,
            Self::Plain => rng.exponential(mean),
            Self::Docsis if up => {
                let grant = mean.mul_f64(1.6 * rng.unit());
                grant + if rng.chance(0.1) { rng.exponential(mean * 2) } else { Duration::ZERO }
            }
            Self::Docsis => Duration::ZERO,
            Self::Lte => {
                let mut wait = if up { mean.mul_f64(2.0 * rng.unit()) } else { Duration::ZERO };
                while rng.chance(HARQ_SHARE) {
                    wait += HARQ;
                }
                wait
            }
            Self::Starlink => {
                let frame = mean.mul_f64(rng.unit());
                let (slot, since) = beat(at, SLOT);
                let way = if up { Duration::ZERO } else { WAYS.mul_f64(Rng::new(slot).unit()) };
                frame + way + CHANGE.saturating_sub(since).mul_f64(rng.unit())
            }
            Self::Halting => self.halted(at, mean),
        }
    }

    /// For how long everything still stands still at `at`.
    pub(crate) fn halted(self, at: Instant, mean: Duration) -> Duration {
        if self != Self::Halting {
            return Duration::ZERO;
        }
        let (beat, since) = beat(at, BEAT);
        let mut rng = Rng::new(beat);
        let begin = BEAT.saturating_sub(mean * 2).mul_f64(rng.unit());
        let end = begin + mean.mul_f64(0.5 + rng.unit());
        if since >= begin && rng.chance(HALTS) { end.saturating_sub(since) } else { Duration::ZERO }
    }

    /// Whether a packet that leaves at `at` is lost by the nature of the line.
    pub(crate) fn loses(self, at: Instant, rng: &mut Rng) -> bool {
        self == Self::Starlink && beat(at, SLOT).1 < CHANGE && rng.chance(CHANGE_LOSS)
    }
}

/// The number of the beat that has begun last, and the time since.
fn beat(at: Instant, length: Duration) -> (u64, Duration) {
    let length = nanos(length);
    (at.as_nanos() / length, Duration::from_nanos(at.as_nanos() % length))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Round trips of ten minutes, one every 50 ms, in milliseconds.
    fn waits(medium: Medium, mean: Duration) -> Vec<f64> {
        let mut rng = Rng::new(3);
        let at = |i: u64| Instant::from_nanos(i * 50_000_000);
        let both = |i| Direction::BOTH.map(|d| medium.wait(d, at(i), mean, &mut rng).as_secs_f64() * 1e3);
        let mut waits: Vec<f64> = (0..12_000).map(both).map(|w| w[0] + w[1]).collect();
        waits.sort_by(f64::total_cmp);
        waits
    }

    #[test]
    fn each_medium_has_its_own_shape() {
        let mean = |w: &[f64]| w.iter().sum::<f64>() / 12_000.0;
        let plain = waits(Medium::Plain, Duration::from_millis(3));
        assert!((2.8..3.2).contains(&mean(&plain)), "{}", mean(&plain));
        let cable = waits(Medium::Docsis, Duration::from_millis(3));
        assert!((2.7..3.3).contains(&mean(&cable)), "{}", mean(&cable));
        assert!(cable[10_000] < 5.0 && cable[11_990] > 10.0, "bounded but for collisions");
        let mobile = waits(Medium::Lte, Duration::from_millis(6));
        assert!((7.0..8.5).contains(&mean(&mobile)), "{}", mean(&mobile));
        assert!(mobile[11_000] > 14.0, "blocks sent again");
        let sky = waits(Medium::Starlink, Duration::from_millis(3));
        assert!(sky[11_990] > 80.0 && sky[11_000] < 20.0, "{} {}", sky[11_990], sky[11_000]);
        // 1.4 times a second 30 ms of 1,000: one probe in 24, each way, waits 15 ms on average.
        let halting = waits(Medium::Halting, Duration::from_millis(30));
        let late = halting.iter().filter(|w| **w > 0.0).count();
        assert!((400..600).contains(&late) && (15.0..95.0).contains(&halting[11_990]), "{late} {}", halting[11_990]);
    }
}

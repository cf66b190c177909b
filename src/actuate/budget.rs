//! How many changes the router's flash may be asked to bear.
//!
//! RouterOS keeps its configuration on flash, so every change of a limit may cost an erase cycle
//! of some sector. A token bucket caps the changes of any hour; what is left in it decides how
//! eagerly rates may rise. Cuts protect the line and come last in the saving: rises stop at half
//! the tokens, cuts may use the rest.

use crate::types::{BudgetState, Duration, Instant};

/// The span that the cap is for.
const HOUR: Duration = Duration::from_secs(3600);

/// The part of the cap that the bucket holds; the rest comes back in an hour. A line that changes for hours (Starlink: 80
/// changes a minute) is to be followed; a law that writes 15 times a second under load is to have its minutes.
const HELD: f64 = 1.0 / 3.0;

/// Rises are spaced up to this many times wider as the bucket goes from full to half.
const WIDEST: f64 = 10.0;

/// The flash counter may grow this much of its limit before rises slow down…
const WORN: f64 = 0.75;

/// …and must have fallen below this part before they speed up again.
const RESTED: f64 = 0.5;

/// The slowest that a worn flash makes rises: this many times the configured spacing.
const SLOWEST: u32 = 256;

/// The bucket. It holds a part of what an hour may see and is refilled with the other part in an
/// hour, so that no hour sees more than all of it.
#[derive(Clone, Debug)]
pub struct Budget {
    capacity: f64,
    tokens: f64,
    at: Instant,
    state: BudgetState,
    wear: Wear,
}

/// Growth of `write-sect-since-reboot`.
#[derive(Clone, Copy, Debug)]
struct Wear {
    limit: Option<u32>,
    last: Option<(Instant, u64)>,
    per_hour: Option<f64>,
    slowdown: u32,
}

impl Budget {
    /// At most `writes` changes in any hour (at least six); with `sectors`, rises slow down
    /// before the flash is written to faster than so many sectors an hour.
    #[must_use]
    pub fn new(writes: u32, sectors: Option<u32>) -> Self {
        let capacity = HELD * f64::from(writes.max(6));
        let wear = Wear { limit: sectors, last: None, per_hour: None, slowdown: 1 };
        Self { capacity, tokens: capacity, at: Instant::ZERO, state: BudgetState::Ample, wear }
    }

    /// Other settings, with what was spent so far.
    pub fn inherit(&mut self, old: &Self) {
        self.tokens = self.capacity * (old.tokens / old.capacity);
        (self.at, self.state) = (old.at, old.state);
        self.wear = Wear { limit: self.wear.limit, ..old.wear };
    }

    /// What may be written at `now`.
    pub fn state(&mut self, now: Instant) -> BudgetState {
        let in_an_hour = self.capacity * (1.0 - HELD) / HELD;
        let refill = in_an_hour * now.since(self.at).as_secs_f64() / HOUR.as_secs_f64();
        (self.tokens, self.at) = ((self.tokens + refill).min(self.capacity), now);
        self.state = match self.state {
            _ if self.tokens < 1.0 => BudgetState::Empty,
            // Once empty, it is not enough to write one change and be empty again.
            BudgetState::Empty if self.tokens < 0.1 * self.capacity => BudgetState::Empty,
            _ if self.tokens <= 0.5 * self.capacity => BudgetState::CutsOnly,
            _ => BudgetState::Ample,
        };
        self.state
    }

    /// What it allowed when that was last asked.
    #[must_use]
    pub const fn last_state(&self) -> BudgetState {
        self.state
    }

    /// A change was sent.
    pub fn spend(&mut self) {
        self.tokens = (self.tokens - 1.0).max(0.0);
    }

    /// How many changes are left.
    #[must_use]
    pub const fn tokens(&self) -> f64 {
        self.tokens
    }

    /// The shortest time between a change and a rise of the same queue.
    #[must_use]
    pub fn rise_spacing(&self, configured: Duration) -> Duration {
        let used = 1.0 - self.tokens / self.capacity;
        let wider = 1.0 + (WIDEST - 1.0) * (2.0 * used).clamp(0.0, 1.0);
        configured.mul_f64(wider) * self.wear.slowdown
    }

    /// How often the flash counter should be read: often enough to slow down in time.
    #[must_use]
    pub const fn wear_interval(&self) -> Duration {
        if self.wear.limit.is_some() { Duration::from_secs(300) } else { HOUR }
    }

    /// The flash counter at `now`; returns its growth per hour, once two readings of one boot are
    /// known.
    pub fn worn(&mut self, now: Instant, sectors: u64) -> Option<f64> {
        let wear = &mut self.wear;
        let Some((at, before)) = wear.last else {
            wear.last = Some((now, sectors));
            return None;
        };
        let Some(grown) = sectors.checked_sub(before) else {
            wear.last = Some((now, sectors)); // the router has booted
            return None;
        };
        let elapsed = now.since(at);
        if elapsed < Duration::from_secs(240) {
            return None; // a reading after a reconnect: too short a span to conclude from
        }
        wear.last = Some((now, sectors));
        let grown = f64::from(u32::try_from(grown).unwrap_or(u32::MAX));
        let per_hour = grown * HOUR.as_secs_f64() / elapsed.as_secs_f64();
        wear.per_hour = Some(per_hour);
        if let Some(limit) = wear.limit.map(f64::from) {
            if per_hour > WORN * limit {
                wear.slowdown = (wear.slowdown * 4).min(SLOWEST);
            } else if per_hour < RESTED * limit {
                wear.slowdown = (wear.slowdown / 2).max(1);
            }
        }
        Some(per_hour)
    }

    /// The last known growth of the flash counter, in sectors per hour.
    #[must_use]
    pub const fn sectors_per_hour(&self) -> Option<f64> {
        self.wear.per_hour
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(seconds)
    }

    #[test]
    fn no_hour_sees_more_than_the_cap() {
        for greedy in [1_u64, 7, 60] {
            let mut budget = Budget::new(100, None);
            let mut sent: Vec<u64> = Vec::new();
            for second in 0..20_000 {
                if second % greedy == 0 && budget.state(at(second)) != BudgetState::Empty {
                    budget.spend();
                    sent.push(second);
                }
            }
            for start in 0..sent.len() {
                let hour = sent[start..].iter().take_while(|s| **s < sent[start] + 3600).count();
                assert!(hour <= 100, "{hour} changes from {} s on", sent[start]);
            }
            assert!(sent.len() > 200, "it goes on");
        }
    }

    #[test]
    fn rises_stop_at_half_and_get_rarer_before() {
        let mut budget = Budget::new(150, None);
        let mut before = Duration::ZERO;
        for spent in 0..25 {
            assert_eq!(budget.state(at(0)), BudgetState::Ample, "{spent}");
            let spacing = budget.rise_spacing(Duration::from_millis(200));
            assert!(spacing > before);
            before = spacing;
            budget.spend();
        }
        assert_eq!(budget.state(at(0)), BudgetState::CutsOnly);
        (0..25).for_each(|_| budget.spend());
        assert_eq!(budget.state(at(0)), BudgetState::Empty);
        assert_eq!(budget.state(at(140)), BudgetState::Empty, "four tokens are not a reason to begin again");
        assert_eq!(budget.state(at(185)), BudgetState::CutsOnly);
        assert_eq!(budget.state(at(3600)), BudgetState::Ample);
    }

    #[test]
    fn a_worn_flash_slows_rises_before_its_limit() {
        let spacing = Duration::from_millis(200);
        let mut budget = Budget::new(100, Some(1_000));
        assert_eq!(budget.worn(at(0), 5_000), None);
        assert_eq!(budget.worn(at(10), 5_900), None, "a reconnect");
        assert_eq!(budget.worn(at(360), 5_080), Some(800.0));
        assert_eq!(budget.rise_spacing(spacing), spacing * 4);
        assert_eq!(budget.worn(at(720), 5_090), Some(100.0));
        assert_eq!(budget.rise_spacing(spacing), spacing * 2);
        assert_eq!(budget.worn(at(1_080), 3), None, "it has booted");
        assert_eq!(budget.worn(at(1_440), 3), Some(0.0));
        assert_eq!(budget.rise_spacing(spacing), spacing);
    }
}

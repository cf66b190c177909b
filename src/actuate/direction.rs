//! Whether download and upload are what they are called: cables and queue names get swapped.
//!
//! The byte counters of the two queues are compared with those of the WAN interface. As soon as
//! enough has moved in one direction more than in the other, the right pairing fits and the
//! swapped one does not.

/// Bytes that must have moved before anything is concluded.
const ENOUGH: u64 = 250_000;

/// How much better one pairing must fit than the other.
const CLEARLY: u64 = 3;

/// The check of one WAN.
#[derive(Clone, Debug, Default)]
pub struct DirectionCheck {
    first: Option<[u64; 4]>,
    verdict: Option<bool>,
}

impl DirectionCheck {
    /// `Some(true)` when the directions are right, `Some(false)` when they are swapped.
    #[must_use]
    pub const fn verdict(&self) -> Option<bool> {
        self.verdict
    }

    /// A reading of the queues (download, upload) and of the interface (received, transmitted),
    /// taken within a fraction of a second.
    pub fn read(&mut self, queues: [u64; 2], interface: [u64; 2]) {
        let now = [queues[0], queues[1], interface[0], interface[1]];
        let first = *self.first.get_or_insert(now);
        let mut moved = [0; 4];
        for i in 0..4 {
            let Some(delta) = now[i].checked_sub(first[i]) else {
                self.first = Some(now); // counters were reset
                return;
            };
            moved[i] = delta;
        }
        let [down, up, rx, tx] = moved;
        // Saturating: a router may say any number.
        let right = down.abs_diff(rx).saturating_add(up.abs_diff(tx));
        let swapped = down.abs_diff(tx).saturating_add(up.abs_diff(rx));
        let (better, worse) = (right.min(swapped), right.max(swapped));
        if down.saturating_add(up) >= ENOUGH && worse > ENOUGH && better.saturating_mul(CLEARLY) < worse {
            self.verdict = Some(right < swapped);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traffic_in_one_direction_tells() {
        let mut check = DirectionCheck::default();
        check.read([0, 0], [1_000_000, 2_000_000]);
        check.read([1_000, 2_000], [1_001_000, 2_002_000]);
        assert_eq!(check.verdict(), None, "too little has moved");
        check.read([900_000, 40_000], [1_950_000, 2_042_000]);
        assert_eq!(check.verdict(), Some(true));

        let mut check = DirectionCheck::default();
        check.read([0, 0], [0, 0]);
        check.read([40_000, 900_000], [950_000, 42_000]);
        assert_eq!(check.verdict(), Some(false));
    }

    #[test]
    fn any_numbers_are_taken() {
        let mut check = DirectionCheck::default();
        check.read([0, 0], [0, 0]);
        check.read([u64::MAX, u64::MAX], [u64::MAX / 2, 1]);
        assert_eq!(check.verdict(), None);
    }

    #[test]
    fn equal_traffic_and_foreign_traffic_tell_nothing() {
        let mut check = DirectionCheck::default();
        check.read([0, 0], [0, 0]);
        check.read([500_000, 500_000], [510_000, 505_000]);
        assert_eq!(check.verdict(), None);
        check.read([600_000, 500_000], [90_000_000, 80_000_000]);
        assert_eq!(check.verdict(), None, "the queues see a fraction of the interface");
        check.read([0, 0], [0, 0]);
        assert_eq!(check.verdict(), None, "reset");
    }
}

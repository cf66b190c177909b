//! Chance, from a seed: the same seed gives the same run on every machine.

use crate::units::{Duration, nanos};

/// A small generator of pseudo-random numbers (xoshiro256++, seeded by splitmix64). Not for
/// secrets.
#[derive(Clone, Debug)]
pub struct Rng {
    state: [u64; 4],
}

impl Rng {
    /// A generator whose whole future is given by `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut x = seed;
        let mut next = || {
            x = x.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut z = x;
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            z ^ (z >> 31)
        };
        Self { state: [next(), next(), next(), next()] }
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        let s = &mut self.state;
        let out = s[0].wrapping_add(s[3]).rotate_left(23).wrapping_add(s[0]);
        let t = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = s[3].rotate_left(45);
        out
    }

    /// Evenly distributed in 0 (included) to 1 (excluded).
    #[expect(clippy::cast_precision_loss, reason = "53 bits are exact")]
    pub fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / 9_007_199_254_740_992.0
    }

    /// True with the probability `p`; draws nothing when `p` is zero or less.
    pub fn chance(&mut self, p: f64) -> bool {
        p > 0.0 && self.unit() < p
    }

    /// Evenly distributed between two durations.
    pub fn between(&mut self, low: Duration, high: Duration) -> Duration {
        let span = nanos(high).saturating_sub(nanos(low));
        if span == 0 {
            return low;
        }
        low + Duration::from_nanos(self.bits() % span)
    }

    /// Exponentially distributed around `mean`, cut at eight times the mean.
    pub fn exponential(&mut self, mean: Duration) -> Duration {
        if mean.is_zero() {
            return mean;
        }
        let x = -libm::log(1.0 - self.unit());
        mean.mul_f64(if x < 8.0 { x } else { 8.0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_seed_same_numbers_and_a_fair_mean() {
        let (mut a, mut b) = (Rng::new(7), Rng::new(7));
        let mut sum = 0.0;
        for _ in 0..10_000 {
            assert_eq!(a.bits(), b.bits());
            sum += a.unit();
            b.unit();
        }
        assert!((sum / 10_000.0 - 0.5).abs() < 0.01, "{sum}");
    }
}

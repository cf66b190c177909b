//! Units of measure: rates and points in time.
//!
//! Every quantity that crosses a module border has one of these types, so that no function has
//! to guess whether a number is bit/s or kbit/s, milliseconds or nanoseconds.

use core::fmt;
use core::ops::{Add, AddAssign, Sub};
pub use core::time::Duration;

/// A data rate in bit/s. Zero is representable here; what may be *sent* to a router is
/// narrower (see the `Controlled` type of the root crate).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bitrate(u64);

impl Bitrate {
    /// No data at all.
    pub const ZERO: Self = Self(0);

    /// A rate of `bps` bit/s.
    #[must_use]
    pub const fn from_bps(bps: u64) -> Self {
        Self(bps)
    }

    /// A rate of `mbps` million bit/s (SI, ×1,000,000), saturating.
    #[must_use]
    pub const fn from_mbps(mbps: u64) -> Self {
        Self(mbps.saturating_mul(1_000_000))
    }

    /// The rate in bit/s.
    #[must_use]
    pub const fn bps(self) -> u64 {
        self.0
    }

    /// The rate in bit/s for arithmetic. Exact below 2^53 bit/s (9 Pbit/s).
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "exact below 2^53 bit/s, 9,000 times the fastest line")]
    pub const fn as_f64(self) -> f64 {
        self.0 as f64
    }

    /// From bit/s in floating point, truncated to whole bit/s; NaN and negative values give
    /// zero, values beyond `u64::MAX` saturate.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "`as` saturates and maps NaN to 0, which is what is documented"
    )]
    pub const fn from_f64(bps: f64) -> Self {
        Self(bps as u64)
    }

    /// The rate at which `bytes` move in `time`; zero when no time has passed.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a counter delta stays far below 2^53 bytes")]
    pub fn of(bytes: u64, time: Duration) -> Self {
        let seconds = time.as_secs_f64();
        if seconds > 0.0 { Self::from_f64(bytes as f64 * 8.0 / seconds) } else { Self::ZERO }
    }
}

impl fmt::Display for Bitrate {
    /// Three to four significant digits with an SI suffix: `940M`, `37.6M`, `800k`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (value, suffix) = match self.0 {
            0..1_000 => return write!(f, "{}", self.0),
            1_000..1_000_000 => (self.as_f64() / 1e3, 'k'),
            1_000_000..1_000_000_000 => (self.as_f64() / 1e6, 'M'),
            _ => (self.as_f64() / 1e9, 'G'),
        };
        let digits = if libm::trunc(value) == value || value >= 100.0 { 0 } else { 1 };
        write!(f, "{value:.digits$}{suffix}")
    }
}

/// A point on the monotonic clock, in nanoseconds since an arbitrary origin (boot of the machine
/// or start of the simulation). Our own type, because `std::time::Instant` can't be made in
/// virtual time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// The origin of the clock.
    pub const ZERO: Self = Self(0);

    /// The instant `ns` nanoseconds after the origin.
    #[must_use]
    pub const fn from_nanos(ns: u64) -> Self {
        Self(ns)
    }

    /// Nanoseconds since the origin.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// Time from `earlier` to `self`, zero if `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// Whole nanoseconds of a duration, saturating at `u64::MAX` (584 years).
#[must_use]
pub fn nanos(d: Duration) -> u64 {
    u64::try_from(d.as_nanos()).unwrap_or(u64::MAX)
}

impl Add<Duration> for Instant {
    type Output = Self;
    fn add(self, d: Duration) -> Self {
        Self(self.0.saturating_add(nanos(d)))
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, d: Duration) {
        *self = *self + d;
    }
}

impl Sub<Duration> for Instant {
    type Output = Self;
    fn sub(self, d: Duration) -> Self {
        Self(self.0.saturating_sub(nanos(d)))
    }
}

/// Nanoseconds since 1970 on the wall clock. For logs, certificates and the state file only: it
/// jumps when NTP sets it, so nothing in the control path may use it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct WallClock(pub u64);

impl WallClock {
    /// Whole seconds since 1970.
    #[must_use]
    pub const fn unix_seconds(self) -> u64 {
        self.0 / 1_000_000_000
    }

    /// Whether the clock can be right: boards without a battery boot in 1970. The bound is the
    /// year in which this program was written.
    #[must_use]
    pub const fn is_plausible(self) -> bool {
        const START_OF_2026: u64 = 1_767_225_600;
        self.unix_seconds() >= START_OF_2026
    }
}

/// A round-trip time or another span of delay in milliseconds: finite, zero or more, at most
/// [`Millis::MAX`]. What is outside is refused where it is made, so that no arithmetic behind
/// this type needs to think of NaN.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Millis(f64);

impl Millis {
    /// No delay.
    pub const ZERO: Self = Self(0.0);
    /// The largest delay that is believed: a minute. A reply later than that answers another age.
    pub const MAX: Self = Self(60_000.0);

    /// `ms` milliseconds, or `None` for NaN, infinities, negative values and more than a minute.
    #[must_use]
    pub fn new(ms: f64) -> Option<Self> {
        (0.0..=Self::MAX.0).contains(&ms).then_some(Self(ms))
    }

    /// The value in milliseconds.
    #[must_use]
    pub const fn get(self) -> f64 {
        self.0
    }

    /// The same span as a duration, to the nanosecond.
    #[must_use]
    pub fn to_duration(self) -> Duration {
        Duration::from_secs_f64(self.0 / 1e3)
    }
}

impl TryFrom<Duration> for Millis {
    type Error = ();
    fn try_from(d: Duration) -> Result<Self, ()> {
        Self::new(d.as_secs_f64() * 1e3).ok_or(())
    }
}

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} ms", self.0)
    }
}

/// A direction of traffic, seen from the home network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// From the internet.
    Download,
    /// To the internet.
    Upload,
}

impl Direction {
    /// Both, download first.
    pub const BOTH: [Self; 2] = [Self::Download, Self::Upload];

    /// Position in a pair: download first.
    #[must_use]
    pub const fn index(self) -> usize {
        match self {
            Self::Download => 0,
            Self::Upload => 1,
        }
    }

    /// The name, as in configuration and logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Download => "download",
            Self::Upload => "upload",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_print_with_si_suffix() {
        let shown = |bps| Bitrate::from_bps(bps).to_string();
        assert_eq!(shown(940_000_000), "940M");
        assert_eq!(shown(37_612_000), "37.6M");
        assert_eq!(shown(8_000_000), "8M");
        assert_eq!(shown(800_000), "800k");
        assert_eq!(shown(10_000_000_000), "10G");
        assert_eq!(shown(12), "12");
    }

    #[test]
    fn millis_refuse_what_is_no_delay() {
        for bad in [f64::NAN, f64::INFINITY, -0.1, 60_000.1] {
            assert!(Millis::new(bad).is_none(), "{bad}");
        }
        assert!(Millis::new(0.0).is_some());
    }
}

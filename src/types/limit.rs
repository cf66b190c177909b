//! What may be sent to a router as a limit.

use super::Bitrate;

/// The operator's own value of a queue's `max-limit`, byte for byte as the router gave it
/// (`"100000000"`, or `"38000000/940000000"` for a simple queue).
pub type Verbatim = heapless::String<48>;

/// The range a shaper rate is kept in: a floor above zero and a ceiling not below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateRange {
    floor: Bitrate,
    ceiling: Bitrate,
}

impl RateRange {
    /// `None` when the floor is zero (unlimited to RouterOS) or above the ceiling.
    #[must_use]
    pub fn new(floor: Bitrate, ceiling: Bitrate) -> Option<Self> {
        (floor > Bitrate::ZERO && floor <= ceiling).then_some(Self { floor, ceiling })
    }

    /// The lowest rate.
    #[must_use]
    pub const fn floor(self) -> Bitrate {
        self.floor
    }

    /// The highest rate.
    #[must_use]
    pub const fn ceiling(self) -> Bitrate {
        self.ceiling
    }

    /// The rate nearest to `rate` that lies in the range.
    #[must_use]
    pub fn clamp(self, rate: Bitrate) -> Controlled {
        Controlled(rate.clamp(self.floor, self.ceiling))
    }
}

/// A shaper rate inside its configured range, and hence never zero. [`RateRange::clamp`] is the
/// only way to make one, so that a limit out of range can't be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Controlled(Bitrate);

impl Controlled {
    /// The rate.
    #[must_use]
    pub const fn rate(self) -> Bitrate {
        self.0
    }
}

/// A value of `max-limit` that may be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Our rates: download and upload. A queue of `/queue/tree` holds one of them.
    Controlled {
        /// Rate of the download direction, when the queue holds it.
        download: Option<Controlled>,
        /// Rate of the upload direction, when the queue holds it.
        upload: Option<Controlled>,
    },
    /// What the operator had. It exists only as read from a router; only the exit and `calibrate`
    /// may send it.
    Original(Verbatim),
}

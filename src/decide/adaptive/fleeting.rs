//! Delay that is gone sooner than a queue could be: a host that stood still, a frame sent again. One such moment says nothing of
//! the line. Where there were several of late, more samples must agree before anything is done.

use crate::types::Duration;

/// No queue that is worth a cut is gone so soon.
const MOMENT: Duration = Duration::from_millis(150);

/// Such a moment is forgotten in this time (seconds).
const FORGOTTEN_S: f64 = 30.0;

/// From so many on two samples must agree, and from so many three.
const TWO: f64 = 0.5;
const THREE: f64 = 1.5;

/// How many such moments there were of late.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Fleeting(f64);

impl Fleeting {
    /// One cycle of so many seconds. `lasted`: a delay that is gone now before its cut could act had been there for so long.
    pub(super) fn see(&mut self, lasted: Option<Duration>, elapsed: f64) {
        let moment = lasted.is_some_and(|lasted| lasted <= MOMENT);
        self.0 += f64::from(u8::from(moment)) - self.0 * (elapsed / FORGOTTEN_S).min(1.0);
    }

    /// So many samples must show a delay before it is acted on.
    pub(super) fn agree(self) -> usize {
        1 + usize::from(self.0 > TWO) + usize::from(self.0 > THREE)
    }

    /// So many that neither a single sample nor a single reading of the counters proves anything.
    pub(super) fn is_often(self) -> bool {
        self.0 > THREE
    }
}

//! What may be written to the router: tries are made as far as the budget goes, and where alarms use it up they must show
//! more. A cut is a write as well as a try.

/// Writes a minute that tries may cost while the line does not move, with traffic one way and both ways (each way has cuts of
/// its own), those they may be ahead of that: to go beyond what was ever good, to come back to it, and where the line seems
/// to have become faster; and the most that counts.
const WRITES: f64 = 16.0;
const WRITES_BOTH: f64 = 9.0;
const AHEAD: f64 = 1.0;
const AHEAD_CLIMBING: f64 = 2.0;
const AHEAD_RELIEVED: f64 = 5.0;
const AHEAD_MOST: f64 = 12.0;

/// The same for a line that moves, and on radio, where it always does.
const WRITES_MOVING: f64 = 100.0;
const WRITES_RADIO: f64 = 115.0;

/// The writes of about this time (seconds) tell whether the line moves or is only restless: with more a minute, with traffic one
/// way and both ways, it has none for moving. A long way back is worth more of them: where no more than this part is left of what
/// was good; and the longest whatever it costs.
const LATELY_S: f64 = 60.0;
const BUSY: f64 = 16.0;
const BUSY_BOTH: f64 = 24.0;
const BUSY_LONG_WAY: f64 = 24.0;
const LONG_WAY: f64 = 0.8;
const LONGEST_WAY: f64 = 0.33;

/// With so many ahead beyond those of a try an alarm must show twice as clearly. The second on a restless path, where many are
/// made anyway.
const TIRED: f64 = 0.5;
const TIRED_RESTLESS: f64 = 2.0;

/// From so many writes a minute on more delay is let pass: twice as much for so many more, up to the last.
const CALM: f64 = 12.0;
const TWICE_AS_MUCH: f64 = 4.0;
const MOST_MUCH: f64 = 4.0;

/// What the line does, as far as the budget depends on it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// It has changed a moment ago…
    pub(super) moves: bool,
    /// …and this part is left of what was good.
    pub(super) left: f64,
    pub(super) radio: bool,
    /// There is traffic both ways.
    pub(super) both: bool,
}

/// The writes of late.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Budget {
    /// Ahead of what may be written.
    ahead: f64,
    /// A minute, on average.
    lately: f64,
}

impl Budget {
    /// What may be written comes with time (seconds); what was written goes.
    pub(super) fn count(&mut self, pace: Pace, elapsed: f64, written: f64) {
        let come = self.a_minute(pace) * elapsed / 60.0;
        self.ahead = ((self.ahead - come).max(0.0) + written).min(AHEAD_MOST);
        self.lately += (60.0 * written - self.lately * elapsed) / LATELY_S;
    }

    fn a_minute(self, Pace { moves, left, radio, both }: Pace) -> f64 {
        let most = match both {
            _ if left < LONGEST_WAY => f64::INFINITY,
            _ if left < LONG_WAY => BUSY_LONG_WAY,
            true => BUSY_BOTH,
            false => BUSY,
        };
        match (moves, radio, both) {
            (true, true, _) => WRITES_RADIO,
            (true, false, _) if self.lately < most => WRITES_MOVING,
            (_, _, true) => WRITES_BOTH,
            (_, _, false) => WRITES,
        }
    }

    /// A try costs two writes; whether there is room for them.
    pub(super) fn may_try(self, climbing: bool, relieved: bool) -> bool {
        let most = match (relieved, climbing) {
            (true, _) => AHEAD_RELIEVED,
            (false, true) => AHEAD_CLIMBING,
            (false, false) => AHEAD,
        };
        self.ahead <= most
    }

    /// How many times as clearly an alarm must show.
    pub(super) fn doubts(self, restless: bool) -> f64 {
        1.0 + (self.ahead - AHEAD).max(0.0) / if restless { TIRED_RESTLESS } else { TIRED }
    }

    /// How many times as much delay an alarm lets pass.
    pub(super) fn lets_pass(self) -> f64 {
        (1.0 + (self.lately - CALM) / TWICE_AS_MUCH).clamp(1.0, MOST_MUCH)
    }
}

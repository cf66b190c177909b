//! One reflector: its delay, its health, and whether it is asked at all.

use crate::types::{Duration, Instant, Millis};

/// This many probes in a row without an answer, and the reflector is taken out.
const SILENT_PROBES: u32 = 5;

/// Weight of one probe in the score; about the last fifty count.
const SCORE_WEIGHT: f64 = 0.04;

/// A score below this takes the reflector out: three in ten probes lost, while others answer.
const SCORE_TOO_LOW: f64 = 0.7;

/// Probes before the score counts.
const SCORE_NEEDS: u32 = 20;

/// Replies in a row that stand far off the others, and the reflector is taken out.
const OUTLYING_REPLIES: u32 = 20;

/// A reflector that was taken out is asked again this much later…
const TRY_AGAIN: Duration = Duration::from_secs(30);

/// …and comes back after this many answers in a row.
const GOOD_ANSWERS: u32 = 3;

/// How long the first answer may take.
const FIRST_PATIENCE: Duration = Duration::from_secs(1);

/// Weight of one reply in the usual delay of the reflector, against which it is judged outlying.
const USUAL_WEIGHT: f64 = 0.01;

/// What a reflector is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Asked in every round.
    Active,
    /// Waiting to replace an active one.
    Spare,
    /// Taken out at the time given; asked now and then.
    Benched {
        /// When it is asked next.
        again: Instant,
        /// Answers in a row since.
        answers: u32,
    },
}

/// One reflector.
#[derive(Clone, Copy, Debug)]
pub struct Reflector {
    /// What it is there for.
    pub role: Role,
    /// Newest round-trip time and when it arrived; by number of the probe.
    pub newest: Option<(u64, Millis, Instant)>,
    /// Share of probes answered, of about the last fifty.
    pub score: f64,
    srtt: Option<(f64, f64)>,
    /// `SRTT + 4 RTTVAR`, asked for more often than it changes; zero before the first answer.
    expected: Duration,
    usual: f64,
    probes: u32,
    silent: u32,
    outlying: u32,
}

impl Reflector {
    /// Unknown, with a clean record.
    #[must_use]
    pub const fn new(role: Role) -> Self {
        Self {
            role,
            newest: None,
            score: 1.0,
            srtt: None,
            expected: Duration::ZERO,
            usual: 0.0,
            probes: 0,
            silent: 0,
            outlying: 0,
        }
    }

    /// Whether it is asked in every round.
    #[must_use]
    pub const fn is_active(&self) -> bool {
        matches!(self.role, Role::Active)
    }

    /// How long an answer may take before it is overdue: `SRTT + 4 RTTVAR` of RFC 6298, but at
    /// least `least`; ten times that before the first answer.
    #[must_use]
    pub fn patience(&self, least: Duration) -> Duration {
        least.max(if self.srtt.is_some() { self.expected } else { FIRST_PATIENCE })
    }

    /// Its delay above its usual delay: comparable between reflectors at different distances.
    #[must_use]
    pub fn excess(&self) -> Option<f64> {
        self.newest.map(|(_, rtt, _)| rtt.get() - self.usual)
    }

    /// An answer has come.
    pub fn answered(&mut self, number: u64, rtt: Millis, at: Instant) {
        let ms = rtt.get();
        let (srtt, var) = match self.srtt {
            None => {
                self.usual = ms;
                (ms, ms / 2.0)
            }
            Some((srtt, var)) => (srtt + (ms - srtt) / 8.0, var + (libm::fabs(ms - srtt) - var) / 4.0),
        };
        self.srtt = Some((srtt, var));
        self.expected = Duration::from_secs_f64((srtt + 4.0 * var) / 1e3);
        self.usual += (ms - self.usual) * USUAL_WEIGHT;
        self.usual = self.usual.min(ms + (self.usual - ms) * 0.5);
        self.book(1.0);
        self.silent = 0;
        // A reply overtaken by a newer one says nothing new about the line.
        if self.newest.is_none_or(|(newest, ..)| number > newest) {
            self.newest = Some((number, rtt, at));
        }
        if let Role::Benched { answers, .. } = &mut self.role {
            *answers += 1;
        }
    }

    /// A probe is overdue, though the line was up.
    pub fn overdue(&mut self) {
        self.book(0.0);
        self.silent = self.silent.saturating_add(1);
        if let Role::Benched { answers, .. } = &mut self.role {
            *answers = 0;
        }
    }

    fn book(&mut self, answered: f64) {
        self.score += (answered - self.score) * SCORE_WEIGHT;
        self.probes = self.probes.saturating_add(1);
    }

    /// Whether its newest reply stands far off the others, as they were judged together.
    pub fn judge(&mut self, is_outlier: bool) {
        self.outlying = if is_outlier { self.outlying.saturating_add(1) } else { 0 };
    }

    /// Whether it should be taken out.
    #[must_use]
    pub const fn is_bad(&self) -> bool {
        self.silent >= SILENT_PROBES
            || self.outlying >= OUTLYING_REPLIES
            || (self.probes >= SCORE_NEEDS && self.score < SCORE_TOO_LOW)
    }

    /// Takes it out of the rotation.
    pub fn bench(&mut self, now: Instant) {
        *self = Self::new(Role::Benched { again: now + TRY_AGAIN, answers: 0 });
    }

    /// Whether a benched one has earned its place back.
    #[must_use]
    pub const fn is_mended(&self) -> bool {
        matches!(self.role, Role::Benched { answers, .. } if answers >= GOOD_ANSWERS)
    }

    /// If a benched one is to be asked now: the next time is put off. Between the answers it needs
    /// to come back it is asked once a second.
    pub fn ask_benched(&mut self, now: Instant) -> bool {
        match &mut self.role {
            Role::Benched { again, answers } if *again <= now => {
                *again = now + if *answers > 0 { Duration::from_secs(1) } else { TRY_AGAIN };
                true
            }
            _ => false,
        }
    }

    /// A benched one has answered: the next question follows soon.
    pub fn hasten(&mut self, now: Instant) {
        if let Role::Benched { again, .. } = &mut self.role {
            *again = (*again).min(now + Duration::from_secs(1));
        }
    }
}

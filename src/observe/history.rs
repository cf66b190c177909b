//! What was: cycles, seconds and minutes of every WAN, in rings of fixed size.
//!
//! A record is 24 bytes in fixed point. Seconds are made of cycles and minutes of seconds: means of
//! rates and delays, the worst of delays and states. Nothing is allocated after the start.

use crate::types::{Bitrate, Duration, Instant, LinkStats, Sample, Signal, State, Verdict};

/// How much is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Depth {
    /// Nothing.
    Off,
    /// One minute of cycles, half an hour of seconds, one day of minutes: 95 kB per WAN at 50 ms.
    #[default]
    Small,
    /// Ten minutes of cycles, two hours of seconds, a week of minutes: 700 kB per WAN at 50 ms.
    Full,
}

/// Which ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tier {
    /// Every cycle.
    Cycles,
    /// One record per second.
    Seconds,
    /// One record per minute.
    Minutes,
}

impl Tier {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Cycles, Self::Seconds, Self::Minutes];

    /// Its name in queries.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cycles => "cycles",
            Self::Seconds => "seconds",
            Self::Minutes => "minutes",
        }
    }

    const fn span(self, cycle: Duration) -> Duration {
        match self {
            Self::Cycles => cycle,
            Self::Seconds => Duration::from_secs(1),
            Self::Minutes => Duration::from_secs(60),
        }
    }

    const fn kept(self, depth: Depth) -> Duration {
        match (depth, self) {
            (Depth::Off, _) => Duration::ZERO,
            (Depth::Small, Self::Cycles) => Duration::from_secs(60),
            (Depth::Small, Self::Seconds) => Duration::from_secs(1_800),
            (Depth::Small, Self::Minutes) => Duration::from_secs(86_400),
            (Depth::Full, Self::Cycles) => Duration::from_secs(600),
            (Depth::Full, Self::Seconds) => Duration::from_secs(7_200),
            (Depth::Full, Self::Minutes) => Duration::from_secs(604_800),
        }
    }
}

/// One stretch of time of one WAN. Rates in kbit/s, delays in tenths of a millisecond.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Shaper rates, download and upload.
    pub limit: [u32; 2],
    /// Achieved rates; `u32::MAX` when nobody knows.
    pub achieved: [u32; 2],
    /// Delay above baseline, mean.
    pub delay: u16,
    /// The same, worst.
    pub worst: u16,
    /// Baseline RTT.
    pub baseline: u16,
    /// States (two bits each), signal (three bits), whether anything was measured (one bit).
    flags: u8,
    /// Steering score, 0 to 100.
    pub score: u8,
}

/// Nobody knows.
pub const UNKNOWN: u32 = u32::MAX;

const STATES: [State; 4] = [State::Green, State::Yellow, State::SoftRed, State::Red];
const SIGNALS: [Signal; 5] = [Signal::Good, Signal::WarmingUp, Signal::Degraded, Signal::Silent, Signal::Down];

impl Record {
    /// One cycle.
    #[must_use]
    pub fn of(sample: &Sample, verdict: &Verdict, stats: Option<&LinkStats>) -> Self {
        let tenths = |ms: f64| to_u16(ms * 10.0);
        let state = |s: State| u8::try_from(STATES.iter().position(|t| *t == s).unwrap_or(0)).unwrap_or(0);
        let signal = u8::try_from(SIGNALS.iter().position(|t| *t == sample.signal).unwrap_or(0)).unwrap_or(0);
        let delay = tenths(verdict.delay().get());
        let directions = [verdict.download, verdict.upload];
        Self {
            limit: directions.map(|d| kbit(d.rate.rate())),
            achieved: [0, 1].map(|i| stats.and_then(|s| s.achieved[i]).map_or(UNKNOWN, kbit)),
            delay,
            worst: delay,
            baseline: tenths(verdict.baseline.get()),
            flags: state(directions[0].state) | state(directions[1].state) << 2 | signal << 4 | 1 << 7,
            score: 0,
        }
    }

    /// State of download (0) or upload (1).
    #[must_use]
    pub fn state(&self, direction: usize) -> State {
        STATES[usize::from(self.flags >> (2 * direction.min(1)) & 3)]
    }

    /// Quality of the measurement.
    #[must_use]
    pub fn signal(&self) -> Signal {
        SIGNALS.get(usize::from(self.flags >> 4 & 7)).copied().unwrap_or(Signal::Down)
    }

    /// Whether there is anything in it: not while the daemon did not run.
    #[must_use]
    pub const fn is_measured(&self) -> bool {
        self.flags & 1 << 7 != 0
    }
}

fn kbit(rate: Bitrate) -> u32 {
    u32::try_from(rate.bps() / 1_000).unwrap_or(UNKNOWN - 1)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the type's range")]
const fn to_u16(value: f64) -> u16 {
    value.clamp(0.0, 65_535.0) as u16
}

/// A ring, and what goes into its next record.
#[derive(Clone, Debug)]
struct Ring {
    records: Box<[Record]>,
    /// Number of the record that comes next; number times span is the time since the start.
    next: u64,
    sums: Sums,
}

/// Sums of records that become one.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    count: u64,
    limit: [u64; 2],
    achieved: [u64; 2],
    known: [u64; 2],
    delay: u64,
    worst: u16,
    baseline: u64,
    states: [u8; 2],
    signal: u8,
    score: u8,
}

impl Sums {
    fn add(&mut self, r: &Record) {
        if !r.is_measured() {
            return;
        }
        self.count += 1;
        for i in 0..2 {
            self.limit[i] += u64::from(r.limit[i]);
            if r.achieved[i] != UNKNOWN {
                self.achieved[i] += u64::from(r.achieved[i]);
                self.known[i] += 1;
            }
            self.states[i] = self.states[i].max(r.flags >> (2 * i) & 3);
        }
        self.delay += u64::from(r.delay);
        self.worst = self.worst.max(r.worst);
        self.baseline += u64::from(r.baseline);
        self.signal = self.signal.max(r.flags >> 4 & 7);
        self.score = self.score.max(r.score);
    }

    fn take(&mut self) -> Record {
        let s = core::mem::take(self);
        if s.count == 0 {
            return Record::default();
        }
        let wide = |sum: u64, count: u64| u32::try_from(sum / count.max(1)).unwrap_or(UNKNOWN - 1);
        let narrow = |sum: u64| u16::try_from(sum / s.count).unwrap_or(u16::MAX);
        Record {
            limit: s.limit.map(|sum| wide(sum, s.count)),
            achieved: [0, 1].map(|i| if s.known[i] == 0 { UNKNOWN } else { wide(s.achieved[i], s.known[i]) }),
            delay: narrow(s.delay),
            worst: s.worst,
            baseline: narrow(s.baseline),
            flags: s.states[0] | s.states[1] << 2 | s.signal << 4 | 1 << 7,
            score: s.score,
        }
    }
}

impl Ring {
    fn new(tier: Tier, depth: Depth, cycle: Duration) -> Self {
        let count = tier.kept(depth).as_nanos().checked_div(tier.span(cycle).as_nanos()).unwrap_or(0);
        let count = usize::try_from(count).unwrap_or(0);
        Self { records: vec![Record::default(); count].into_boxed_slice(), next: 0, sums: Sums::default() }
    }

    /// Puts a record at `number`; what was passed over is empty.
    fn put(&mut self, number: u64, record: Record) {
        let len = self.records.len() as u64;
        if len == 0 {
            return;
        }
        for skipped in self.next.max(number.saturating_sub(len))..number {
            self.records[place(skipped, len)] = Record::default();
        }
        if number + 1 >= self.next {
            self.records[place(number, len)] = record;
            self.next = number + 1;
        }
    }

    fn get(&self, number: u64) -> Option<&Record> {
        let len = self.records.len() as u64;
        let kept = len > 0 && number < self.next && number + len >= self.next;
        kept.then(|| &self.records[place(number, len)])
    }
}

fn place(number: u64, len: u64) -> usize {
    usize::try_from(number % len).unwrap_or(0)
}

/// The rings of all WANs.
#[derive(Clone, Debug)]
pub struct History {
    depth: Depth,
    cycle: Duration,
    start: Instant,
    rings: Vec<[Ring; 3]>,
}

impl History {
    /// For so many WANs, from `start` on.
    #[must_use]
    pub fn new(depth: Depth, cycle: Duration, wans: usize, start: Instant) -> Self {
        let rings = (0..wans).map(|_| Tier::ALL.map(|tier| Ring::new(tier, depth, cycle))).collect();
        Self { depth, cycle, start, rings }
    }

    /// How much is kept.
    #[must_use]
    pub const fn depth(&self) -> Depth {
        self.depth
    }

    /// Books one cycle of a WAN.
    pub fn book(&mut self, wan: usize, now: Instant, record: Record) {
        if self.depth == Depth::Off {
            return;
        }
        let age = now.since(self.start);
        let number = |tier: Tier| u64::try_from(age.as_nanos() / tier.span(self.cycle).as_nanos()).unwrap_or(0);
        let numbers = Tier::ALL.map(number);
        let Some([cycles, seconds, minutes]) = self.rings.get_mut(wan) else { return };
        cycles.put(numbers[0], record);
        // A second is complete when the first cycle of a later one comes, a minute likewise.
        close(seconds, numbers[1], |second| minutes.sums.add(second));
        close(minutes, numbers[2], |_| {});
        seconds.sums.add(&record);
    }

    /// The numbers of the records of a tier: the first that is kept, and the one after the last.
    #[must_use]
    pub fn numbers(&self, wan: usize, tier: Tier) -> (u64, u64) {
        let Some(ring) = self.rings.get(wan).map(|rings| &rings[tier as usize]) else { return (0, 0) };
        (ring.next.saturating_sub(ring.records.len() as u64), ring.next)
    }

    /// A record, if it is (still) kept, and when it began.
    #[must_use]
    pub fn record(&self, wan: usize, tier: Tier, number: u64) -> Option<(Instant, &Record)> {
        let record = self.rings.get(wan)?[tier as usize].get(number)?;
        let offset = tier.span(self.cycle).as_nanos().saturating_mul(u128::from(number));
        Some((self.start + Duration::from_nanos(u64::try_from(offset).ok()?), record))
    }
}

/// Finishes the record that is summed up, the ring's next, when `number` is a later one.
fn close(ring: &mut Ring, number: u64, done: impl FnOnce(&Record)) {
    if number <= ring.next {
        return;
    }
    let record = ring.sums.take();
    done(&record);
    let len = ring.records.len() as u64;
    if len > 0 {
        ring.records[place(ring.next, len)] = record;
        // In between nothing was measured.
        for gap in (ring.next + 1).max(number.saturating_sub(len))..number {
            ring.records[place(gap, len)] = Record::default();
        }
    }
    ring.next = number;
}

#[cfg(test)]
mod tests {
    use super::*;

    const CYCLE: Duration = Duration::from_millis(50);

    fn record(limit: u32, worst: u16) -> Record {
        Record {
            limit: [limit, 1],
            achieved: [UNKNOWN, limit],
            worst,
            delay: worst,
            flags: 1 << 7,
            ..Record::default()
        }
    }

    fn at(ms: u64) -> Instant {
        Instant::ZERO + Duration::from_millis(ms)
    }

    #[test]
    fn cycles_become_seconds_and_seconds_minutes() {
        let mut history = History::new(Depth::Small, CYCLE, 1, Instant::ZERO);
        for cycle in 0..20 * 121 {
            let second = cycle / 20;
            history.book(
                0,
                at(cycle * 50),
                record(100 + u32::try_from(second).unwrap(), u16::try_from(cycle % 20).unwrap()),
            );
        }
        assert_eq!(history.numbers(0, Tier::Cycles), (20 * 121 - 1200, 20 * 121));
        assert_eq!(history.numbers(0, Tier::Seconds), (0, 120));
        assert_eq!(history.numbers(0, Tier::Minutes), (0, 2));
        let (began, second) = history.record(0, Tier::Seconds, 7).unwrap();
        assert_eq!((began, second.limit, second.worst, second.delay), (at(7_000), [107, 1], 19, 9));
        assert_eq!(second.achieved, [UNKNOWN, 107]);
        // The last second of a minute is finished by the first cycle of the next one.
        let (_, minute) = history.record(0, Tier::Minutes, 1).unwrap();
        assert_eq!((minute.limit[0], minute.worst), ((160 + 219) / 2, 19));
        assert!(history.record(0, Tier::Cycles, 0).is_none() && history.record(0, Tier::Seconds, 120).is_none());
    }

    #[test]
    fn what_was_slept_through_is_empty() {
        let mut history = History::new(Depth::Small, CYCLE, 1, Instant::ZERO);
        history.book(0, at(0), record(5, 1));
        history.book(0, at(200_000), record(6, 1));
        assert!(history.record(0, Tier::Cycles, 3_999).is_some_and(|(_, r)| !r.is_measured()));
        assert!(history.record(0, Tier::Cycles, 4_000).is_some_and(|(_, r)| r.limit[0] == 6));
        assert!(history.record(0, Tier::Seconds, 0).is_some_and(|(_, r)| r.limit[0] == 5));
        assert!(history.record(0, Tier::Seconds, 100).is_some_and(|(_, r)| !r.is_measured()));
        assert!(history.record(1, Tier::Seconds, 0).is_none(), "there is no such WAN");
    }

    #[test]
    fn sizes_are_as_promised() {
        assert_eq!(size_of::<Record>(), 24);
        let bytes = |depth| -> usize {
            let history = History::new(depth, CYCLE, 1, Instant::ZERO);
            history.rings[0].iter().map(|ring| ring.records.len() * 24).sum()
        };
        assert_eq!(bytes(Depth::Off), 0);
        assert!((90_000..110_000).contains(&bytes(Depth::Small)), "{}", bytes(Depth::Small));
        assert!(bytes(Depth::Full) < 720_000, "{}", bytes(Depth::Full));
    }
}

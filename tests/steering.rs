//! Steering's decision against what it promises: examples of every rule, and properties over
//! thousands of random runs of two to four WANs that degrade, die, recover and lie.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use proptest::prelude::*;
use wanctl::decide::steering::{Alternate, Mode, Pair, Reach, Settings, Signals, Word};
use wanctl::types::{
    Bitrate, Duration, Instant, LinkStats, Millis, Part, Signal, State, SteerHold, SteerReason, SwitchId, SwitchState,
    Unfit, WanId,
};

const CYCLE: Duration = Duration::from_millis(50);

fn wan(i: usize) -> WanId {
    WanId::new(i).unwrap()
}

fn settings(alternates: u8) -> Settings {
    let mut settings = Settings::new(wan(0), Mode::Confidence);
    for i in 1..=alternates {
        settings.alternates.push(Alternate { wan: wan(usize::from(i)), switch: SwitchId(i - 1) }).unwrap();
    }
    settings
}

/// A line that is well and idle, with statistics of this moment.
fn well(now: Instant) -> Signals {
    Signals {
        quality: Signal::Good,
        age: CYCLE,
        baseline: Millis::new(20.0).unwrap(),
        delay: Millis::ZERO,
        witnesses: 3,
        reflectors: 3,
        state: State::Green,
        loss: 0.0,
        has_fallback: true,
        stats: Some(stats(now, 1, 0, 0)),
        rates: [Bitrate::from_mbps(30), Bitrate::from_mbps(10)],
        ceilings: [Bitrate::from_mbps(40), Bitrate::from_mbps(14)],
    }
}

/// Statistics of the last half second's end.
fn stats(now: Instant, mbps: u64, dropped: u64, queued: u64) -> LinkStats {
    let half = 500_000_000;
    LinkStats {
        at: Instant::from_nanos(now.as_nanos() / half * half),
        uncertainty: Duration::from_millis(10),
        since: [Instant::from_nanos(now.as_nanos() / half * half - half); 2],
        achieved: [Some(Bitrate::from_mbps(mbps)), Some(Bitrate::from_mbps(1))],
        dropped: [dropped, 0],
        queued_bytes: [queued, 0],
    }
}

fn ms(x: f64) -> Millis {
    Millis::new(x).unwrap()
}

/// RED with much delay.
fn bloated(now: Instant) -> Signals {
    Signals { state: State::Red, delay: ms(200.0), ..well(now) }
}

fn dead(now: Instant, since: Instant) -> Signals {
    let age = now.since(since);
    let quality = match age.as_millis() {
        0..150 => Signal::Good,
        150..5000 => Signal::Silent,
        _ => Signal::Down,
    };
    Signals { quality, age, witnesses: 0, ..well(now) }
}

/// A pair, the time, and what was told.
struct Bench {
    pair: Pair,
    now: Instant,
    told: Vec<(Instant, Word)>,
    switches: Vec<SwitchState>,
}

impl Bench {
    /// With everything known and well.
    fn new(settings: Settings) -> Self {
        let mut bench = Self::cold(settings);
        bench.run(15.0, |now| [well(now), well(now), well(now), well(now)]);
        bench
    }

    /// Just started.
    fn cold(settings: Settings) -> Self {
        let off = SwitchState { observed: Some(false), ..SwitchState::default() };
        let switches = vec![off; settings.alternates.len()];
        Self { pair: Pair::new(settings), now: Instant::from_nanos(3_600_000_000_000), told: Vec::new(), switches }
    }

    fn cycle(&mut self, seen: &[Signals]) {
        self.now += CYCLE;
        let switches = &self.switches;
        let look = |id: SwitchId| switches[id.index()];
        if let Some(word) = self.pair.decide(self.now, seen, &look) {
            self.told.push((self.now, word));
        }
        // The router does what is wanted.
        for (i, state) in (0..).zip(&mut self.switches) {
            if let Some(on) = self.pair.wants(SwitchId(i)).filter(|_| state.respected_until.is_none()) {
                state.observed = Some(on);
            }
        }
    }

    /// So many seconds of what `seen` makes of each moment.
    fn run<const N: usize>(&mut self, seconds: f64, seen: impl Fn(Instant) -> [Signals; N]) {
        let end = self.now + Duration::from_secs_f64(seconds);
        while self.now < end {
            let signals = seen(self.now + CYCLE);
            self.cycle(&signals);
        }
    }

    fn turns(&self) -> Vec<SteerReason> {
        let why = |(_, word): &(Instant, Word)| match word {
            Word::Turn(turn) => Some(turn.why),
            Word::Held(_) => None,
        };
        self.told.iter().filter_map(why).collect()
    }

    fn holds(&self) -> Vec<SteerHold> {
        let hold = |(_, word): &(Instant, Word)| match word {
            Word::Held(held) => Some(held.hold),
            Word::Turn(_) => None,
        };
        self.told.iter().filter_map(hold).collect()
    }

    /// When it last turned, in seconds after `since`.
    fn turned_after(&self, since: Instant) -> f64 {
        let turns = self.told.iter().rev();
        turns.filter(|(_, w)| matches!(w, Word::Turn(_))).map(|(at, _)| at.since(since).as_secs_f64()).next().unwrap()
    }

    fn part(&self, wan: usize, part: Part) -> u8 {
        self.pair.scores().nth(wan).unwrap().1.part(part)
    }
}

#[test]
fn a_bad_primary_is_left_after_the_sustain_time_and_taken_again_when_it_is_well() {
    let mut b = Bench::new(settings(1));
    b.run(60.0, |now| [well(now), well(now)]);
    assert!(b.told.is_empty());
    let begin = b.now;
    b.run(10.0, |now| [bloated(now), well(now)]);
    assert_eq!(b.turns(), [SteerReason::Degraded]);
    let after = b.turned_after(begin);
    assert!((1.8..=1.9).contains(&after), "counted from when the probe was sent: {after}");
    assert_eq!((b.part(0, Part::State), b.part(0, Part::Delay)), (50, 25), "each part is told");
    b.run(60.0, |now| [well(now), well(now)]);
    assert_eq!(b.turns(), [SteerReason::Degraded, SteerReason::Recovered]);
    let back = b.turned_after(begin);
    assert!((31.8..32.0).contains(&back), "hold-down: {back}");
    assert!(matches!(b.holds()[..], [SteerHold::HoldDown(_)]), "{:?}", b.holds());
}

#[test]
fn points_are_those_of_the_documents() {
    let mut b = Bench::new(settings(1));
    let score = |b: &mut Bench, seen: Signals, part| {
        b.run(5.1, |now| [well(now), well(now)]);
        b.run(0.05, |now| [Signals { stats: well(now).stats, ..seen }, well(now)]);
        b.part(0, part)
    };
    let now = b.now;
    for (state, points) in [(State::Red, 50), (State::SoftRed, 10), (State::Yellow, 10), (State::Green, 0)] {
        assert_eq!(score(&mut b, Signals { state, delay: ms(50.0), ..well(now) }, Part::State), points, "{state:?}");
    }
    let cut = Signals { state: State::Red, delay: ms(7.0), ..well(now) };
    assert_eq!(score(&mut b, cut, Part::State), 17, "a RED that the delay does not bear out");
    for (delay, points) in [(80.0, 0), (81.0, 15), (120.0, 15), (121.0, 25)] {
        assert_eq!(score(&mut b, Signals { delay: ms(delay), ..well(now) }, Part::Delay), points, "{delay}");
    }
    b.run(1.6, |now| [Signals { state: State::SoftRed, delay: ms(50.0), ..well(now) }, well(now)]);
    assert_eq!(b.part(0, Part::State), 25, "SOFT_RED that lasts");
    // Drops rise over three readings; then they don't.
    b.run(1.6, |now| {
        [Signals { stats: Some(stats(now, 1, now.as_nanos() / 500_000_000 % 1000, 0)), ..well(now) }, well(now)]
    });
    assert_eq!(b.part(0, Part::Drops), 10);
    b.run(1.6, |now| [Signals { stats: Some(stats(now, 1, 7, 0)), ..well(now) }, well(now)]);
    assert_eq!(b.part(0, Part::Drops), 0);
    // A queue that takes a tenth of a second, twice.
    b.run(1.1, |now| [Signals { stats: Some(stats(now, 1, 0, 400_000)), ..well(now) }, well(now)]);
    assert_eq!(b.part(0, Part::Queue), 10);
    b.run(30.0, |now| [Signals { loss: 0.02, ..well(now) }, well(now)]);
    assert_eq!(b.part(0, Part::Loss), 40);
}

#[test]
fn lost_capacity_counts_while_somebody_fills_the_line_and_fades_when_nobody_does() {
    let mut b = Bench::new(settings(1));
    let rates = [Bitrate::from_mbps(3), Bitrate::from_mbps(10)];
    b.run(10.0, |now| [Signals { stats: Some(stats(now, 30, 0, 0)), ..well(now) }, well(now)]);
    assert_eq!(b.part(0, Part::Capacity), 0, "a full line has lost nothing");
    b.run(1.0, |now| [Signals { rates, stats: Some(stats(now, 3, 0, 0)), ..well(now) }, well(now)]);
    let at_once = b.part(0, Part::Capacity);
    assert!((31..=32).contains(&at_once), "3 of half the demand of 30: {at_once}");
    b.run(120.0, |now| [Signals { rates, stats: Some(stats(now, 3, 0, 0)), ..well(now) }, well(now)]);
    assert_eq!(b.part(0, Part::Capacity), 30, "3 of 30 % of the ceiling of 40");
    assert_eq!(b.turns(), [], "by itself it is no reason");
    b.run(31.0, |now| [Signals { rates, ..well(now) }, well(now)]);
    assert_eq!(b.part(0, Part::Capacity), 0, "nobody knows what an idle line carries");
}

#[test]
fn a_collapse_that_the_law_answers_at_once_is_still_seen() {
    let mut b = Bench::new(settings(1));
    b.run(10.0, |now| [Signals { stats: Some(stats(now, 30, 0, 0)), ..well(now) }, well(now)]);
    let begin = b.now;
    b.run(0.4, |now| [Signals { stats: Some(stats(now, 30, 0, 0)), ..bloated(now) }, well(now)]);
    // What has piled up in the provider's queue takes a second to drain.
    let rates = [Bitrate::from_mbps(3), Bitrate::from_mbps(10)];
    b.run(1.0, |now| [Signals { rates, stats: Some(stats(now, 3, 0, 0)), ..bloated(now) }, well(now)]);
    b.run(5.0, |now| [Signals { rates, stats: Some(stats(now, 3, 0, 0)), ..well(now) }, well(now)]);
    assert_eq!(b.turns(), [SteerReason::Degraded]);
    assert!(b.turned_after(begin) < 2.5);
    // A short bloat that costs nothing is none.
    let mut b = Bench::new(settings(1));
    b.run(10.0, |now| [Signals { stats: Some(stats(now, 30, 0, 0)), ..well(now) }, well(now)]);
    b.run(0.5, |now| [bloated(now), well(now)]);
    b.run(20.0, |now| [Signals { stats: Some(stats(now, 25, 0, 0)), ..well(now) }, well(now)]);
    assert_eq!(b.turns(), []);
}

#[test]
fn total_loss_turns_at_once_unless_a_fallback_objects_and_a_dead_alternate_sends_back_at_once() {
    let mut b = Bench::new(settings(1));
    b.run(60.0, |now| [well(now), well(now)]);
    let cut = b.now;
    b.run(0.4, |now| [dead(now, cut), well(now)]);
    b.run(10.0, |now| [well(now), well(now)]);
    assert_eq!(b.turns(), [], "a dip");
    let cut = b.now;
    b.run(2.0, |now| [dead(now, cut), well(now)]);
    assert_eq!(b.turns(), [SteerReason::Lost]);
    let after = b.turned_after(cut);
    assert!(after <= 0.7, "{after}");
    // While the hold-down runs the alternate dies, and the primary is back.
    let cut = b.now;
    b.run(1.0, |now| [well(now), dead(now, cut)]);
    assert_eq!(b.turns(), [SteerReason::Lost, SteerReason::Lost]);
    assert!(b.turned_after(cut) <= 0.7);
    assert_eq!(b.pair.at(), None);
    // Reflectors silent, TCP answers: no loss.
    b.run(60.0, |now| [Signals { quality: Signal::Degraded, age: Duration::from_secs(60), ..well(now) }, well(now)]);
    assert_eq!(b.turns().len(), 2);
    // Both dead: stay.
    let cut = b.now;
    b.run(60.0, |now| [dead(now, cut), dead(now, cut)]);
    assert_eq!(b.turns().len(), 2);
    assert!(b.holds().contains(&SteerHold::NoFitAlternate(Unfit::Lost)));
}

#[test]
fn without_a_fallback_silence_alone_takes_longer() {
    let mut b = Bench::new(settings(1));
    b.run(10.0, |now| [well(now), well(now)]);
    let cut = b.now;
    b.run(20.0, |now| [Signals { has_fallback: false, ..dead(now, cut) }, well(now)]);
    assert!((5.0..5.2).contains(&b.turned_after(cut)), "{}", b.turned_after(cut));
}

#[test]
fn an_alternate_must_be_fit() {
    type Change = fn(Signals) -> Signals;
    let bad = |now, change: Change| [bloated(now), change(well(now))];
    let cases: [(Change, Unfit); 5] = [
        (|s| Signals { quality: Signal::WarmingUp, ..s }, Unfit::Unmeasured),
        (|s| Signals { quality: Signal::Degraded, ..s }, Unfit::Unmeasured),
        (|s| Signals { state: State::Red, delay: ms(100.0), ..s }, Unfit::Bad),
        (|s| Signals { rates: [Bitrate::from_mbps(30), Bitrate::from_bps(900_000)], ..s }, Unfit::NoHeadroom),
        (|s| Signals { quality: Signal::Down, ..s }, Unfit::Lost),
    ];
    for (change, why) in cases {
        let mut b = Bench::new(settings(1));
        b.run(20.0, |now| bad(now, change));
        assert_eq!((b.turns(), b.holds()), (vec![], vec![SteerHold::NoFitAlternate(why)]));
    }
    // Not better by the margin: a detour counts as well.
    let mut b = Bench::new(settings(1));
    let far = |now| Signals {
        baseline: ms(140.0),
        state: State::SoftRed,
        delay: ms(50.0),
        stats: Some(stats(now, 1, 0, 400_000)),
        ..well(now)
    };
    b.run(20.0, |now| [Signals { delay: ms(81.0), ..bloated(now) }, far(now)]);
    assert_eq!((b.turns(), b.holds()), (vec![], vec![SteerHold::NoFitAlternate(Unfit::NotBetter)]));
    // The first in order is bad: the second is taken.
    let mut b = Bench::new(settings(2));
    b.run(20.0, |now| [bloated(now), bloated(now), well(now)]);
    assert_eq!(b.pair.at(), Some(1));
    // It dies while the primary is still bad: the other one, which has been well again.
    b.run(20.0, |now| [bloated(now), well(now), well(now)]);
    let cut = b.now;
    b.run(1.0, |now| [bloated(now), well(now), dead(now, cut)]);
    assert_eq!(b.pair.at(), Some(0));
}

#[test]
fn one_reflector_alone_turns_nothing() {
    let mut b = Bench::new(settings(1));
    b.run(60.0, |now| [Signals { witnesses: 1, ..bloated(now) }, well(now)]);
    b.run(10.0, |now| [well(now), well(now)]);
    b.run(60.0, |now| [Signals { reflectors: 1, witnesses: 1, loss: 0.5, ..well(now) }, well(now)]);
    b.run(60.0, |now| [Signals { reflectors: 1, witnesses: 1, loss: 0.5, ..bloated(now) }, well(now)]);
    assert_eq!(b.turns(), []);
    // One shared by both WANs makes both bad.
    let mut b = Bench::new(settings(1));
    b.run(60.0, |now| [bloated(now), bloated(now)]);
    assert_eq!((b.turns(), b.holds()), (vec![], vec![SteerHold::NoFitAlternate(Unfit::Bad)]));
}

#[test]
fn statistics_that_age_lower_the_confidence_and_nothing_else() {
    let mut b = Bench::new(settings(1));
    b.run(10.0, |now| [Signals { stats: Some(stats(now, 30, 0, 400_000)), ..well(now) }, well(now)]);
    assert_eq!((b.part(0, Part::Queue), b.pair.scores().next().unwrap().1.confidence()), (10, 100));
    let old = stats(b.now, 30, 0, 400_000);
    b.run(11.0, |now| [Signals { stats: Some(old), ..well(now) }, well(now)]);
    assert_eq!((b.part(0, Part::Queue), b.pair.scores().next().unwrap().1.confidence()), (0, 70));
    let begin = b.now;
    b.run(10.0, |now| [Signals { stats: Some(old), ..bloated(now) }, well(now)]);
    let after = b.turned_after(begin);
    assert!((2.4..2.5).contains(&after), "not blocked, only more careful: {after}");
}

#[test]
fn recovery_does_not_ask_for_perfection() {
    let mut b = Bench::new(settings(1));
    b.run(10.0, |now| [bloated(now), well(now)]);
    // YELLOW for ever is well; SOFT_RED for ever is good enough after a while.
    b.run(60.0, |now| [Signals { state: State::Yellow, ..well(now) }, well(now)]);
    assert_eq!(b.turns(), [SteerReason::Degraded, SteerReason::Recovered]);
    let mut b = Bench::new(settings(1));
    b.run(10.0, |now| [bloated(now), well(now)]);
    b.run(120.0, |now| [Signals { state: State::SoftRed, delay: ms(50.0), ..well(now) }, well(now)]);
    assert_eq!(b.turns(), [SteerReason::Degraded, SteerReason::GoodEnough]);
}

#[test]
fn the_originals_rule() {
    let rule = || {
        let alternates = settings(1).alternates;
        Settings { alternates, ..Settings::new(wan(0), Mode::Hysteresis) }
    };
    let red = |now, delay, dropped, packets: u64| {
        [Signals { delay: ms(delay), stats: Some(stats(now, 1, dropped, packets * 1500)), ..well(now) }, well(now)]
    };
    for (delay, dropped, packets, turns) in [(16.0, 1, 50, 1), (15.0, 1, 50, 0), (16.0, 0, 50, 0), (16.0, 1, 49, 0)] {
        let mut b = Bench::new(rule());
        b.run(5.0, |now| red(now, delay, dropped, packets));
        assert_eq!(b.turns().len(), turns, "{delay} {dropped} {packets}");
    }
    let mut b = Bench::new(rule());
    let begin = b.now;
    b.run(40.0, |now| red(now, 16.0, 1, 50));
    assert!((1.0..2.0).contains(&b.turned_after(begin)), "{}", b.turned_after(begin));
    let begin = b.now;
    b.run(20.0, |now| [well(now), well(now)]);
    assert!((7.5..8.2).contains(&b.turned_after(begin)), "{}", b.turned_after(begin));
}

#[test]
fn what_the_router_shows_is_adopted_and_a_hand_is_respected() {
    let mut b = Bench::cold(settings(1));
    b.switches[0].observed = None;
    b.run(10.0, |now| [bloated(now), well(now)]);
    assert_eq!((b.turns(), b.pair.wants(SwitchId(0))), (vec![], None), "nothing is known: nothing is wanted");
    b.switches[0].observed = Some(true);
    b.run(1.0, |now| [well(now), well(now)]);
    assert_eq!((b.turns(), b.pair.at()), (vec![SteerReason::Found], Some(0)));
    b.run(60.0, |now| [well(now), well(now)]);
    assert_eq!(b.turns(), [SteerReason::Found, SteerReason::Recovered]);
    // A person switches it on and wants it so for ten minutes.
    b.switches[0] =
        SwitchState { observed: Some(true), respected_until: Some(b.now + Duration::from_secs(600)), refused: false };
    b.run(599.0, |now| [well(now), well(now)]);
    assert_eq!((b.pair.at(), b.turns().len()), (Some(0), 3));
    b.switches[0].respected_until = None;
    b.run(10.0, |now| [well(now), well(now)]);
    assert_eq!((b.pair.at(), b.turns().len()), (None, 4), "then it is ours again");
    // The rule is gone: no way there.
    b.switches[0] = SwitchState { refused: true, ..SwitchState::default() };
    b.run(60.0, |now| [bloated(now), well(now)]);
    assert_eq!(b.holds().last(), Some(&SteerHold::NoFitAlternate(Unfit::Refused)));
}

#[test]
fn a_dry_run_wants_nothing_and_tells_everything() {
    let mut b = Bench::new(Settings { dry_run: true, ..settings(1) });
    b.run(10.0, |now| [bloated(now), well(now)]);
    assert_eq!((b.turns(), b.pair.wants(SwitchId(0))), (vec![SteerReason::Degraded], None));
}

#[test]
fn flapping_is_braked_and_the_fitter_wan_held() {
    let mut b = Bench::new(settings(1));
    b.run(60.0, |now| [well(now), well(now)]);
    let begin = b.now;
    let bad = |now: Instant| now.since(begin).as_secs() % 20 < 10;
    b.run(600.0, |now| [if bad(now) { bloated(now) } else { well(now) }, well(now)]);
    assert!(b.turns().len() <= 4, "{:?}", b.told);
    assert_eq!(b.pair.at(), Some(0), "the fitter one");
    // It comes to trust it again.
    b.run(1800.0, |now| [well(now), well(now)]);
    assert_eq!(b.pair.at(), None);
}

/// What is remembered over a restart goes on where it was.
#[test]
fn hold_down_survives_a_restart() {
    let mut b = Bench::new(settings(1));
    let begin = b.now;
    b.run(5.0, |now| [bloated(now), well(now)]);
    let mut next = Bench::cold(settings(1));
    next.pair.restore(b.now, &b.pair.learnt());
    (next.now, next.switches) = (b.now, b.switches.clone());
    next.run(60.0, |now| [well(now), well(now)]);
    assert_eq!(next.turns(), [SteerReason::Found, SteerReason::Recovered]);
    let back = next.turned_after(begin);
    assert!((31.8..32.1).contains(&back), "{back}");
}

// ---- random runs -----------------------------------------------------------------------------

/// How a WAN is for a while.
#[derive(Clone, Copy, Debug)]
enum Mood {
    Well,
    Yellow,
    Bloated,
    Shrunk,
    Lossy,
    Dead,
    Unmeasured,
    LoneLiar,
}

const MOODS: [Mood; 8] =
    [Mood::Well, Mood::Yellow, Mood::Bloated, Mood::Shrunk, Mood::Lossy, Mood::Dead, Mood::Unmeasured, Mood::LoneLiar];

fn signals(mood: Mood, now: Instant, since: Instant) -> Signals {
    match mood {
        Mood::Well => well(now),
        Mood::Yellow => Signals { state: State::Yellow, delay: ms(30.0), ..well(now) },
        Mood::Bloated => bloated(now),
        Mood::Shrunk => Signals {
            state: State::SoftRed,
            delay: ms(50.0),
            rates: [Bitrate::from_mbps(2); 2],
            stats: Some(stats(now, 2, 3, 60_000)),
            ..well(now)
        },
        Mood::Lossy => Signals { loss: 0.05, ..well(now) },
        Mood::Dead => dead(now, since),
        Mood::Unmeasured => Signals { quality: Signal::Degraded, age: now.since(since), ..well(now) },
        Mood::LoneLiar => Signals { witnesses: 1, ..bloated(now) },
    }
}

/// Moods of each WAN, each for some seconds.
fn weather() -> impl Strategy<Value = Vec<Vec<(Mood, u32)>>> {
    let spell = (prop::sample::select(MOODS.to_vec()), prop_oneof![1_u32..8, 1_u32..40, 20_u32..120]);
    prop::collection::vec(prop::collection::vec(spell, 4..24), 2..=4)
}

/// What is true while it runs.
struct Watch {
    settings: Settings,
    turned: Option<Instant>,
    dead_for: u32,
    worse_for: u32,
}

impl Watch {
    fn turn(&mut self, now: Instant, why: SteerReason, forced: bool) -> Result<(), TestCaseError> {
        let urgent = matches!(why, SteerReason::Lost | SteerReason::AlternateWorse | SteerReason::Refused);
        if let Some(turned) = self.turned.filter(|_| !urgent) {
            prop_assert!(now.since(turned) >= self.settings.hold_down, "{why:?} in the hold-down");
        }
        prop_assert!(why != SteerReason::Lost || forced, "nothing was lost");
        self.turned = Some(now);
        Ok(())
    }
}

fn weathered(spells: &[Vec<(Mood, u32)>], seed: u8) -> Result<(), TestCaseError> {
    let alternates = u8::try_from(spells.len() - 1).unwrap();
    let settings = Settings { dry_run: seed.is_multiple_of(5), ..settings(alternates) };
    let mut watch = Watch { settings: settings.clone(), turned: None, dead_for: 0, worse_for: 0 };
    let mut b = Bench::cold(settings.clone());
    let mut place: Vec<(usize, Instant)> = vec![(0, b.now); spells.len()];
    let mut free_turns: Vec<Instant> = Vec::new();
    let total: u32 = spells[0].iter().map(|(_, s)| s).sum();
    for _ in 0..total.min(600) * 20 {
        let now = b.now + CYCLE;
        let mut seen = Vec::new();
        for (spells, (at, since)) in spells.iter().zip(&mut place) {
            let (mood, seconds) = spells[*at % spells.len()];
            if now.since(*since) >= Duration::from_secs(u64::from(seconds)) {
                (*at, *since) = (*at + 1, now);
            }
            seen.push(signals(mood, now, *since));
        }
        let before = b.pair.wan();
        let told = b.told.len();
        let braked = matches!(b.pair.held(), Some(SteerHold::Brake(_)));
        b.cycle(&seen);
        let totals: Vec<u8> = b.pair.scores().map(|(_, s)| s.total()).collect();
        let reach = |wan: WanId| b.pair.scores().find(|(w, _)| *w == wan).unwrap().1.part(Part::Reach) == 100;
        for (_, word) in &b.told[told..] {
            let Word::Turn(turn) = word else { continue };
            prop_assert_eq!((turn.from, turn.to), (before, b.pair.wan()));
            watch.turn(now, turn.why, reach(turn.from))?;
            prop_assert!(!reach(turn.to), "turned to a dead WAN");
            if turn.why != SteerReason::Lost {
                free_turns.push(now);
                prop_assert!(
                    turn.why == SteerReason::GoodEnough
                        || turn.scores[1].total() < turn.scores[0].total()
                        || turn.scores[1].total() <= settings.return_at,
                    "to a worse WAN: {turn:?}"
                );
            }
        }
        // After so many free turns in a window comes a hold, and a longer one after the next.
        if let [.., first, _, _, last, next] = free_turns[..]
            && last.since(first) < settings.brake_window
        {
            prop_assert!(next.since(last) >= settings.brake_hold, "turned while the brake holds");
        }
        let recent = free_turns.iter().filter(|at| now.since(**at) < settings.brake_window).count();
        prop_assert!(recent <= usize::from(settings.brake_toggles) + 2, "{recent} turns in a window");
        // On a dead alternate only while everything is dead.
        let is_dead = b.pair.at().is_some()
            && reach(b.pair.wan())
            && !reach(settings.primary)
            && seen[0].quality != Signal::WarmingUp;
        watch.dead_for = if is_dead { watch.dead_for + 1 } else { 0 };
        prop_assert!(watch.dead_for <= 1, "on a dead alternate");
        // On an alternate that is worse than the primary: no longer than the sustain time, but for
        // the brake.
        let own = b.pair.at().map_or(0, |i| totals[i + 1]);
        let is_worse = b.pair.at().is_some()
            && seen[0].quality == Signal::Good
            && totals[0] < settings.steer_at
            && totals[0].saturating_add(settings.margin) <= own
            && !braked;
        watch.worse_for = if is_worse { watch.worse_for + 1 } else { 0 };
        prop_assert!(
            f64::from(watch.worse_for) * 0.05 <= settings.degrade_sustain.as_secs_f64() + 0.1,
            "on a worse one"
        );
        // What is wanted is what was decided, one switch at most, and nothing in a dry run.
        let wanted: Vec<u8> = (0..alternates).filter(|i| b.pair.wants(SwitchId(*i)) == Some(true)).collect();
        let expected: Vec<u8> =
            b.pair.at().filter(|_| !settings.dry_run).map(|i| u8::try_from(i).unwrap()).into_iter().collect();
        prop_assert_eq!(wanted, expected);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn whatever_the_weather(spells in weather(), seed in any::<u8>()) {
        weathered(&spells, seed)?;
    }

    /// Any values at all, any order of times: no panic, and a score that is the sum of its parts.
    #[test]
    fn any_signals(
        rows in prop::collection::vec((0_u8..5, any::<u32>(), 0.0..60_000.0_f64, 0_u8..9, 0_u8..4, -1.0..2.0_f64, any::<[u64; 4]>(), 0_u64..4_000), 1..200)
    ) {
        let mut b = Bench::new(settings(1));
        for (quality, age, delay, witnesses, state, loss, [a, c, d, e], step) in rows {
            b.now += Duration::from_millis(step);
            let quality = [Signal::WarmingUp, Signal::Good, Signal::Silent, Signal::Degraded, Signal::Down][usize::from(quality)];
            let state = [State::Green, State::Yellow, State::SoftRed, State::Red][usize::from(state)];
            let stats = LinkStats {
                at: Instant::from_nanos(a), uncertainty: CYCLE,
                since: [Instant::from_nanos(c); 2], achieved: [Some(Bitrate::from_bps(c)), None],
                dropped: [d, a], queued_bytes: [e, c],
            };
            let wild = Signals {
                quality, age: Duration::from_millis(u64::from(age)), baseline: ms(delay / 2.0), delay: ms(delay), witnesses,
                reflectors: witnesses, state, loss, has_fallback: a.is_multiple_of(2), stats: Some(stats),
                rates: [Bitrate::from_bps(d), Bitrate::from_bps(e)], ceilings: [Bitrate::from_bps(e), Bitrate::from_bps(a)],
            };
            b.cycle(&[wild, well(b.now)]);
            for (_, score) in b.pair.scores() {
                let sum: u32 = Part::ALL.iter().map(|p| u32::from(score.part(*p))).sum();
                prop_assert_eq!(u32::from(score.total()), sum.min(100));
                prop_assert!(score.confidence() <= 100);
            }
        }
    }
}

/// A line in use, with everything that a healthy one does: noise, now and then a burst of delay, a
/// lost probe, a reading that comes late. A simulated day; a week with `WANCTL_SOAK`.
#[test]
fn healthy_noise_turns_nothing() {
    let days = if std::env::var_os("WANCTL_SOAK").is_some() { 7 } else { 1 };
    let mut random = 0x2545_F491_4F6C_DD1D_u64;
    let mut draw = move |n: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % n
    };
    let mut b = Bench::new(settings(1));
    let mut busy = [(0_u64, 0_u64, 0_u64); 2];
    for _ in 0..days * 86_400 * 20_u64 {
        let now = b.now + CYCLE;
        let mut seen = [well(now), well(now)];
        for (signals, (burst, load, loss)) in seen.iter_mut().zip(&mut busy) {
            // A burst of delay of up to half a second every minute or so; transfers that come and
            // go; a third of a percent of lost probes at times.
            *burst = if *burst > 0 {
                *burst - 1
            } else if draw(1_200) == 0 {
                draw(10)
            } else {
                0
            };
            *load = if draw(400) == 0 { draw(29) } else { *load };
            *loss = if draw(400) == 0 { draw(4) } else { *loss };
            let rate = 20 + draw(11);
            signals.rates[0] = Bitrate::from_mbps(rate);
            signals.stats = Some(stats(now, (*load).min(rate), draw(3), draw(40_000)));
            #[allow(clippy::cast_precision_loss)]
            let (loss, jitter) = (*loss as f64 / 1_000.0, draw(8) as f64);
            signals.loss = loss;
            signals.delay = if *burst > 0 { ms(90.0 + jitter) } else { ms(jitter) };
            signals.state = if *burst > 0 { State::Red } else { State::Green };
            signals.witnesses = if draw(50) == 0 { 1 } else { 3 };
        }
        b.cycle(&seen);
    }
    assert_eq!(b.turns(), []);
    // Negative control: the same bench does see a collapse.
    b.run(10.0, |now| [bloated(now), well(now)]);
    assert_eq!(b.turns(), [SteerReason::Degraded]);
    assert_eq!(Reach::default(), Reach::Unknown);
}

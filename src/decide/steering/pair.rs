//! One pair: where its marked connections go, when that changes, and what holds it back.

use super::brake::Brake;
use super::health::{Health, Reach, Signals};
use super::settings::{Alternate, MAX_ALTERNATES};
use super::{Known, Settings, Switches, Word};
use crate::types::{
    Duration, Held, Instant, MAX_WANS, Part, Score, SteerHold, SteerReason, SwitchId, Turn, Unfit, WanId,
};

/// A primary that is not perfect must have been good enough for so many times the recovery time.
const GOOD_ENOUGH: u32 = 20;

/// Each relapse makes the recovery time this many times longer, up to the longest hold of the
/// brake…
const DISTRUST: u32 = 10;

/// …and so many count.
const MOST_RELAPSES: u8 = 3;

/// A delay counts from when the packet that shows it was sent, at most so long ago.
const LONGEST_CREDIT: Duration = Duration::from_millis(500);

/// An alternate that was bad must have been good enough for so long.
const STEADY: Duration = Duration::from_secs(10);

/// Slow means that differ by fewer points are those of equally fit WANs.
const AS_FIT: f64 = 5.0;

/// A fall-back's proof that a line is up may be as old as this.
const PROOF_IS_OLD: Duration = Duration::from_secs(3);

/// What holds a switch back is told again after this time, if it still does.
const TELL_AGAIN: Duration = Duration::from_secs(60);

/// Milliseconds of detour that weigh as much as a point against an alternate.
const DETOUR_MS: f64 = 3.0;

/// A detour weighs no more than this.
const MOST_DETOUR: f64 = 25.0;

/// A RED that has faded this far is over.
const RED_IS_OVER: u8 = 30;

/// Since when something holds without a break.
#[derive(Clone, Copy, Debug, Default)]
struct Sustained(Option<Instant>);

impl Sustained {
    fn feed(&mut self, now: Instant, holds: bool) {
        self.feed_since(now, holds);
    }

    /// The same, if it must have begun at this moment.
    fn feed_since(&mut self, since: Instant, holds: bool) {
        self.0 = if holds { Some(self.0.unwrap_or(since)) } else { None };
    }

    fn lasts(self, now: Instant, span: Duration) -> bool {
        self.0.is_some_and(|since| now.since(since) >= span)
    }
}

/// One pair at work.
#[derive(Clone, Debug)]
pub struct Pair {
    settings: Settings,
    /// Health of the primary, then of the alternates.
    healths: heapless::Vec<Health, MAX_WANS>,
    /// Which alternate is in use; `None` is the primary.
    at: Option<usize>,
    /// The router was seen, or nothing is to be seen.
    is_adopted: bool,
    /// When connections last turned; `None` before the first time.
    turned: Option<Instant>,
    /// When they last came back to the primary.
    returned: Option<Instant>,
    brake: Brake,
    relapses: u8,
    quiet_since: Option<Instant>,
    bad: Sustained,
    well: Sustained,
    fair: Sustained,
    worse: Sustained,
    /// Of each alternate: since when it has been good enough to go to.
    steady: [Sustained; MAX_ALTERNATES],
    /// Of each alternate: since when it has not fallen silent.
    up: [Sustained; MAX_ALTERNATES],
    held: Option<SteerHold>,
    told: Option<(SteerHold, Instant)>,
}

impl Pair {
    /// On the primary, knowing nothing.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            healths: (0..=settings.alternates.len()).map(|_| Health::default()).take(MAX_WANS).collect(),
            at: None,
            is_adopted: settings.dry_run,
            turned: None,
            returned: None,
            brake: Brake::default(),
            relapses: 0,
            quiet_since: None,
            bad: Sustained::default(),
            well: Sustained::default(),
            fair: Sustained::default(),
            worse: Sustained::default(),
            steady: [Sustained::default(); MAX_ALTERNATES],
            up: [Sustained::default(); MAX_ALTERNATES],
            held: None,
            told: None,
            settings,
        }
    }

    /// The settings.
    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Which alternate is in use; `None` is the primary.
    #[must_use]
    pub const fn at(&self) -> Option<usize> {
        self.at
    }

    /// The WAN in use.
    #[must_use]
    pub fn wan(&self) -> WanId {
        self.wan_at(self.at)
    }

    /// Why the last wish for a switch is held back, if one is.
    #[must_use]
    pub const fn held(&self) -> Option<SteerHold> {
        self.held
    }

    /// Scores of the primary and of each alternate, with their WANs.
    pub fn scores(&self) -> impl Iterator<Item = (WanId, &Score)> {
        let wans = core::iter::once(self.settings.primary).chain(self.settings.alternates.iter().map(|a| a.wan));
        wans.zip(self.healths.iter().map(Health::score))
    }

    /// Whether a switch shall be on; `None` as long as it is to be left as it is: the router was
    /// not seen yet, or this is a dry run, or it is another pair's.
    #[must_use]
    pub fn wants(&self, switch: SwitchId) -> Option<bool> {
        let place = self.settings.alternates.iter().position(|a| a.switch == switch)?;
        (self.is_adopted && !self.settings.dry_run).then_some(self.at == Some(place))
    }

    /// What is worth keeping over a restart.
    #[must_use]
    pub fn learnt(&self) -> Known {
        let (brake_until, brake_level) = self.brake.learnt();
        Known {
            at: self.at.map(|i| self.settings.alternates[i].wan),
            turned: self.turned,
            returned: self.returned,
            relapses: self.relapses,
            brake_until,
            brake_level,
            toggles: self.brake.toggles().collect(),
        }
    }

    /// Takes over what an earlier run has kept. Where connections go is what the router shows;
    /// only a dry run has nothing but its memory.
    pub fn restore(&mut self, now: Instant, known: &Known) {
        self.turned = known.turned;
        self.returned = known.returned;
        self.relapses = known.relapses.min(MOST_RELAPSES);
        self.brake.restore(now, known.brake_until, known.brake_level, &known.toggles);
        if self.settings.dry_run {
            self.at = known.at.and_then(|wan| self.settings.alternates.iter().position(|a| a.wan == wan));
        }
    }

    fn wan_at(&self, at: Option<usize>) -> WanId {
        at.and_then(|i| self.settings.alternates.get(i)).map_or(self.settings.primary, |a| a.wan)
    }

    fn health(&self, at: Option<usize>) -> &Health {
        &self.healths[at.map_or(0, |i| i + 1)]
    }

    fn total(&self, at: Option<usize>) -> u8 {
        self.health(at).score().total()
    }

    /// One cycle; `seen` by number of the WAN.
    pub fn decide(&mut self, now: Instant, seen: &[Signals], switches: Switches<'_>) -> Option<Word> {
        for i in 0..self.healths.len() {
            let at = i.checked_sub(1);
            if let Some(signals) = seen.get(self.wan_at(at).index()) {
                self.healths[i].assess(now, signals, &self.settings);
            }
        }
        self.keep_time(now, seen);
        if !self.settings.dry_run
            && let Some(word) = self.follow_router(now, switches)
        {
            return word;
        }
        if !self.is_adopted {
            return None;
        }
        self.brake.rest(now, &self.settings);
        match self.at {
            None => self.on_primary(now, seen, switches),
            Some(alternate) => self.on_alternate(now, alternate, seen, switches),
        }
    }

    /// Since when what holds.
    fn keep_time(&mut self, now: Instant, seen: &[Signals]) {
        let (primary, own) = (self.total(None), self.total(self.at));
        let up = self.health(None).reach() == Reach::Up;
        let Settings { steer_at, return_at, margin, .. } = self.settings;
        let red = self.health(None).score().part(Part::State) > RED_IS_OVER;
        // What shows a delay was sent before it.
        let under_way = seen.get(self.wan().index()).map_or(Duration::ZERO, |s| s.delay.to_duration());
        self.bad.feed_since(now - under_way.min(LONGEST_CREDIT), own >= steer_at);
        self.well.feed(now, up && primary <= return_at);
        let is_fair = |points: u8| u16::from(points) * 2 <= u16::from(steer_at) + u16::from(return_at);
        self.fair.feed(now, up && !red && is_fair(primary));
        for ((steady, up), health) in self.steady.iter_mut().zip(&mut self.up).zip(self.healths.iter().skip(1)) {
            up.feed(now, matches!(health.reach(), Reach::Up | Reach::Unmeasured));
            steady.feed(now, health.reach() == Reach::Up && is_fair(health.score().total()));
        }
        self.worse.feed(now, up && primary < steer_at && primary.saturating_add(margin) <= own && self.at.is_some());
        self.quiet_since = self.well.0.map(|since| self.quiet_since.map_or(since, |quiet| quiet.max(since)));
        if self.relapses > 0 && self.quiet_since.is_some_and(|since| now.since(since) >= self.settings.brake_window) {
            self.relapses -= 1;
            self.quiet_since = Some(now);
        }
    }

    /// What is found on the router at first, and what a person or a script does later, is not
    /// ours to undo. `Some` ends the cycle.
    fn follow_router(&mut self, now: Instant, switches: Switches<'_>) -> Option<Option<Word>> {
        let mut states = self.settings.alternates.iter().map(|a| switches(a.switch));
        let respected = states.clone().filter_map(|s| s.respected_until).filter(|until| *until > now).max();
        let is_seen = states.clone().all(|s| s.observed.is_some() || s.refused);
        let found = states.position(|s| s.observed == Some(true) && !s.refused);
        if let Some(until) = respected {
            self.is_adopted |= is_seen;
            if is_seen && found != self.at {
                return Some(Some(self.turn(now, found, SteerReason::ByHand)));
            }
            return Some(self.hold(now, SteerHold::ByHand(until.since(now))));
        }
        if !self.is_adopted && is_seen {
            self.is_adopted = true;
            if found.is_some() {
                // The moment it turned is only known if it was kept.
                let turned = self.turned;
                let word = self.turn(now, found, SteerReason::Found);
                self.turned = turned.or(self.turned);
                return Some(Some(word));
            }
        }
        None
    }

    fn on_primary(&mut self, now: Instant, seen: &[Signals], switches: Switches<'_>) -> Option<Word> {
        if self.health(None).reach() == Reach::Lost {
            let alive = (0..self.settings.alternates.len()).find(|i| self.is_alive(now, *i, seen, switches));
            return match alive {
                Some(alternate) => Some(self.turn(now, Some(alternate), SteerReason::Lost)),
                None => self.hold(now, SteerHold::NoFitAlternate(Unfit::Lost)),
            };
        }
        if !self.bad.lasts(now, self.sustain(None)) {
            self.held = if self.bad.0.is_some() { self.held } else { None };
            return None;
        }
        match self.first_fit(now, seen, switches) {
            Ok(alternate) => self.turn_if_free(now, Some(alternate), SteerReason::Degraded),
            Err(why) => self.hold(now, SteerHold::NoFitAlternate(why)),
        }
    }

    fn on_alternate(&mut self, now: Instant, own: usize, seen: &[Signals], switches: Switches<'_>) -> Option<Word> {
        let refused = switches(self.settings.alternates[own].switch).refused && !self.settings.dry_run;
        if refused || self.health(Some(own)).reach() == Reach::Lost {
            let why = if refused { SteerReason::Refused } else { SteerReason::Lost };
            if let Some(to) = self.refuge(now, own, seen, switches) {
                return Some(self.turn(now, to, why));
            }
            return self.hold(now, SteerHold::NoFitAlternate(Unfit::Lost));
        }
        let distrust = self.settings.recover_sustain * DISTRUST.pow(u32::from(self.relapses));
        let recover = distrust.min(self.settings.brake_longest.max(self.settings.recover_sustain));
        if self.worse.lasts(now, self.settings.degrade_sustain) {
            return self.turn_if_free(now, None, SteerReason::AlternateWorse);
        }
        if self.well.lasts(now, recover) {
            return self.turn_if_free(now, None, SteerReason::Recovered);
        }
        if self.fair.lasts(now, recover * GOOD_ENOUGH) {
            return self.turn_if_free(now, None, SteerReason::GoodEnough);
        }
        // The alternate is bad, and so is the primary: perhaps the next alternate is better.
        if self.bad.lasts(now, self.sustain(Some(own)))
            && self.total(None) >= self.settings.steer_at
            && let Ok(other) = self.first_fit(now, seen, switches)
        {
            return self.turn_if_free(now, Some(other), SteerReason::Degraded);
        }
        self.held = None;
        None
    }

    /// Where to go from an alternate that is gone: the primary, unless it is bad and another
    /// alternate is fit; `None` when everything is lost.
    fn refuge(&self, now: Instant, own: usize, seen: &[Signals], switches: Switches<'_>) -> Option<Option<usize>> {
        let lost = matches!(self.health(None).reach(), Reach::Lost | Reach::Unknown);
        let others = || (0..self.settings.alternates.len()).filter(|i| *i != own);
        if lost {
            return others().find(|i| self.is_alive(now, *i, seen, switches)).map(Some);
        }
        let bad = self.total(None) >= self.settings.steer_at;
        let fit = others().find(|i| self.fitness(now, *i, seen, switches).is_ok());
        Some(fit.filter(|_| bad))
    }

    /// How long the WAN in use must be bad: the longer, the less is known of it.
    fn sustain(&self, at: Option<usize>) -> Duration {
        let doubt = 100 - u32::from(self.health(at).score().confidence().min(100));
        self.settings.degrade_sustain * (100 + doubt) / 100
    }

    /// Whether the WAN in use is silent, for too short a time to say.
    #[must_use]
    pub fn is_doubtful(&self) -> bool {
        self.health(self.at).reach() == Reach::Doubtful
    }

    /// Something comes through it, as far as is known *after* the WAN in use fell silent, and it can
    /// be switched to. When all lines fall silent at once it is the router, or our own cable; then
    /// the one that answers first again must go on for a while.
    fn is_alive(&self, now: Instant, alternate: usize, seen: &[Signals], switches: Switches<'_>) -> bool {
        let Alternate { wan, switch } = self.settings.alternates[alternate];
        let usable = self.settings.dry_run || !switches(switch).refused;
        let silence = seen.get(self.wan().index()).map_or(Duration::ZERO, |s| s.age);
        let is_news = seen.get(wan.index()).is_some_and(|s| s.age + s.baseline.to_duration() < silence);
        usable
            && self.up[alternate].lasts(now, silence.min(self.settings.degrade_sustain))
            && match self.health(Some(alternate)).reach() {
                Reach::Up => is_news,
                Reach::Unmeasured => silence >= PROOF_IS_OLD,
                Reach::Unknown | Reach::Doubtful | Reach::Lost => false,
            }
    }

    fn first_fit(&self, now: Instant, seen: &[Signals], switches: Switches<'_>) -> Result<usize, Unfit> {
        let mut first = None;
        for alternate in (0..self.settings.alternates.len()).filter(|i| self.at != Some(*i)) {
            match self.fitness(now, alternate, seen, switches) {
                Ok(()) => return Ok(alternate),
                Err(why) => drop(first.get_or_insert(why)),
            }
        }
        Err(first.unwrap_or(Unfit::Unmeasured))
    }

    /// Whether a WAN in use that is bad may be left for this alternate.
    fn fitness(&self, now: Instant, alternate: usize, seen: &[Signals], switches: Switches<'_>) -> Result<(), Unfit> {
        let Alternate { wan, switch } = self.settings.alternates[alternate];
        let Some(signals) = seen.get(wan.index()) else { return Err(Unfit::Unmeasured) };
        let primary = seen.get(self.settings.primary.index()).map_or(0.0, |p| p.baseline.get());
        let detour = ((signals.baseline.get() - primary) / DETOUR_MS).clamp(0.0, MOST_DETOUR);
        let (own, its) = (f64::from(self.total(self.at)), f64::from(self.total(Some(alternate))));
        let share = |i: usize| {
            let rate = signals.rates[i].as_f64();
            let carried = signals.stats.and_then(|s| s.achieved[i]).map_or(0.0, |a| a.as_f64());
            // CAKE gives a new connection its fair share even if the rate is used up.
            (rate - carried).max(rate / 4.0)
        };
        match self.health(Some(alternate)).reach() {
            _ if switches(switch).refused && !self.settings.dry_run => Err(Unfit::Refused),
            Reach::Lost => Err(Unfit::Lost),
            Reach::Unknown | Reach::Unmeasured | Reach::Doubtful => Err(Unfit::Unmeasured),
            Reach::Up if !self.steady[alternate].lasts(now, STEADY) => Err(Unfit::Bad),
            Reach::Up if share(0).min(share(1)) < self.settings.headroom.as_f64() => Err(Unfit::NoHeadroom),
            Reach::Up if its + detour + f64::from(self.settings.margin) > own => Err(Unfit::NotBetter),
            Reach::Up => Ok(()),
        }
    }

    /// A switch that no lost WAN calls for: held back by hold-down and brake.
    fn turn_if_free(&mut self, now: Instant, to: Option<usize>, why: SteerReason) -> Option<Word> {
        // That the alternate has become the worse one is news; the hold-down is about old ones.
        if let Some(turned) = self.turned.filter(|_| why != SteerReason::AlternateWorse) {
            let passed = now.since(turned);
            if passed < self.settings.hold_down {
                return self.hold(now, SteerHold::HoldDown(self.settings.hold_down - passed));
            }
        }
        let to_fitter = self.health(to).mean() < self.health(self.at).mean() + AS_FIT;
        if self.brake.admits(now, &self.settings, to_fitter) {
            return Some(self.turn(now, to, why));
        }
        let left = self.brake.left(now).unwrap_or_default();
        self.hold(now, SteerHold::Brake(left))
    }

    fn turn(&mut self, now: Instant, to: Option<usize>, why: SteerReason) -> Word {
        let turn = Turn {
            from: self.wan(),
            to: self.wan_at(to),
            why,
            scores: [*self.health(self.at).score(), *self.health(to).score()],
        };
        let relapsed = self.returned.is_some_and(|at| now.since(at) < self.settings.brake_window);
        if self.at.is_none() && relapsed {
            self.relapses = (self.relapses + 1).min(MOST_RELAPSES);
        }
        if to.is_none() {
            self.returned = Some(now);
        }
        self.at = to;
        self.turned = Some(now);
        self.brake.toggled(now);
        (self.bad, self.worse) = (Sustained::default(), Sustained::default());
        (self.held, self.told) = (None, None);
        Word::Turn(turn)
    }

    /// Told when the cause is a new one, and from time to time.
    fn hold(&mut self, now: Instant, hold: SteerHold) -> Option<Word> {
        self.held = Some(hold);
        if self.told.is_some_and(|(told, at)| told.is_like(hold) && now.since(at) < TELL_AGAIN) {
            return None;
        }
        self.told = Some((hold, now));
        Some(Word::Held(Held { wan: self.wan(), hold, score: *self.health(self.at).score() }))
    }
}

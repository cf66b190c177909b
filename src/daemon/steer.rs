//! Steering in the loop: signals of every WAN to decide, what it says to people, and which switch
//! shall be on to actuate.

use super::store::{SteerRecord, SteerRecords};
use super::{Daemon, Wan};
use crate::actuate::Actuator;
use crate::config::Config;
use crate::decide::steering::{Known, MAX_PAIRS, Pair, Signals, Word};
use crate::measure::{MAX_CANDIDATES, Measure, Trace, compare};
use crate::types::{
    Duration, EventKind, FIRST_TCP, Instant, LinkStats, MAX_SWITCHES, MAX_WANS, Millis, Sample, Signal, State,
    SwitchId, SwitchState, Text, Verdict, WanId, Ways,
};
use wanctl_hal::{Board, Clock};

/// Below this delay, in milliseconds, every reflector that answers is a witness of it.
const NO_DELAY_MS: f64 = 15.0;

/// All pairs of the configuration.
#[derive(Debug)]
pub struct Steering {
    pairs: heapless::Vec<Pair, MAX_PAIRS>,
    names: heapless::Vec<Text<32>, MAX_PAIRS>,
    /// Of each switch: what the way of its WAN has to do with that of the primary.
    ways: [Ways; MAX_SWITCHES],
    /// Of each switch: the two are one line, as far as is known, and are not trusted to be two.
    one_line: [bool; MAX_SWITCHES],
    /// What is remembered has changed since it was last saved.
    is_new: bool,
}

impl Steering {
    /// The pairs of a configuration, with what an earlier run remembers of them.
    #[must_use]
    pub fn new(config: &Config, clock: Clock, records: &SteerRecords) -> Self {
        let mut steering = Self {
            pairs: heapless::Vec::new(),
            names: heapless::Vec::new(),
            ways: [Ways::Unknown; MAX_SWITCHES],
            one_line: [false; MAX_SWITCHES],
            is_new: false,
        };
        for its in config.steering.iter().take(MAX_PAIRS) {
            let mut pair = Pair::new(its.settings.clone());
            if let Some(record) = records.iter().find(|r| r.name == its.name) {
                pair.restore(clock.now, &known(record, config, clock));
            }
            let _ = steering.pairs.push(pair);
            let _ = steering.names.push(its.name.clone());
        }
        steering
    }

    /// The pairs of a configuration that takes the place of another: those that stay as they are go on in
    /// the middle of whatever they are at, the others keep what is worth keeping.
    #[must_use]
    pub fn reloaded(&self, old: &Config, new: &Config, clock: Clock) -> Self {
        let mut next = Self::new(new, clock, &self.records(old, clock));
        let names = |config: &Config| config.wans.iter().map(|wan| wan.name.clone()).collect::<Vec<_>>();
        if names(old) == names(new) {
            for (name, pair) in next.names.iter().zip(&mut next.pairs) {
                let known = self.names.iter().zip(&self.pairs).find(|(known, _)| *known == name);
                if let Some((_, known)) = known.filter(|(_, known)| known.settings() == pair.settings()) {
                    pair.clone_from(known);
                }
            }
        }
        next
    }

    /// The pairs, each with its name.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &Pair)> {
        self.names.iter().map(|name| name.as_str()).zip(&self.pairs)
    }

    /// What is worth keeping.
    #[must_use]
    pub fn records(&self, config: &Config, clock: Clock) -> SteerRecords {
        self.names.iter().zip(&self.pairs).map(|(name, pair)| record(name, pair, config, clock)).collect()
    }

    /// Whether a switch is wanted on.
    #[must_use]
    pub fn is_wanted(&self, switch: SwitchId) -> bool {
        self.pairs.iter().any(|pair| pair.wants(switch) == Some(true))
    }

    /// What may be known of a switch: nothing that could be turned, if its WAN and the primary are one line. Two
    /// measurements of one line say nothing about another.
    pub(super) fn switch_state(&self, actuator: &Actuator, switch: SwitchId, now: Instant) -> SwitchState {
        if self.one_line.get(switch.index()) == Some(&true) {
            return SwitchState { refused: true, ..SwitchState::default() };
        }
        actuator.switch_state(switch, now)
    }

    /// Whether there is something new to save; asked once.
    pub(super) fn take_news(&mut self) -> bool {
        core::mem::take(&mut self.is_new)
    }

    /// Whether marked connections use a WAN now, or belong there, or may have to go there at once.
    fn relies_on(&self, wan: WanId) -> bool {
        let is_refuge = |pair: &Pair| pair.is_doubtful() && pair.settings().alternates.iter().any(|a| a.wan == wan);
        self.pairs.iter().any(|pair| pair.wan() == wan || pair.settings().primary == wan || is_refuge(pair))
    }
}

impl<B: Board> Daemon<B> {
    /// One cycle of steering: nothing to do without a pair.
    pub(super) fn steer(&mut self, clock: Clock) {
        if self.steering.pairs.is_empty() {
            return;
        }
        let now = clock.now;
        let mut seen: heapless::Vec<Signals, MAX_WANS> = heapless::Vec::new();
        for (wan, its) in self.wans.iter_mut().zip(&self.config.wans) {
            wan.is_watched = self.steering.relies_on(wan.id);
            let ceilings = its.ranges.map(|range| range.ceiling());
            let _ = seen.push(signals(now, wan, self.actuator.statistics(wan.id).copied(), ceilings));
        }
        self.compare_ways(now);
        for i in 0..self.steering.pairs.len() {
            // What a switch is like is asked for while its pair decides: that is another part of the same.
            let mut states = [SwitchState::default(); MAX_SWITCHES];
            for alternate in &self.steering.pairs[i].settings().alternates {
                if let Some(state) = states.get_mut(alternate.switch.index()) {
                    *state = self.steering.switch_state(&self.actuator, alternate.switch, now);
                }
            }
            let pair = &mut self.steering.pairs[i];
            let dry_run = pair.settings().dry_run;
            let word = pair.decide(now, &seen, &|switch| states.get(switch.index()).copied().unwrap_or_default());
            for alternate in pair.settings().alternates.iter().map(|alternate| alternate.switch) {
                if let Some(on) = pair.wants(alternate) {
                    self.actuator.want_switch(alternate, on);
                }
            }
            match word {
                Some(Word::Turn(turn)) => {
                    self.steering.is_new = true;
                    self.tell(now, EventKind::Steer { turn, dry_run });
                }
                Some(Word::Held(held)) => self.tell(now, EventKind::SteerHeld { held, dry_run }),
                None => {}
            }
        }
        if self.steering.is_new {
            let records = self.steering.records(&self.config, clock);
            self.store.set_steering(records);
        }
    }
}

/// Has every WAN's way looked at, toward the same host, when there is steering.
pub(super) fn trace(wans: &mut [Wan], config: &Config, now: Instant) {
    let target = config.wans.iter().find_map(|wan| wan.measure.reflectors.first().copied());
    for wan in wans {
        wan.trace = target.filter(|_| !config.steering.is_empty()).map(|to| Trace::new(to, now));
    }
}

impl<B: Board> Daemon<B> {
    /// Whether the WANs of each pair are really two lines, as far as that is known by now.
    fn compare_ways(&mut self, now: Instant) {
        for i in 0..self.steering.pairs.len() {
            let settings = self.steering.pairs[i].settings();
            let primary = settings.primary;
            let trusted = self.config.steering.get(i).is_some_and(|its| its.trusts_pinning);
            for alternate in settings.alternates.clone() {
                let path = |id: WanId| Some(self.wans.get(id.index())?.trace.as_ref()?.path());
                let ways = path(primary).zip(path(alternate.wan)).map_or(Ways::Unknown, |(a, b)| compare(a, b));
                let Some(known) = self.steering.ways.get_mut(alternate.switch.index()) else { continue };
                self.steering.one_line[alternate.switch.index()] = !trusted && matches!(ways, Ways::Same(_));
                if core::mem::replace(known, ways) != ways {
                    self.tell(now, EventKind::Ways { primary, alternate: alternate.wan, ways, trusted });
                }
            }
        }
    }
}

/// What decide may look at.
fn signals(now: Instant, wan: &Wan, stats: Option<LinkStats>, ceilings: [crate::types::Bitrate; 2]) -> Signals {
    let settings = wan.measure.settings();
    let nothing = Signals {
        quality: Signal::WarmingUp,
        age: Duration::ZERO,
        baseline: Millis::ZERO,
        delay: Millis::ZERO,
        witnesses: 0,
        reflectors: 0,
        state: State::Green,
        loss: 0.0,
        has_fallback: settings.gateway.is_some() || !settings.tcp_targets.is_empty(),
        stats: None,
        rates: ceilings,
        ceilings,
    };
    let Some((sample, verdict)) = &wan.last else { return nothing };
    let (loss, reflectors) = loss(&wan.measure);
    Signals {
        quality: sample.signal,
        age: sample.age.max(now.since(sample.at)),
        baseline: verdict.baseline,
        delay: verdict.delay(),
        witnesses: witnesses(sample, verdict),
        reflectors,
        state: verdict.download.state.max(verdict.upload.state),
        loss,
        stats,
        rates: [verdict.download.rate.rate(), verdict.upload.rate.rate()],
        ..nothing
    }
}

/// How many reflectors show the delay, each for itself: at least half of it above the baseline.
fn witnesses(sample: &Sample, verdict: &Verdict) -> u8 {
    let delay = verdict.delay().get();
    let least = if delay < NO_DELAY_MS { 0.0 } else { verdict.baseline.get() + delay / 2.0 };
    // A TCP connect takes another path through hosts: its time is no witness of a delay.
    let echoes = sample.per_reflector.iter().zip(sample.candidates).filter(|(_, candidate)| *candidate < FIRST_TCP);
    let count = echoes.filter(|(rtt, _)| rtt.is_some_and(|rtt| rtt.get() >= least)).count();
    u8::try_from(count).unwrap_or(u8::MAX)
}

/// The loss of the middle one of the active reflectors (of two, the lower one: the other may be
/// bad by itself), and how many there are.
fn loss(measure: &Measure) -> (f64, u8) {
    let active = measure.reflectors().filter(|(.., is_active)| *is_active);
    let mut losses: heapless::Vec<f64, MAX_CANDIDATES> = active.map(|(_, score, _)| 1.0 - score).collect();
    losses.sort_unstable_by(f64::total_cmp);
    let middle = losses.len().saturating_sub(1) / 2;
    (losses.get(middle).copied().unwrap_or(0.0), u8::try_from(losses.len()).unwrap_or(u8::MAX))
}

/// Monotonic times as those of the wall clock, which go on while nobody runs.
fn record(name: &Text<32>, pair: &Pair, config: &Config, clock: Clock) -> SteerRecord {
    let known = pair.learnt();
    let wall = clock.wall.unix_seconds();
    let ago = |at: Instant| clock.now.since(at).as_secs();
    let past = |at: Option<Instant>| at.map(|at| wall.saturating_sub(ago(at)));
    SteerRecord {
        name: name.clone(),
        at: known.at.and_then(|wan| config.wans.get(wan.index())).map(|wan| wan.name.clone()),
        turned: past(known.turned),
        returned: past(known.returned),
        relapses: known.relapses,
        until: known.brake_until.map(|until| wall.saturating_add(until.since(clock.now).as_secs())),
        level: known.brake_level,
        ago: known.toggles.iter().map(|at| u32::try_from(ago(*at)).unwrap_or(u32::MAX)).collect(),
        now: wall,
    }
}

/// And back. A clock that has been set back makes everything just past: the careful reading.
fn known(record: &SteerRecord, config: &Config, clock: Clock) -> Known {
    let wall = clock.wall.unix_seconds();
    let away = wall.saturating_sub(record.now);
    let past = |at: u64| clock.now - Duration::from_secs(wall.saturating_sub(at));
    let wan = |name: &Text<64>| config.wans.iter().position(|wan| wan.name == *name).and_then(WanId::new);
    Known {
        at: record.at.as_ref().and_then(wan),
        turned: record.turned.map(past),
        returned: record.returned.map(past),
        relapses: record.relapses,
        brake_until: record.until.map(|until| {
            let longest = config.steering.iter().map(|s| s.settings.brake_longest).max().unwrap_or_default();
            clock.now + Duration::from_secs(until.saturating_sub(wall)).min(longest)
        }),
        brake_level: record.level,
        toggles: record.ago.iter().map(|ago| past(wall.saturating_sub(away + u64::from(*ago)))).collect(),
    }
}

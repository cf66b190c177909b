//! One queue on the router: who it serves, what it has, what it shall have.

use super::{Exit, Settings};
use crate::types::{
    Bitrate, Controlled, Direction, Duration, EventKind, Instant, Intent, Limit, Menu, Name, QueueCounters, QueueFault,
    QueueId, QueueRow, Verbatim, WanId,
};

/// Two repairs within this time, and no boot between them, are somebody else's doing.
const CONTEST_WITHIN: Duration = Duration::from_secs(60);

/// How long a contested limit is left alone at first; it doubles up to [`LONGEST_HOLD`].
const FIRST_HOLD: Duration = Duration::from_secs(60);

/// See [`FIRST_HOLD`].
const LONGEST_HOLD: Duration = Duration::from_secs(960);

/// Without a repair for this long, peace is believed in again.
const PEACE: Duration = Duration::from_secs(3600);

/// Pause after the router refused a change; it doubles up to [`LONGEST_REFUSAL`].
const FIRST_REFUSAL: Duration = Duration::from_millis(250);

/// See [`FIRST_REFUSAL`].
const LONGEST_REFUSAL: Duration = Duration::from_secs(4);

/// A rise too small to be worth a write is made all the same when nothing was written for this
/// long, so that the router ends up with exactly what is wanted.
const SMALL_RISE_AFTER: Duration = Duration::from_secs(10);

/// A queue by its exact name, and what it carries. A queue of the tree carries one direction of
/// one WAN, a simple queue both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueSpec {
    /// Its menu.
    pub menu: Menu,
    /// Its exact name.
    pub name: Name,
    /// The WAN whose download and upload it carries.
    pub serves: [Option<WanId>; 2],
    /// The rates it is left with when the write budget is used up.
    pub safe: [Option<Controlled>; 2],
}

impl QueueSpec {
    /// Whether it carries this direction of `wan`.
    #[must_use]
    pub fn serves(&self, wan: WanId, direction: Direction) -> bool {
        self.serves[direction.index()] == Some(wan)
    }

    /// The WANs it carries.
    pub fn wans(&self) -> impl Iterator<Item = WanId> {
        self.serves.into_iter().flatten()
    }
}

/// What is left to do before the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Farewell {
    /// Nothing.
    Done,
    /// The queue must be looked up again first.
    Look(Menu),
    /// This request.
    Set(Intent),
}

/// What a list has shown of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing to repair.
    AsLeft,
    /// Another limit than ours: to be repaired.
    Changed,
    /// Another limit than ours, again: to be left alone for a while.
    Contested,
}

/// Why a write is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Urgency {
    /// The router lets more through than it shall.
    Cut,
    /// The router lets less through than it may.
    Rise,
}

/// What the router was seen to have.
#[derive(Clone, Debug)]
pub(super) struct Observed {
    pub(super) max_limit: Verbatim,
    pub(super) limits: [Bitrate; 2],
}

/// Bytes that stand still for longer than this are no traffic: no router counts in longer steps.
const STANDSTILL: Duration = Duration::from_millis(1200);

/// Counters at one moment, and the statistics since the moment before.
#[derive(Clone, Copy, Debug, Default)]
struct Reading {
    at: Instant,
    counters: [QueueCounters; 2],
    /// When the bytes last moved, as far as was seen.
    moved: [Instant; 2],
    statistics: [Option<Statistics>; 2],
}

/// Statistics of one direction between two readings.
#[derive(Clone, Copy, Debug)]
pub(super) struct Statistics {
    pub(super) since: Instant,
    pub(super) achieved: Option<Bitrate>,
    pub(super) dropped: u64,
    pub(super) queued_bytes: u64,
}

/// One queue.
#[derive(Clone, Debug)]
pub(super) struct Queue {
    pub(super) spec: QueueSpec,
    pub(super) wanted: [Option<Controlled>; 2],
    pub(super) observed: Option<Observed>,
    pub(super) original: Option<Verbatim>,
    pub(super) journalled: bool,
    pub(super) fault: Option<QueueFault>,
    pub(super) last_write: Instant,
    id: Option<QueueId>,
    ours: Option<Observed>,
    /// No WAN of the present configuration uses it: it gets its original back.
    pub(super) retired: bool,
    /// A write was sent whose outcome is not known: nothing is believed before the next list.
    unsure: bool,
    /// What that write was to set, as a list shows it: found there, it is ours.
    attempted: Option<[Bitrate; 2]>,
    repaired_at: Option<Instant>,
    hold: Duration,
    refusal: Duration,
    hold_until: Instant,
    staged: Option<QueueRow>,
    matches: u8,
    reading: Option<Reading>,
}

impl Queue {
    pub(super) fn new(spec: QueueSpec) -> Self {
        Self {
            spec,
            wanted: [None; 2],
            observed: None,
            original: None,
            journalled: false,
            fault: None,
            last_write: Instant::ZERO,
            id: None,
            ours: None,
            retired: false,
            unsure: false,
            attempted: None,
            repaired_at: None,
            hold: FIRST_HOLD,
            refusal: FIRST_REFUSAL,
            hold_until: Instant::ZERO,
            staged: None,
            matches: 0,
            reading: None,
        }
    }

    pub(super) fn is_same_object(&self, spec: &QueueSpec) -> bool {
        self.spec.menu == spec.menu && self.spec.name == spec.name
    }

    pub(super) fn has_id(&self, id: &QueueId) -> bool {
        self.id.as_ref() == Some(id)
    }

    /// Exact comparison here: the router's own filters lie about names with special characters.
    pub(super) fn is_row(&self, row: &QueueRow) -> bool {
        self.spec.menu == row.menu && self.spec.name == row.name
    }

    /// Keeps a row until its list is complete; a list may have several of one name.
    pub(super) fn stage(&mut self, row: QueueRow) {
        self.matches = self.matches.saturating_add(1);
        self.staged = Some(row);
    }

    /// The list broke off: its rows prove nothing.
    pub(super) fn unstage(&mut self) {
        self.staged = None;
        self.matches = 0;
    }

    /// The router may have given everything a new id and other limits.
    pub(super) fn forget(&mut self) {
        self.id = None;
        self.observed = None;
        self.reading = None;
    }

    /// The list is complete: what it shows.
    pub(super) fn listed(&mut self, at: Instant, mut tell: impl FnMut(EventKind)) -> Found {
        let row = self.staged.take();
        let fault = match (&row, core::mem::take(&mut self.matches)) {
            (None, _) | (_, 0) => Some(QueueFault::Missing),
            (_, 2..) => Some(QueueFault::Ambiguous),
            (Some(row), _) if row.disabled => Some(QueueFault::Disabled),
            (Some(row), _) if row.dynamic => Some(QueueFault::Dynamic),
            (Some(row), _) if row.invalid => Some(QueueFault::Invalid),
            _ => None,
        };
        if fault != self.fault {
            self.fault = fault;
            if let Some(why) = fault {
                self.each_direction(|wan, direction| tell(EventKind::QueueUnusable { wan, direction, why }));
            }
        }
        let Some(row) = row.filter(|_| fault.is_none()) else {
            self.forget();
            return Found::AsLeft;
        };
        let mut found = Found::AsLeft;
        if self.unsure && self.attempted == Some(row.limits) {
            // The answer was lost, the write was not.
            self.ours = Some(Observed { max_limit: row.max_limit.clone(), limits: row.limits });
        } else if self.ours.as_ref().is_some_and(|ours| ours.limits != row.limits) {
            found = self.judge_change(at, &mut tell);
            self.ours = None; // told once; writing it back makes it ours again
            self.each_direction(|wan, direction| {
                tell(EventKind::Repaired { wan, direction, found: row.limits[direction.index()] });
            });
        }
        self.read(at, row.counters);
        // Of a list, never of the answer to a change: that shows what we have set.
        self.original.get_or_insert_with(|| row.max_limit.clone());
        self.adopt(row);
        found
    }

    /// Somebody or something has changed our limit. After a boot (the id is not known then) that
    /// is nobody's will.
    fn judge_change(&mut self, at: Instant, tell: &mut impl FnMut(EventKind)) -> Found {
        let booted = self.id.is_none();
        let before = if booted { None } else { self.repaired_at.replace(at) };
        let since = before.map(|b| at.since(b));
        if since.is_none_or(|s| s >= PEACE) {
            self.hold = FIRST_HOLD;
        }
        if since.is_none_or(|s| s >= CONTEST_WITHIN) {
            return Found::Changed;
        }
        let hold = self.hold;
        self.hold_until = at + hold;
        self.repaired_at = Some(self.hold_until); // that is when it is put right
        self.hold = (hold * 2).min(LONGEST_HOLD);
        self.each_direction(|wan, direction| tell(EventKind::Contested { wan, direction, hold }));
        Found::Contested
    }

    /// The router has confirmed a change with the object as it is now.
    pub(super) fn written(&mut self, at: Instant, limit: &Limit, mut tell: impl FnMut(EventKind)) {
        let Some(row) = self.staged.take() else { return };
        self.matches = 0;
        self.last_write = at;
        self.refusal = FIRST_REFUSAL;
        let limits = row.limits;
        let max_limit = row.max_limit.clone();
        self.adopt(row);
        if let Limit::Controlled { .. } = limit {
            self.ours = Some(Observed { max_limit, limits });
            self.each_direction(|wan, direction| {
                tell(EventKind::Confirmed { wan, direction, rate: limits[direction.index()] });
            });
        }
    }

    fn adopt(&mut self, row: QueueRow) {
        self.unsure = false;
        self.id = Some(row.id);
        self.observed = Some(Observed { max_limit: row.max_limit, limits: row.limits });
    }

    /// Statistics come from lists alone, so that their interval is that of the lists.
    fn read(&mut self, at: Instant, counters: [QueueCounters; 2]) {
        let Some(previous) = self.reading else {
            self.reading = Some(Reading { at, counters, moved: [at; 2], statistics: [None; 2] });
            return;
        };
        let mut moved = previous.moved;
        let statistics = [0, 1].map(|i| {
            let (new, old) = (counters[i], previous.counters[i]);
            let dropped = new.dropped.saturating_sub(old.dropped);
            if new.bytes == old.bytes && at.since(moved[i]) < STANDSTILL {
                // Some routers count in steps: the rate of the last step stands until the next one. Before the first one
                // nothing has passed, as far as anybody knows.
                let last = previous.statistics[i].map(|last| (last.since, last.achieved));
                let (since, achieved) = last.unwrap_or((moved[i], Some(Bitrate::ZERO)));
                return Some(Statistics { since, achieved, dropped, queued_bytes: new.queued_bytes });
            }
            let since = if new.bytes == old.bytes { previous.at } else { core::mem::replace(&mut moved[i], at) };
            // Counters that go backwards are a reset, not a rate.
            let achieved = new.bytes.checked_sub(old.bytes).map(|bytes| Bitrate::of(bytes, at.since(since)));
            Some(Statistics { since, achieved, dropped, queued_bytes: new.queued_bytes })
        });
        self.reading = Some(Reading { at, counters, moved, statistics });
    }

    pub(super) fn statistics(&self, direction: Direction) -> Option<Statistics> {
        self.reading?.statistics[direction.index()]
    }

    pub(super) fn bytes(&self, direction: Direction) -> Option<u64> {
        Some(self.reading?.counters[direction.index()].bytes)
    }

    fn each_direction(&self, mut tell: impl FnMut(WanId, Direction)) {
        for direction in Direction::BOTH {
            if let Some(wan) = self.spec.serves[direction.index()] {
                tell(wan, direction);
            }
        }
    }

    /// Whether the wanted limit is worth a write now. A limit of zero is unlimited: more than
    /// anything wanted.
    pub(super) fn urgency(&self, now: Instant, settings: &Settings, rise_spacing: Duration) -> Option<Urgency> {
        let observed = self.observed.as_ref().filter(|_| !self.unsure && self.hold_until <= now)?;
        let mut urgency = None;
        for direction in Direction::BOTH {
            let Some(wanted) = self.wanted[direction.index()].map(Controlled::rate) else { continue };
            let has = observed.limits[direction.index()];
            if wanted == has {
            } else if has == Bitrate::ZERO || wanted < has {
                return Some(Urgency::Cut);
            } else {
                let step = has.as_f64() * settings.rise_fraction;
                let worth = step.max(settings.rise_minimum.as_f64());
                let waited = now.since(self.last_write);
                let spaced = waited >= rise_spacing && wanted.as_f64() - has.as_f64() >= worth;
                if self.ours.is_none() || spaced || waited >= SMALL_RISE_AFTER {
                    urgency = Some(Urgency::Rise);
                }
            }
        }
        urgency
    }

    /// The request that makes the wanted limit real; both directions of a simple queue at once.
    pub(super) fn set_wanted(&self) -> Option<Intent> {
        let carried = |d: Direction| self.spec.serves[d.index()].and(self.wanted[d.index()]);
        let (download, upload) = (carried(Direction::Download), carried(Direction::Upload));
        download.or(upload)?; // nothing is wanted yet
        self.set(Limit::Controlled { download, upload })
    }

    /// The safe rates, unless the router is as low already.
    pub(super) fn set_safe(&self) -> Option<Intent> {
        let observed = self.observed.as_ref()?;
        let is_safe = |d: Direction| {
            let (has, safe) = (observed.limits[d.index()], self.spec.safe[d.index()].map(Controlled::rate));
            safe.is_none_or(|safe| has != Bitrate::ZERO && has <= safe)
        };
        if Direction::BOTH.into_iter().all(is_safe) {
            return None;
        }
        self.set(Limit::Controlled { download: self.spec.safe[0], upload: self.spec.safe[1] })
    }

    /// Another configuration of the same object: what is known of the router stays.
    pub(super) fn serve(mut self, spec: QueueSpec) -> Self {
        (self.spec, self.wanted, self.retired) = (spec, [None; 2], false);
        self
    }

    /// No WAN uses it any more.
    pub(super) fn retire(mut self) -> Self {
        self.spec.serves = [None; 2];
        self.wanted = [None; 2];
        self.retired = true;
        self
    }

    /// Whether it may hold a limit of ours.
    pub(super) fn was_touched(&self) -> bool {
        self.ours.is_some() || self.unsure
    }

    /// A write has been sent.
    pub(super) fn sent(&mut self, limit: &Limit) {
        self.unsure = true;
        self.attempted = match limit {
            // The one rate of a queue of the tree is listed for both directions.
            Limit::Controlled { download, upload } => {
                download.or(*upload).zip(upload.or(*download)).map(|(down, up)| [down.rate(), up.rate()])
            }
            Limit::Original(_) => None,
        };
    }

    /// The router has refused a write: asking again at once would only fill its log.
    pub(super) fn refused(&mut self, now: Instant) {
        self.hold_until = self.hold_until.max(now + self.refusal);
        self.refusal = (self.refusal * 2).min(LONGEST_REFUSAL);
    }

    /// What is still to do so that the router ends up as `exit` says. A retired queue has no rates
    /// to be left with, only its original.
    pub(super) fn leave(&self, exit: Exit) -> Farewell {
        let exit = if self.retired && exit == Exit::Rate { Exit::Restore } else { exit };
        let Some(observed) = self.observed.as_ref().filter(|_| self.journalled && exit != Exit::Keep) else {
            // A journal of an earlier run, which may have been killed, is reason enough to look.
            let may_hold_ours = self.was_touched() || (self.journalled && self.fault.is_none());
            return if may_hold_ours && exit != Exit::Keep { Farewell::Look(self.spec.menu) } else { Farewell::Done };
        };
        let request = match exit {
            Exit::Restore => self
                .original
                .as_ref()
                .filter(|original| self.unsure || **original != observed.max_limit)
                .and_then(|original| self.set(Limit::Original(original.clone()))),
            _ => {
                let differs =
                    |d: Direction| self.wanted[d.index()].is_some_and(|w| w.rate() != observed.limits[d.index()]);
                if self.unsure || Direction::BOTH.into_iter().any(differs) { self.set_wanted() } else { None }
            }
        };
        request.map_or(Farewell::Done, Farewell::Set)
    }

    fn set(&self, limit: Limit) -> Option<Intent> {
        Some(Intent::SetLimit { menu: self.spec.menu, id: self.id.clone()?, limit })
    }
}

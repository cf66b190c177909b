//! The switches of steering: which of them shall be on, against what the router shows.
//!
//! A switch is made of *parts*: mangle rules that are enabled and disabled (one per address family),
//! or entries of two address lists that go away by themselves (one per list and prefix of the LAN).
//! The lists take turns: an entry can't be renewed for sure, so each is left to run out and is put
//! again, and between the two there is always one that stands.

use super::{EVENTS, push};
use crate::types::{
    Duration, EventKind, Instant, Intent, QueueId, RouterError, SwitchFault, SwitchId, SwitchRow, SwitchState,
    SwitchTable, Text, WanId,
};

/// Time between two looks at a table.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// The same after something was refused, or is not as it should be.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// How long an entry remains: so long after our death the switch is off.
const LEASE: Duration = Duration::from_secs(60);

/// The second list follows the first after a third of that.
const STAGGER: Duration = Duration::from_secs(20);

/// What our own dead man's switch adds to the comment of a rule that it turns off.
pub const DEAD_MAN: &str = " (wanctl: dead-man)";

/// What a switch is on the router.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SwitchWay {
    /// A mangle rule, found by its exact comment, and perhaps one of IPv6.
    Rule {
        /// The comment.
        comment: Text<64>,
        /// That of the rule of IPv6.
        comment6: Option<Text<64>>,
    },
    /// Entries on two lists.
    Lease {
        /// The lists.
        lists: [Text<64>; 2],
        /// The LAN: whether it is IPv6, and the prefix as RouterOS prints it.
        prefixes: Vec<(bool, Text<48>)>,
    },
}

/// What a switch is, and for whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SwitchSpec {
    /// The WAN that marked connections leave through while it is on.
    pub wan: WanId,
    /// What it is.
    pub way: SwitchWay,
    /// How long a flip by somebody else is respected.
    pub respect: Duration,
}

/// One rule or entry.
#[derive(Clone, Debug)]
struct Part {
    table: SwitchTable,
    /// Comment of a rule, address of an entry.
    key: Text<64>,
    id: Option<QueueId>,
    /// A rule: enabled. An entry: there.
    on: Option<bool>,
    /// When an entry goes.
    until: Instant,
    /// The dead man's switch has turned it.
    tagged: bool,
    fault: Option<SwitchFault>,
}

/// One switch.
#[derive(Clone, Debug)]
pub(super) struct Switch {
    spec: SwitchSpec,
    wanted: Option<bool>,
    parts: Vec<Part>,
    /// What we have made of it, as far as the router has confirmed; `None` after a reboot.
    ours: Option<bool>,
    respected: Option<Instant>,
    told: Option<SwitchFault>,
}

/// A table, and when to look at it again.
#[derive(Clone, Debug)]
struct Look {
    table: SwitchTable,
    at: Instant,
}

/// All switches.
#[derive(Clone, Debug, Default)]
pub(super) struct Switches {
    switches: Vec<Switch>,
    looks: Vec<Look>,
    staged: Vec<SwitchRow>,
    leaving: bool,
}

/// Most rules with one of our comments that are kept of a list.
const STAGED: usize = 64;

impl Switch {
    fn new(spec: SwitchSpec) -> Self {
        let part = |table, key: &str| Part {
            table,
            key: Text::try_from(key).unwrap_or_default(),
            id: None,
            on: None,
            until: Instant::ZERO,
            tagged: false,
            fault: None,
        };
        let mut parts = Vec::new();
        match &spec.way {
            SwitchWay::Rule { comment, comment6 } => {
                parts.push(part(SwitchTable::Mangle { six: false }, comment));
                parts.extend(comment6.iter().map(|comment| part(SwitchTable::Mangle { six: true }, comment)));
            }
            SwitchWay::Lease { lists, prefixes } => {
                for list in lists {
                    let of = |six| SwitchTable::List { six, name: list.clone() };
                    parts.extend(prefixes.iter().map(|(six, prefix)| part(of(*six), prefix)));
                }
            }
        }
        Self { spec, wanted: None, parts, ours: None, respected: None, told: None }
    }

    const fn is_lease(&self) -> bool {
        matches!(self.spec.way, SwitchWay::Lease { .. })
    }

    fn fault(&self) -> Option<SwitchFault> {
        self.parts.iter().find_map(|part| part.fault)
    }

    /// The parts on each of the two lists.
    fn lists(&self) -> impl Iterator<Item = &[Part]> {
        self.parts.chunks((self.parts.len() / 2).max(1))
    }

    /// Whether it is on, as far as is known.
    fn observed(&self, now: Instant) -> Option<bool> {
        if self.parts.iter().any(|part| part.on.is_none()) {
            return None;
        }
        if self.is_lease() {
            let stands = |part: &Part| part.stands(now);
            let on = self.lists().any(|list| list.iter().all(stands));
            return if on { Some(true) } else { (!self.parts.iter().any(stands)).then_some(false) };
        }
        let on = self.parts[0].on?;
        self.parts.iter().all(|part| part.on == Some(on)).then_some(on)
    }

    /// The next request that brings it to where it shall be.
    fn next(&self, now: Instant, on: bool) -> Option<Intent> {
        if self.is_lease() {
            return if on { self.next_lease(now) } else { self.next_release(now) };
        }
        self.parts.iter().find_map(|part| {
            let (id, is_on) = (part.id.clone()?, part.on?);
            let request = Intent::Turn { table: part.table.clone(), id, comment: part.key.clone(), on };
            (is_on != on || part.tagged).then_some(request)
        })
    }

    fn next_lease(&self, now: Instant) -> Option<Intent> {
        let gone = |part: &&Part| part.on.is_some() && !part.stands(now);
        let mut lists = self.lists();
        let (first, second) = (lists.next()?, lists.next().unwrap_or(&[]));
        if let Some(part) = first.iter().find(gone) {
            return part.lease();
        }
        // The second one's turn is a third of a lease after the first one's.
        if !first.iter().all(|part| part.until > now && part.until <= now + LEASE - STAGGER) {
            return None;
        }
        // Where they would end together, as after a hand that cleared both, one ends now to begin anew.
        let ends_with_first = |part: &Part| {
            first.iter().any(|it| part.until < it.until + STAGGER / 2 && it.until < part.until + STAGGER / 2)
        };
        let ended = second.iter().filter(|part| ends_with_first(part)).find_map(|part| part.release(now));
        ended.or_else(|| second.iter().find(gone)?.lease())
    }

    fn next_release(&self, now: Instant) -> Option<Intent> {
        self.parts.iter().find_map(|part| part.release(now))
    }

    /// The table of some of its parts was read: what was found is judged.
    ///
    /// `expected`: what was to be found there by our own reckoning. Leases that have run out are nobody's will.
    fn listed(&mut self, now: Instant, expected: Option<bool>, tell: &mut impl FnMut(EventKind)) {
        let fault = self.fault();
        if fault != self.told {
            self.told = fault;
            if let Some(why) = fault {
                tell(EventKind::SwitchUnusable { wan: self.spec.wan, why });
            }
        }
        let Some(found) = self.observed(now) else { return };
        let ours = self.ours.replace(found);
        let tagged = self.parts.iter().any(|part| part.tagged);
        // After a reboot nothing is ours; what the dead man's switch did is nobody's will.
        let ran_out = self.is_lease() && expected == Some(found);
        if ours.is_some_and(|ours| ours != found) && !tagged && !ran_out && !self.spec.respect.is_zero() {
            self.respected = Some(now + self.spec.respect);
            tell(EventKind::SwitchFlipped { wan: self.spec.wan, on: found, respected: self.spec.respect });
        }
    }

    fn forget(&mut self) {
        (self.ours, self.respected) = (None, None);
        for part in &mut self.parts {
            (part.id, part.on, part.tagged) = (None, None, false);
        }
    }
}

impl Switches {
    pub(super) fn new(specs: Vec<SwitchSpec>) -> Self {
        let switches: Vec<Switch> = specs.into_iter().map(Switch::new).collect();
        let mut looks: Vec<Look> = Vec::new();
        for part in switches.iter().flat_map(|switch| &switch.parts) {
            if !looks.iter().any(|look| look.table == part.table) {
                looks.push(Look { table: part.table.clone(), at: Instant::ZERO });
            }
        }
        Self { switches, looks, staged: Vec::with_capacity(STAGED), leaving: false }
    }

    /// Takes over what is known of switches that remain.
    pub(super) fn inherit(&mut self, old: &Self) {
        for switch in &mut self.switches {
            if let Some(known) = old.switches.iter().find(|known| known.spec == switch.spec) {
                *switch = known.clone();
            }
        }
    }

    pub(super) fn want(&mut self, id: SwitchId, on: bool) {
        if let Some(switch) = self.switches.get_mut(id.index()) {
            switch.wanted = Some(on);
        }
    }

    pub(super) fn state(&self, id: SwitchId, now: Instant) -> SwitchState {
        let Some(switch) = self.switches.get(id.index()) else {
            return SwitchState { refused: true, ..SwitchState::default() };
        };
        SwitchState {
            observed: switch.observed(now),
            respected_until: switch.respected.filter(|until| *until > now),
            refused: switch.fault().is_some(),
        }
    }

    /// What has to be done now: a turn that is wanted, or a look that one waits for.
    pub(super) fn next(&self, now: Instant) -> Option<Intent> {
        for switch in &self.switches {
            let wanted = if self.leaving { Some(false) } else { switch.wanted };
            let respects = !self.leaving && switch.respected.is_some_and(|until| until > now);
            if switch.fault().is_some() || respects {
                continue;
            }
            let Some(on) = wanted else { continue };
            if switch.parts.iter().any(|part| part.on.is_none()) {
                let of_it = |look: &&Look| switch.parts.iter().any(|p| p.on.is_none() && p.table == look.table);
                let look = self.looks.iter().find(|look| of_it(look) && (look.at <= now || self.leaving));
                if let Some(look) = look {
                    return Some(Intent::ReadSwitches(look.table.clone()));
                }
            } else if let Some(request) = switch.next(now, on) {
                return Some(request);
            }
        }
        None
    }

    /// A look that is due.
    pub(super) fn next_look(&self, now: Instant) -> Option<Intent> {
        let look = self.looks.iter().find(|look| look.at <= now)?;
        Some(Intent::ReadSwitches(look.table.clone()))
    }

    /// The end: every switch is turned off, whoever asked for it.
    pub(super) const fn leave(&mut self) {
        self.leaving = true;
    }

    pub(super) fn observe(&mut self, row: SwitchRow) {
        let ours = |part: &Part| row.key == part.key || untagged(&row.key) == Some(part.key.as_str());
        if self.staged.len() < STAGED && self.switches.iter().flat_map(|s| &s.parts).any(ours) {
            self.staged.push(row);
        }
    }

    pub(super) fn reconnected(&mut self, now: Instant) {
        self.looks.iter_mut().for_each(|look| look.at = now);
    }

    /// The router has rebooted: ids are new, entries are gone, and a rule is as it was saved.
    pub(super) fn forget(&mut self) {
        self.switches.iter_mut().for_each(Switch::forget);
        self.looks.iter_mut().for_each(|look| look.at = Instant::ZERO);
    }

    /// A table was read whole.
    pub(super) fn listed(
        &mut self,
        now: Instant,
        table: &SwitchTable,
        events: &mut heapless::Deque<EventKind, EVENTS>,
    ) {
        let rows = core::mem::take(&mut self.staged);
        for switch in &mut self.switches {
            let (mut is_its, expected) = (false, switch.observed(now));
            for part in switch.parts.iter_mut().filter(|part| part.table == *table) {
                is_its = true;
                part.found(now, &rows);
            }
            if is_its {
                switch.listed(now, expected, &mut |event| push(events, event));
            }
        }
        let faulty = self.switches.iter().any(|s| s.parts.iter().any(|p| p.table == *table && p.fault.is_some()));
        if let Some(look) = self.looks.iter_mut().find(|look| look.table == *table) {
            look.at = now + if faulty { LOOK_AGAIN } else { LOOK_EVERY };
        }
        self.staged = rows;
        self.staged.clear();
    }

    /// A change was confirmed, with the object as it is now.
    pub(super) fn done(&mut self, sent: Instant, intent: &Intent) {
        let row = self.staged.pop();
        self.staged.clear();
        for switch in &mut self.switches {
            let mut is_its = false;
            for part in &mut switch.parts {
                is_its |= part.done(sent, intent, row.as_ref());
            }
            if is_its && let Some(observed) = switch.observed(sent) {
                switch.ours = Some(observed);
            }
        }
    }

    /// A change was refused or its fate is not known: what is there is looked at first.
    pub(super) fn failed(&mut self, now: Instant, intent: &Intent, error: RouterError) {
        self.staged.clear();
        let (Intent::Turn { table, .. } | Intent::Lease { table, .. } | Intent::Release { table, .. }) = intent else {
            return;
        };
        for part in self.switches.iter_mut().flat_map(|s| &mut s.parts).filter(|part| part.table == *table) {
            part.on = None;
        }
        if let Some(look) = self.looks.iter_mut().find(|look| look.table == *table) {
            // An entry that is still there, against our reckoning, is gone in a moment.
            look.at = now + if error.is_refusal() { Duration::from_secs(1) } else { Duration::ZERO };
        }
    }

    /// Whether all are off, or can't be turned.
    pub(super) fn have_left(&self, now: Instant) -> bool {
        self.switches.iter().all(|s| s.fault().is_some() || s.wanted.is_none() || s.observed(now) == Some(false))
    }
}

/// The comment without what the dead man's switch adds to it.
fn untagged(comment: &str) -> Option<&str> {
    comment.strip_suffix(DEAD_MAN)
}

impl Part {
    /// An entry: it is there, and its time has not come.
    fn stands(&self, now: Instant) -> bool {
        self.on == Some(true) && self.until > now
    }

    /// Puts an entry.
    fn lease(&self) -> Option<Intent> {
        let address = Text::try_from(self.key.as_str()).ok()?;
        let seconds = u32::try_from(LEASE.as_secs()).unwrap_or(60);
        Some(Intent::Lease { table: self.table.clone(), address, seconds })
    }

    /// Takes away an entry that stands and can be named.
    fn release(&self, now: Instant) -> Option<Intent> {
        let id = self.id.clone().filter(|_| self.stands(now))?;
        Some(Intent::Release { table: self.table.clone(), id })
    }

    /// What a whole list says of it.
    fn found(&mut self, now: Instant, rows: &[SwitchRow]) {
        let tagged = |row: &&SwitchRow| untagged(&row.key) == Some(self.key.as_str());
        let mut its = rows.iter().filter(|row| row.key == self.key || tagged(row));
        let (row, more) = (its.next(), its.next().is_some());
        self.id = row.map(|row| row.id.clone());
        self.tagged = row.as_ref().is_some_and(tagged);
        if let SwitchTable::List { .. } = self.table {
            self.on = Some(row.is_some_and(|row| !row.disabled));
            if let Some(row) = row {
                self.until = row.timeout.map_or(now + LEASE, |left| now + left);
            }
            return;
        }
        self.fault = match row {
            None => Some(SwitchFault::Missing),
            Some(_) if more => Some(SwitchFault::Ambiguous),
            Some(row) if row.dynamic => Some(SwitchFault::Dynamic),
            Some(row) if !row.prerouting => Some(SwitchFault::Chain),
            // A disabled rule is never told to be invalid.
            Some(row) if row.invalid && !row.disabled => Some(SwitchFault::Invalid),
            Some(_) => None,
        };
        self.on = row.filter(|_| self.fault.is_none()).map(|row| !row.disabled);
    }

    /// What a confirmed change says of it. Returns whether it was about this part.
    fn done(&mut self, sent: Instant, intent: &Intent, row: Option<&SwitchRow>) -> bool {
        match intent {
            Intent::Turn { table, id, .. } if self.table == *table && self.id.as_ref() == Some(id) => {
                self.on = row.map(|row| !row.disabled);
                self.tagged = false;
                true
            }
            Intent::Lease { table, address, .. } if self.table == *table && self.key.as_str() == address.as_str() => {
                self.id = row.map(|row| row.id.clone());
                // The router began to count after this at the earliest.
                (self.on, self.until) = (Some(true), sent + LEASE);
                true
            }
            Intent::Release { table, id } if self.table == *table && self.id.as_ref() == Some(id) => {
                (self.on, self.id) = (Some(false), None);
                true
            }
            _ => false,
        }
    }
}

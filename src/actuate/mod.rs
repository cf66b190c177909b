//! Wanted against observed limits → the next router request. Pure: time is an argument.
//!
//! Stands between decide and routeros. Per queue it keeps what is wanted and what the router was
//! seen to have; whenever the link is free, the most urgent difference becomes the next
//! [`Intent`]: cut, then rise, then verification and statistics. Nothing is queued, so the latest
//! wish always wins, and a failure needs no undoing: the next choice is made from the state as it
//! is then.
//!
//! Terms: *original* is the operator's own limit, journalled before our first write; *ours* is the
//! limit that we set and the router confirmed; a *repair* puts back ours when something else was
//! found.

mod budget;
mod direction;
mod queue;
mod settings;
mod switch;

pub use budget::Budget;
pub use direction::DirectionCheck;
pub use queue::QueueSpec;
pub use settings::{Counters, Exit, Settings};
pub use switch::{DEAD_MAN, SwitchSpec, SwitchWay};

use crate::types::{
    Bitrate, BudgetState, Controlled, Direction, Duration, EventKind, Exchange, Instant, Intent, Item, LinkStats,
    MAX_WANS, Menu, RouterError, RouterInfo, SwitchId, SwitchState, Text, Verbatim, WanId,
};
use queue::{Farewell, Found, Queue, Urgency};
use switch::Switches;

/// How long the list of queues is not asked again after a queue was not found or is unusable.
const RESOLVE_AGAIN: Duration = Duration::from_secs(5);

/// How long the first write waits for the counters to tell the directions apart.
const DIRECTION_PATIENCE: Duration = Duration::from_secs(10);

/// Statistics this many intervals late go before everything else once, so that a long run of cuts
/// does not make the law blind.
const STARVED: u32 = 4;

/// Time between statistics while a law is curious.
const HURRIED: Duration = Duration::from_millis(100);

/// The most events kept until the daemon takes them; taken after every request.
const EVENTS: usize = 32;

/// One WAN as actuate sees it.
#[derive(Clone, Debug, Default)]
struct Wan {
    stats: Option<LinkStats>,
    check: Option<DirectionCheck>,
    /// Nothing has been measured yet: no write.
    may_write: bool,
}

/// All queues of one router.
#[derive(Clone, Debug)]
pub struct Actuator {
    settings: Settings,
    queues: Vec<Queue>,
    switches: Switches,
    wans: Vec<Wan>,
    interfaces: Vec<Option<Text<32>>>,
    /// When each menu is to be read next; `None` for a menu in which we have no queue.
    read_at: [Option<Instant>; 2],
    /// When each menu was read last.
    list_at: [Instant; 2],
    resource_at: Instant,
    interface_due: Option<WanId>,
    info: RouterInfo,
    loaded: bool,
    leaving: Option<Exit>,
    budget: Budget,
    budget_state: BudgetState,
    held_since: Option<Instant>,
    first_seen: Option<Instant>,
    events: heapless::Deque<EventKind, EVENTS>,
    counters: Counters,
}

const fn menu_index(menu: Menu) -> usize {
    match menu {
        Menu::Tree => 0,
        Menu::Simple => 1,
    }
}

impl Actuator {
    /// For these queues; `interfaces` names, per WAN, the router's interface to check directions
    /// against.
    #[must_use]
    pub fn new(settings: Settings, queues: Vec<QueueSpec>, interfaces: Vec<Option<Text<32>>>) -> Self {
        let uses = |menu| queues.iter().any(|q| q.menu == menu).then_some(Instant::ZERO);
        let wans =
            interfaces.iter().map(|i| Wan { check: i.as_ref().map(|_| DirectionCheck::default()), ..Wan::default() });
        Self {
            read_at: [uses(Menu::Tree), uses(Menu::Simple)],
            list_at: [Instant::ZERO; 2],
            wans: wans.collect(),
            queues: queues.into_iter().map(Queue::new).collect(),
            switches: Switches::default(),
            budget: Budget::new(settings.writes_per_hour, settings.sectors_per_hour),
            budget_state: BudgetState::Ample,
            held_since: None,
            settings,
            interfaces,
            resource_at: Instant::ZERO,
            interface_due: None,
            info: RouterInfo::default(),
            loaded: false,
            leaving: None,
            first_seen: None,
            events: heapless::Deque::new(),
            counters: Counters::default(),
        }
    }

    /// With the switches of steering, in the order of their [`SwitchId`]s.
    #[must_use]
    pub fn with_switches(mut self, specs: Vec<SwitchSpec>) -> Self {
        self.switches = Switches::new(specs);
        self
    }

    /// Whether a switch shall be on.
    pub fn want_switch(&mut self, id: SwitchId, on: bool) {
        self.switches.want(id, on);
    }

    /// What is known of a switch.
    #[must_use]
    pub fn switch_state(&self, id: SwitchId, now: Instant) -> SwitchState {
        self.switches.state(id, now)
    }

    /// Takes over what an earlier actuator knows of queues that remain (reload).
    pub fn inherit(&mut self, old: &Self) {
        for queue in &mut self.queues {
            if let Some(known) = old.queues.iter().find(|q| q.is_same_object(&queue.spec)) {
                *queue = known.clone().serve(queue.spec.clone());
            }
        }
        for gone in old.queues.iter().filter(|q| q.was_touched()) {
            if !self.queues.iter().any(|q| q.is_same_object(&gone.spec)) {
                self.read_at[menu_index(gone.spec.menu)].get_or_insert(Instant::ZERO);
                self.queues.push(gone.clone().retire());
            }
        }
        self.switches.inherit(&old.switches);
        self.budget.inherit(&old.budget);
        self.budget_state = old.budget_state;
        self.info = old.info.clone();
        self.first_seen = old.first_seen;
        self.counters = old.counters;
    }

    /// The rates that the shapers of `wan` shall have.
    pub fn want(&mut self, wan: WanId, rates: [Controlled; 2]) {
        if let Some(w) = self.wans.get_mut(wan.index()) {
            w.may_write = true;
        }
        for queue in &mut self.queues {
            for direction in Direction::BOTH {
                if queue.spec.serves(wan, direction) {
                    queue.wanted[direction.index()] = Some(rates[direction.index()]);
                }
            }
        }
    }

    /// Whether any line is loaded: statistics are then read more often.
    pub fn set_loaded(&mut self, now: Instant, loaded: bool) {
        if loaded && !self.loaded {
            for at in self.read_at.iter_mut().flatten() {
                *at = (*at).min(now + self.settings.read_loaded);
            }
        }
        self.loaded = loaded;
    }

    /// The law wants statistics sooner than usual.
    pub fn hurry_statistics(&mut self, now: Instant) {
        for (at, read) in self.read_at.iter_mut().zip(self.list_at) {
            if let Some(at) = at {
                *at = (*at).min((read + HURRIED).max(now));
            }
        }
    }

    /// The next request, when the link is free.
    #[must_use]
    pub fn next(&mut self, now: Instant) -> Option<Intent> {
        if let Some(exit) = self.leaving {
            let limits = self.queues.iter().find_map(|q| match q.leave(exit) {
                Farewell::Done => None,
                Farewell::Look(menu) => Some(Intent::ReadQueues(menu)),
                Farewell::Set(request) => Some(request),
            });
            return limits.or_else(|| self.switches.next(now));
        }
        if self.resource_at <= now {
            return Some(Intent::ReadResource);
        }
        let starved = self.read_interval() * STARVED;
        self.next_read(now, starved)
            .or_else(|| self.next_turn(now))
            .or_else(|| self.next_retirement())
            .or_else(|| self.next_interface())
            .or_else(|| self.next_read(now, Duration::ZERO))
            .or_else(|| self.switches.next_look(now))
    }

    /// A list that has been due for longer than `late`.
    fn next_read(&self, now: Instant, late: Duration) -> Option<Intent> {
        [Menu::Tree, Menu::Simple]
            .into_iter()
            .find(|m| self.read_at[menu_index(*m)].is_some_and(|at| at + late <= now))
            .map(Intent::ReadQueues)
    }

    /// Cuts go before switches, and switches before rises.
    fn next_turn(&mut self, now: Instant) -> Option<Intent> {
        let write = self.next_write(now);
        let cuts = write.as_ref().is_some_and(|(urgency, _)| *urgency == Urgency::Cut);
        let turn = if cuts { None } else { self.switches.next(now) };
        turn.or_else(|| write.map(|(_, request)| request))
    }

    fn next_write(&mut self, now: Instant) -> Option<(Urgency, Intent)> {
        let state = self.budget.state(now);
        let spacing = self.budget.rise_spacing(self.settings.rise_spacing);
        let writable = self.queues.iter().filter(|q| self.may_write(q, now));
        let wishes = writable.filter_map(|q| q.urgency(now, &self.settings, spacing).map(|u| (u, q)));
        let wish = wishes.min_by_key(|(urgency, q)| (*urgency != Urgency::Cut, q.last_write));
        let urgency = wish.map(|(urgency, _)| urgency);
        let request = wish.and_then(|(urgency, queue)| match (urgency, state) {
            (_, BudgetState::Ample) | (Urgency::Cut, BudgetState::CutsOnly) => queue.set_wanted(),
            (Urgency::Cut, BudgetState::Empty) => queue.set_safe(),
            (Urgency::Rise, BudgetState::CutsOnly | BudgetState::Empty) => None,
        });
        self.note_budget(now, state, wish.is_some() && request.is_none());
        urgency.zip(request)
    }

    /// Tells what the budget has come to, and for how long it has held something back.
    fn note_budget(&mut self, now: Instant, state: BudgetState, holds: bool) {
        if let Some(since) = self.held_since.take() {
            self.counters.held += now.since(since);
        }
        self.held_since = holds.then_some(now);
        // Told when it matters: there is something to hold back, or there is no more reason to.
        if state != self.budget_state && (holds || state == BudgetState::Ample || state == BudgetState::Empty) {
            self.budget_state = state;
            push(&mut self.events, EventKind::Budget(state));
        }
    }

    /// A queue that no configured WAN uses any more goes back to what the operator had.
    fn next_retirement(&self) -> Option<Intent> {
        self.queues.iter().filter(|q| q.retired).find_map(|q| match q.leave(Exit::Restore) {
            Farewell::Set(request) => Some(request),
            Farewell::Done | Farewell::Look(_) => None,
        })
    }

    fn next_interface(&mut self) -> Option<Intent> {
        let wan = self.interface_due.take()?;
        self.interfaces.get(wan.index())?.clone().map(Intent::ReadInterface)
    }

    /// Not before everything that must come first: the original is safe in the journal, something
    /// was measured, and the counters do not contradict the directions.
    fn may_write(&self, queue: &Queue, now: Instant) -> bool {
        let patient = self.first_seen.is_none_or(|seen| now.since(seen) < DIRECTION_PATIENCE);
        queue.journalled
            && queue.spec.wans().all(|wan| {
                self.wans.get(wan.index()).is_some_and(|w| {
                    w.may_write
                        && w.check.as_ref().is_none_or(|check| match check.verdict() {
                            Some(right) => right,
                            None => !patient,
                        })
                })
            })
    }

    /// Takes one thing the router told, in answer to the request under way.
    pub fn observe(&mut self, item: Item) {
        match item {
            Item::Resource(info) => {
                let rebooted = matches!((info.uptime, self.info.uptime), (Some(new), Some(old)) if new < old);
                self.info = info;
                if rebooted {
                    self.queues.iter_mut().for_each(Queue::forget);
                    self.switches.forget();
                }
            }
            Item::Switch(row) => self.switches.observe(row),
            Item::Queue(row) => {
                if let Some(queue) = self.queues.iter_mut().find(|q| q.is_row(&row)) {
                    queue.stage(row);
                }
            }
            Item::Interface { rx, tx } => self.check_direction(rx, tx),
            Item::Row(_) => {}
        }
    }

    /// A request is on its way.
    pub fn started(&mut self, intent: &Intent) {
        if let Intent::Turn { .. } = intent {
            self.budget.spend();
        }
        if let Intent::SetLimit { id, limit, .. } = intent {
            self.budget.spend();
            self.queues.iter_mut().filter(|q| q.has_id(id)).for_each(|q| q.sent(limit));
        }
    }

    /// The request has ended.
    pub fn finished(&mut self, now: Instant, intent: &Intent, result: Result<Exchange, RouterError>) {
        match (intent, result) {
            (Intent::ReadResource, Ok(_)) => {
                self.resource_at = now + self.budget.wear_interval();
                if let Some(growth) = self.info.sectors_written.and_then(|sectors| self.budget.worn(now, sectors)) {
                    push(&mut self.events, EventKind::Wear { sectors_per_hour: whole(growth) });
                }
            }
            (Intent::ReadQueues(menu), Ok(exchange)) => self.list_read(now, *menu, exchange),
            (Intent::SetLimit { id, limit, .. }, Ok(exchange)) => {
                let events = &mut self.events;
                if let Some(queue) = self.queues.iter_mut().find(|q| q.has_id(id)) {
                    self.counters.writes += 1;
                    queue.written(exchange.midpoint(), limit, |event| push(events, event));
                }
                // The answer shows what we have set, wherever it went: nobody's original.
                self.queues.iter_mut().for_each(Queue::unstage);
            }
            (Intent::ReadSwitches(table), Ok(_)) => self.switches.listed(now, table, &mut self.events),
            (Intent::Turn { .. } | Intent::Lease { .. } | Intent::Release { .. }, Ok(exchange)) => {
                self.switches.done(exchange.sent, intent);
            }
            (Intent::SetLimit { id, menu, .. }, Err(RouterError::NotFound)) => {
                self.queues.iter_mut().filter(|q| q.has_id(id)).for_each(Queue::forget);
                self.read_at[menu_index(*menu)] = Some(now);
            }
            (intent, Err(error)) => {
                self.queues.iter_mut().for_each(Queue::unstage);
                self.switches.failed(now, intent, error);
                if let Intent::SetLimit { menu, id, .. } = intent {
                    if error.is_refusal() {
                        self.queues.iter_mut().filter(|q| q.has_id(id)).for_each(|q| q.refused(now));
                    }
                    self.read_at[menu_index(*menu)] = Some(now);
                }
            }
            (Intent::ReadInterface(_) | Intent::Read(_), Ok(_)) => {}
        }
    }

    /// The connection is new: nothing is believed before it was read again.
    pub fn reconnected(&mut self, now: Instant) {
        self.resource_at = now;
        self.switches.reconnected(now);
        for at in self.read_at.iter_mut().flatten() {
            *at = now;
        }
    }

    fn list_read(&mut self, now: Instant, menu: Menu, exchange: Exchange) {
        self.counters.reads += 1;
        let mut interval = self.read_interval();
        let events = &mut self.events;
        for queue in self.queues.iter_mut().filter(|q| q.spec.menu == menu) {
            match queue.listed(exchange.midpoint(), |event| push(events, event)) {
                Found::AsLeft => {}
                Found::Changed => self.counters.repairs += 1,
                Found::Contested => {
                    self.counters.repairs += 1;
                    self.counters.contests += 1;
                }
            }
            if queue.fault.is_some() {
                interval = RESOLVE_AGAIN;
            } else {
                self.first_seen.get_or_insert(now);
            }
        }
        self.read_at[menu_index(menu)] = Some(now + interval);
        self.list_at[menu_index(menu)] = now;
        self.update_statistics(menu, exchange);
        self.interface_due = (0..self.wans.len())
            .filter(|&i| self.wans[i].check.as_ref().is_some_and(|c| c.verdict().is_none()))
            .find_map(WanId::new);
    }

    /// Only of WANs that have a queue in the menu that was read: others were not looked at.
    fn update_statistics(&mut self, menu: Menu, exchange: Exchange) {
        for (i, wan) in self.wans.iter_mut().enumerate() {
            let Some(id) = WanId::new(i) else { continue };
            if !self.queues.iter().any(|q| q.spec.menu == menu && q.spec.wans().any(|wan| wan == id)) {
                continue;
            }
            let find = |direction| {
                self.queues.iter().find(|q| q.spec.serves(id, direction)).and_then(|q| q.statistics(direction))
            };
            if let (Some(down), Some(up)) = (find(Direction::Download), find(Direction::Upload)) {
                wan.stats = Some(LinkStats {
                    at: exchange.midpoint(),
                    uncertainty: exchange.latency() / 2,
                    since: [down.since, up.since],
                    achieved: [down.achieved, up.achieved],
                    dropped: [down.dropped, up.dropped],
                    queued_bytes: [down.queued_bytes, up.queued_bytes],
                });
            }
        }
    }

    /// The interface that was asked for is that of the first WAN still unchecked.
    fn check_direction(&mut self, rx: u64, tx: u64) {
        let Some(i) = self.wans.iter().position(|w| w.check.as_ref().is_some_and(|c| c.verdict().is_none())) else {
            return;
        };
        let Some(id) = WanId::new(i) else { return };
        let bytes =
            |direction| self.queues.iter().find(|q| q.spec.serves(id, direction)).and_then(|q| q.bytes(direction));
        if let (Some(down), Some(up)) = (bytes(Direction::Download), bytes(Direction::Upload))
            && let Some(check) = &mut self.wans[i].check
        {
            check.read([down, up], [rx, tx]);
            if check.verdict() == Some(false) {
                push(&mut self.events, EventKind::Swapped { wan: id });
            }
        }
    }

    const fn read_interval(&self) -> Duration {
        if self.loaded { self.settings.read_loaded } else { self.settings.read_idle }
    }

    /// The operator's originals are known but not yet safe: they must be journalled before
    /// anything is written.
    #[must_use]
    pub fn journal_due(&self) -> bool {
        self.queues.iter().any(|q| q.original.is_some() && !q.journalled)
    }

    /// The originals: menu, name and limit of each queue for which one is known.
    pub fn originals(&self) -> impl Iterator<Item = (Menu, &str, &Verbatim)> {
        self.queues.iter().filter_map(|q| q.original.as_ref().map(|o| (q.spec.menu, q.spec.name.as_str(), o)))
    }

    /// An original from the journal: it outranks whatever the router shows.
    pub fn restore_original(&mut self, menu: Menu, name: &str, original: &Verbatim) {
        for queue in self.queues.iter_mut().filter(|q| q.spec.menu == menu && q.spec.name == name) {
            queue.original = Some(original.clone());
            queue.journalled = true;
        }
    }

    /// The originals are on the medium.
    pub fn journalled(&mut self) {
        self.queues.iter_mut().filter(|q| q.original.is_some()).for_each(|q| q.journalled = true);
    }

    /// From now on only what `exit` asks for is written.
    pub fn leave(&mut self, exit: Exit) {
        self.leaving = Some(exit);
        self.switches.leave();
    }

    /// Whether the router shows what the exit asked for, as far as we ever changed it.
    #[must_use]
    pub fn has_left(&self, now: Instant) -> bool {
        self.leaving.is_some_and(|exit| self.queues.iter().all(|q| q.leave(exit) == Farewell::Done))
            && self.switches.have_left(now)
    }

    /// Newest statistics of a WAN.
    #[must_use]
    pub fn statistics(&self, wan: WanId) -> Option<&LinkStats> {
        self.wans.get(wan.index())?.stats.as_ref()
    }

    /// The limit of a direction as the router last showed it; zero is unlimited.
    #[must_use]
    pub fn observed(&self, wan: WanId, direction: Direction) -> Option<Bitrate> {
        let queue = self.queues.iter().find(|q| q.spec.serves(wan, direction))?;
        Some(queue.observed.as_ref()?.limits[direction.index()])
    }

    /// What the router says about itself.
    #[must_use]
    pub const fn info(&self) -> &RouterInfo {
        &self.info
    }

    /// The write budget.
    #[must_use]
    pub const fn budget(&self) -> &Budget {
        &self.budget
    }

    /// What was done to the router since the start.
    #[must_use]
    pub const fn counters(&self) -> Counters {
        self.counters
    }

    /// What happened since the last call, one by one.
    pub fn take_event(&mut self) -> Option<EventKind> {
        self.events.pop_front()
    }
}

/// A figure for people.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates, and makes NaN 0")]
fn whole(figure: f64) -> u32 {
    libm::round(figure) as u32
}

/// The oldest event gives way: the present counts more.
fn push(events: &mut heapless::Deque<EventKind, EVENTS>, event: EventKind) {
    if events.is_full() {
        events.pop_front();
    }
    let _ = events.push_back(event);
}

const _: () = assert!(MAX_WANS <= 8, "EVENTS holds two per queue and WAN");

//! Wishes against a router that does as it likes.
//!
//! Steps: `w` a wish for both directions, `c` cycles pass (so many), `m` somebody sets a limit (the
//! payload) of queue `how`, `n` queue `how` gets another name, `x` another id, `f` another flag,
//! `a` a queue is there twice, `b` the router boots, `l` how the next requests fail, `j` the
//! journal can (not) be written, `r` it held an original (the payload), `p` traffic passes,
//! `t` a leap of time, `o` loaded or not, `i` a reload, `q` the end.

use super::input::{Step, number, span, steps};
use std::collections::HashMap;
use wanctl::actuate::{Actuator, Exit, QueueSpec, Settings};
use wanctl::routeros::json;
use wanctl::types::{
    Bitrate, Duration, Exchange, Instant, Intent, Item, Limit, LinkError, Menu, QueueCounters, QueueId, QueueRow,
    RateRange, RouterError, RouterInfo, Text, Verbatim, WanId,
};

const STEPS: usize = 96;

/// The most requests in one run: as long as any test needs.
const REQUESTS: usize = 2_000;

const NAMES: [(Menu, &str); 3] = [(Menu::Tree, "dl"), (Menu::Tree, "ul"), (Menu::Simple, "both")];

const SETTINGS: Settings = Settings {
    rise_fraction: 0.01,
    rise_minimum: Bitrate::from_bps(100_000),
    rise_spacing: Duration::from_millis(200),
    read_loaded: Duration::from_millis(500),
    read_idle: Duration::from_secs(1),
    writes_per_hour: 120,
    sectors_per_hour: Some(100),
};

fn range() -> RateRange {
    RateRange::new(Bitrate::from_mbps(2), Bitrate::from_mbps(200)).unwrap()
}

fn wan(i: usize) -> WanId {
    WanId::new(i).unwrap()
}

fn specs(without_simple: bool) -> Vec<QueueSpec> {
    let serves = [[Some(wan(0)), None], [None, Some(wan(0))], [Some(wan(1)); 2]];
    let safe = range().clamp(Bitrate::from_mbps(5));
    let all = NAMES.iter().zip(serves).map(|((menu, name), serves)| QueueSpec {
        menu: *menu,
        name: Text::try_from(*name).unwrap(),
        serves,
        safe: serves.map(|s| s.map(|_| safe)),
    });
    all.take(if without_simple { 2 } else { 3 }).collect()
}

fn actuator(without_simple: bool) -> Actuator {
    Actuator::new(SETTINGS, specs(without_simple), vec![Some(Text::try_from("ether1").unwrap()), None])
}

struct Bench {
    a: Actuator,
    now: Instant,
    rows: Vec<QueueRow>,
    uptime: Duration,
    /// How requests fail: not, before they took effect, after, or with a refusal.
    fate: u8,
    journal_works: bool,
    /// Limits that a queue was seen to have, or the journal held: an original must be one of them.
    seen: HashMap<String, Vec<Verbatim>>,
    /// The names that an id was listed with.
    ids: HashMap<(Menu, QueueId), Vec<String>>,
    /// What the journal holds: from then on this is the original, and no other.
    journal: HashMap<String, Verbatim>,
    wished: [bool; 2],
    leaving: Option<Exit>,
    /// The simple queue is in no configuration any more.
    retired: bool,
    requests: usize,
}

pub fn run(data: &[u8]) {
    let rows = NAMES.iter().zip(1..).map(|((menu, name), id)| row(*menu, name, id)).collect();
    let mut bench = Bench {
        a: actuator(false),
        now: Instant::ZERO + Duration::from_secs(1),
        rows,
        uptime: Duration::from_secs(1000),
        fate: 0,
        journal_works: true,
        seen: HashMap::new(),
        ids: HashMap::new(),
        journal: HashMap::new(),
        wished: [false; 2],
        leaving: None,
        retired: false,
        requests: 0,
    };
    for step in steps(data, STEPS) {
        bench.step(step);
    }
    bench.farewell();
}

fn row(menu: Menu, name: &str, id: u32) -> QueueRow {
    let mut row = QueueRow {
        menu,
        id: Text::try_from(format!("*{id:X}").as_str()).unwrap(),
        name: Text::try_from(name).unwrap(),
        max_limit: Verbatim::new(),
        limits: [Bitrate::ZERO; 2],
        counters: [QueueCounters::default(); 2],
        disabled: false,
        invalid: false,
        dynamic: false,
    };
    set(&mut row, if menu == Menu::Tree { "100M" } else { "20M/100M" });
    row
}

/// Sets a limit as the router would; what is none, it refuses.
fn set(row: &mut QueueRow, text: &str) -> bool {
    let read = |t: &str| json::rate(t);
    let limits = match (row.menu, text.split_once('/')) {
        (Menu::Tree, None) => read(text).map(|r| [r, r]),
        (Menu::Simple, Some((up, down))) => read(down).zip(read(up)).map(<[Bitrate; 2]>::from),
        _ => None,
    };
    let (Some(limits), Ok(max_limit)) = (limits, Verbatim::try_from(text)) else { return false };
    (row.limits, row.max_limit) = (limits, max_limit);
    true
}

impl Bench {
    fn step(&mut self, Step { what, how, payload }: Step<'_>) {
        let text = core::str::from_utf8(payload).unwrap_or("0");
        let row = usize::from(how) % self.rows.len();
        match what {
            b'w' => self.wish(how, payload),
            b'c' => (0..=how % 64).for_each(|_| self.cycle()),
            b'm' => drop(set(&mut self.rows[row], text)),
            b'n' => self.rows[row].name = Text::try_from(text).unwrap_or_default(),
            b'x' => self.rows[row].id = Text::try_from(text).unwrap_or_default(),
            b'f' => {
                let row = &mut self.rows[row];
                [&mut row.disabled, &mut row.invalid, &mut row.dynamic].into_iter().enumerate().for_each(
                    |(i, flag)| {
                        *flag = how >> (4 + i) & 1 == 1;
                    },
                );
            }
            b'a' if self.rows.len() < 8 => self.rows.push(self.rows[row].clone()),
            b'b' => self.uptime = Duration::ZERO,
            b'l' => self.fate = how % 6,
            b'j' => self.journal_works = how % 2 == 0,
            b'r' => self.known(usize::from(how) % NAMES.len(), text),
            b'p' => {
                let counters = &mut self.rows[row].counters[usize::from(how >> 7)];
                (counters.bytes, counters.dropped) = (number(payload, 0), number(payload, 8));
            }
            b't' => self.now += span(how),
            b'o' => self.a.set_loaded(self.now, how % 2 == 1),
            b'i' => self.reload(how % 2 == 1),
            b'q' => self.leave([Exit::Restore, Exit::Keep, Exit::Rate][usize::from(how) % 3]),
            _ => self.cycle(),
        }
    }

    fn wish(&mut self, how: u8, payload: &[u8]) {
        let i = usize::from(how) % 2;
        let rates = [0, 8].map(|at| range().clamp(Bitrate::from_bps(number(payload, at))));
        self.a.want(wan(i), rates);
        self.wished[i] = true;
    }

    /// The journal of an earlier run: read before anything else happens.
    fn known(&mut self, i: usize, text: &str) {
        let Ok(original) = Verbatim::try_from(text) else { return };
        let (menu, name) = NAMES[i];
        if self.requests == 0 && (i < 2 || !self.retired) {
            self.a.restore_original(menu, name, &original);
            self.journal.insert(name.into(), original);
        }
    }

    fn reload(&mut self, without_simple: bool) {
        if self.leaving.is_some() {
            return;
        }
        let mut new = actuator(without_simple);
        new.inherit(&self.a);
        for (name, original) in &self.journal {
            let menu = if name == "both" { Menu::Simple } else { Menu::Tree };
            new.restore_original(menu, name, original);
        }
        self.a = new;
        self.retired = without_simple;
        self.wished = [false; 2];
    }

    fn leave(&mut self, exit: Exit) {
        self.a.leave(exit);
        self.leaving = Some(exit);
    }

    /// One cycle of the daemon: the journal, then at most one request.
    fn cycle(&mut self) {
        self.now += Duration::from_millis(50);
        self.uptime += Duration::from_millis(50);
        if self.a.journal_due() && self.journal_works {
            self.a.journalled();
        }
        self.remember();
        if self.requests >= REQUESTS {
            return;
        }
        if let Some(intent) = self.a.next(self.now) {
            self.requests += 1;
            self.judge(&intent);
            self.a.started(&intent);
            let result = self.serve(&intent);
            let exchange = Exchange { sent: self.now, answered: self.now + Duration::from_millis(20) };
            self.a.finished(self.now, &intent, result.map(|()| exchange));
            if result.is_err_and(|e| !e.is_refusal()) {
                self.a.reconnected(self.now);
            }
        }
        let told = core::iter::from_fn(|| self.a.take_event()).take(64).count();
        assert!(told <= 32, "{told} events of one request");
    }

    /// Once journalled, an original stays what it is.
    fn remember(&mut self) {
        if self.a.journal_due() {
            return;
        }
        for (_, name, original) in self.a.originals() {
            if !self.journal.contains_key(name) {
                assert!(self.seen.get(name).is_some_and(|seen| seen.contains(original)), "nobody ever saw {original}");
                self.journal.insert(name.into(), original.clone());
            }
            assert_eq!(&self.journal[name], original, "another original than the journal's");
        }
    }

    fn judge(&self, intent: &Intent) {
        let Intent::SetLimit { menu, id, limit } = intent else { return };
        let names = self.ids.get(&(*menu, id.clone())).expect("an id that was never listed");
        let originals: Vec<&Verbatim> = names.iter().filter_map(|name| self.journal.get(name)).collect();
        assert!(!originals.is_empty(), "a change before the original is safe");
        match limit {
            Limit::Controlled { download, upload } => {
                let rates = [*download, *upload];
                let sent: Vec<_> = rates.into_iter().flatten().collect();
                assert!(self.leaving.is_none_or(|exit| exit == Exit::Rate), "still working");
                assert_eq!(sent.len(), if *menu == Menu::Tree { 1 } else { 2 }, "{limit:?}");
                for rate in sent {
                    assert!((2_000_000..=200_000_000).contains(&rate.rate().bps()), "{rate:?}");
                }
                assert!(self.wished.contains(&true), "nothing was measured");
            }
            Limit::Original(text) => {
                let leaves = self.leaving == Some(Exit::Restore) || (self.retired && *menu == Menu::Simple);
                assert!(leaves, "an original in the middle of the work");
                assert!(originals.contains(&text), "not the original: {text}");
            }
        }
    }

    /// The router's part.
    fn serve(&mut self, intent: &Intent) -> Result<(), RouterError> {
        match self.fate {
            1 => return Err(RouterError::ResponseTimeout),
            3 => return Err(RouterError::BadValue),
            4 => return Err(RouterError::Link(LinkError::Reset)),
            _ => {}
        }
        match intent {
            Intent::ReadResource => {
                let sectors_written = Some(self.uptime.as_secs() * 3);
                let info = RouterInfo { uptime: Some(self.uptime), sectors_written, ..RouterInfo::default() };
                self.a.observe(Item::Resource(info));
            }
            Intent::ReadQueues(menu) => {
                for row in self.rows.iter().filter(|r| r.menu == *menu) {
                    self.seen.entry(row.name.as_str().into()).or_default().push(row.max_limit.clone());
                    self.ids.entry((*menu, row.id.clone())).or_default().push(row.name.as_str().into());
                    self.a.observe(Item::Queue(row.clone()));
                }
            }
            Intent::Read(_)
            | Intent::ReadSwitches(_)
            | Intent::Turn { .. }
            | Intent::Lease { .. }
            | Intent::Release { .. } => panic!("nobody asked for {intent:?}"),
            Intent::ReadInterface(name) => {
                assert_eq!(name, "ether1");
                let bytes = self.rows[0].counters.map(|c| c.bytes);
                self.a.observe(Item::Interface { rx: bytes[0], tx: bytes[1] });
            }
            Intent::SetLimit { menu, id, limit } => {
                let text = match limit {
                    Limit::Original(text) => text.to_string(),
                    Limit::Controlled { download: Some(d), upload: Some(u) } => {
                        format!("{}/{}", u.rate().bps(), d.rate().bps())
                    }
                    Limit::Controlled { download: d, upload: u } => d.or(*u).unwrap().rate().bps().to_string(),
                };
                let row = self.rows.iter_mut().find(|r| r.menu == *menu && r.id == *id);
                let Some(row) = row else { return Err(RouterError::NotFound) };
                if !set(row, &text) {
                    return Err(RouterError::BadValue);
                }
                self.a.observe(Item::Queue(row.clone()));
            }
        }
        if self.fate == 2 { Err(RouterError::ResponseTimeout) } else { Ok(()) }
    }

    /// With a router that answers, the end comes, and every queue it can find has its original.
    fn farewell(&mut self) {
        (self.fate, self.journal_works, self.requests) = (0, true, 0);
        let exit = self.leaving.unwrap_or(Exit::Restore);
        self.leave(exit);
        (0..64).for_each(|_| self.cycle());
    }
}

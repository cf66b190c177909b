//! actuate against a model of a router: whatever fails, the router ends up with what is wanted,
//! and nothing is ever sent that must not be.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, missing_docs)]

use proptest::prelude::*;
use wanctl::actuate::{Actuator, Exit, QueueSpec, Settings};
use wanctl::types::{
    Bitrate, BudgetState, Controlled, Duration, EventKind, Exchange, Instant, Intent, Item, Limit, Menu, Name,
    QueueCounters, QueueFault, QueueId, QueueRow, RateRange, RouterError, RouterInfo, Verbatim, WanId,
};

const SETTINGS: Settings = Settings {
    rise_fraction: 0.01,
    rise_minimum: Bitrate::from_bps(100_000),
    rise_spacing: Duration::from_millis(500),
    read_loaded: Duration::from_millis(500),
    read_idle: Duration::from_secs(1),
    writes_per_hour: 100_000,
    sectors_per_hour: None,
};

fn wan(i: usize) -> WanId {
    WanId::new(i).unwrap()
}

fn range() -> RateRange {
    RateRange::new(Bitrate::from_mbps(4), Bitrate::from_mbps(40)).unwrap()
}

fn rate(mbps: u64) -> Controlled {
    range().clamp(Bitrate::from_mbps(mbps))
}

#[derive(Clone)]
struct Object {
    menu: Menu,
    id: u32,
    name: &'static str,
    max_limit: String,
    disabled: bool,
}

/// The router: objects, and a clock that says when something was written.
struct Router {
    objects: Vec<Object>,
    uptime: Duration,
    writes: Vec<(Instant, String)>,
}

impl Router {
    fn tree() -> Self {
        let object = |id, name| Object { menu: Menu::Tree, id, name, max_limit: "100000000".into(), disabled: false };
        Self { objects: vec![object(1, "dl"), object(2, "ul")], uptime: Duration::from_secs(9999), writes: vec![] }
    }

    fn reboot(&mut self) {
        self.uptime = Duration::ZERO;
        self.objects.iter_mut().for_each(|o| o.id += 10);
    }

    fn row(o: &Object) -> QueueRow {
        let number = |t: &str| Bitrate::from_bps(t.parse().unwrap());
        let limits = match o.max_limit.split_once('/') {
            Some((up, down)) => [number(down), number(up)],
            None => [number(&o.max_limit); 2],
        };
        QueueRow {
            menu: o.menu,
            id: QueueId::try_from(format!("*{}", o.id).as_str()).unwrap(),
            name: Name::try_from(o.name).unwrap(),
            max_limit: Verbatim::try_from(o.max_limit.as_str()).unwrap(),
            limits,
            counters: [QueueCounters::default(); 2],
            disabled: o.disabled,
            invalid: false,
            dynamic: false,
        }
    }

    /// Carries out an intent; `loss` breaks it before (1) or after (2) it took effect.
    fn serve(&mut self, now: Instant, intent: &Intent, loss: u8, a: &mut Actuator) -> Result<Exchange, RouterError> {
        if loss == 1 {
            return Err(RouterError::ResponseTimeout);
        }
        let mut items = vec![];
        match intent {
            Intent::ReadResource => {
                items.push(Item::Resource(RouterInfo { uptime: Some(self.uptime), ..RouterInfo::default() }));
            }
            Intent::ReadQueues(menu) => {
                items.extend(self.objects.iter().filter(|o| o.menu == *menu).map(|o| Item::Queue(Self::row(o))));
            }
            Intent::ReadInterface(_)
            | Intent::Read(_)
            | Intent::ReadSwitches(_)
            | Intent::Turn { .. }
            | Intent::Lease { .. }
            | Intent::Release { .. } => {}
            Intent::SetLimit { menu, id, limit } => {
                let text = match limit {
                    Limit::Original(text) => text.to_string(),
                    Limit::Controlled { download: Some(d), upload: Some(u) } => {
                        format!("{}/{}", u.rate().bps(), d.rate().bps())
                    }
                    Limit::Controlled { download: d, upload: u } => d.or(*u).unwrap().rate().bps().to_string(),
                };
                let object = self.objects.iter_mut().find(|o| o.menu == *menu && format!("*{}", o.id) == id.as_str());
                let Some(object) = object else { return Err(RouterError::NotFound) };
                self.writes.push((now, text.clone()));
                object.max_limit = text;
                items.push(Item::Queue(Self::row(object)));
            }
        }
        if loss == 2 {
            return Err(RouterError::ResponseTimeout);
        }
        items.into_iter().for_each(|item| a.observe(item));
        Ok(Exchange { sent: now, answered: now + Duration::from_millis(20) })
    }
}

fn tree_actuator() -> Actuator {
    let spec =
        |name, serves| QueueSpec { menu: Menu::Tree, name: Name::try_from(name).unwrap(), serves, safe: [None; 2] };
    let queues = vec![spec("dl", [Some(wan(0)), None]), spec("ul", [None, Some(wan(0))])];
    Actuator::new(SETTINGS, queues, vec![None])
}

/// Lets the actuator and the router talk for a while, one request per 50 ms.
fn talk(
    a: &mut Actuator,
    router: &mut Router,
    now: &mut Instant,
    rounds: usize,
    losses: &mut impl Iterator<Item = u8>,
) {
    for _ in 0..rounds {
        *now += Duration::from_millis(50);
        if a.journal_due() {
            a.journalled();
        }
        if let Some(intent) = a.next(*now) {
            a.started(&intent);
            let loss = losses.next().unwrap_or(0);
            let result = router.serve(*now, &intent, loss, a);
            if result.is_err() {
                a.reconnected(*now);
            }
            a.finished(*now, &intent, result);
        }
    }
}

fn limits(router: &Router) -> Vec<&str> {
    router.objects.iter().map(|o| o.max_limit.as_str()).collect()
}

#[test]
fn nothing_is_written_before_the_originals_are_safe_and_something_was_measured() {
    let (mut a, mut router, mut now) = (tree_actuator(), Router::tree(), Instant::ZERO);
    for _ in 0..40 {
        now += Duration::from_millis(50);
        if let Some(intent) = a.next(now) {
            assert!(!matches!(intent, Intent::SetLimit { .. }));
            let result = router.serve(now, &intent, 0, &mut a);
            a.finished(now, &intent, result);
        }
    }
    assert!(a.journal_due());
    talk(&mut a, &mut router, &mut now, 40, &mut std::iter::empty());
    assert!(router.writes.is_empty(), "nothing was measured yet");
    a.want(wan(0), [rate(30), rate(10)]);
    talk(&mut a, &mut router, &mut now, 4, &mut std::iter::empty());
    assert_eq!(limits(&router), ["30000000", "10000000"]);
}

#[test]
fn cuts_go_at_once_and_rises_are_spaced_and_rounded() {
    let (mut a, mut router, mut now) = (tree_actuator(), Router::tree(), Instant::ZERO);
    a.want(wan(0), [rate(30), rate(10)]);
    talk(&mut a, &mut router, &mut now, 20, &mut std::iter::empty());
    router.writes.clear();
    a.want(wan(0), [range().clamp(Bitrate::from_bps(30_050_000)), rate(10)]);
    talk(&mut a, &mut router, &mut now, 20, &mut std::iter::empty());
    assert!(router.writes.is_empty(), "a rise of 0.2 % is not worth a write");
    a.want(wan(0), [rate(31), rate(9)]);
    talk(&mut a, &mut router, &mut now, 2, &mut std::iter::empty());
    assert_eq!(router.writes.iter().map(|w| w.1.as_str()).collect::<Vec<_>>(), ["9000000", "31000000"], "cut first");
    router.writes.clear();
    for mbps in 32..40 {
        a.want(wan(0), [rate(mbps), rate(9)]);
        talk(&mut a, &mut router, &mut now, 1, &mut std::iter::empty());
    }
    assert_eq!(router.writes.len(), 0, "rises keep their distance");
    talk(&mut a, &mut router, &mut now, 10, &mut std::iter::empty());
    assert_eq!(limits(&router), ["39000000", "9000000"], "the latest wins");
}

#[test]
fn a_foreign_limit_is_repaired_and_told() {
    let (mut a, mut router, mut now) = (tree_actuator(), Router::tree(), Instant::ZERO);
    a.want(wan(0), [rate(30), rate(10)]);
    talk(&mut a, &mut router, &mut now, 20, &mut std::iter::empty());
    while a.take_event().is_some() {}
    router.objects[0].max_limit = "0".into();
    talk(&mut a, &mut router, &mut now, 40, &mut std::iter::empty());
    assert_eq!(limits(&router), ["30000000", "10000000"]);
    assert_eq!(a.counters().repairs, 1);
    let told: Vec<EventKind> = std::iter::from_fn(|| a.take_event()).collect();
    assert!(told.iter().any(|e| matches!(e, EventKind::Repaired { found: Bitrate::ZERO, .. })), "{told:?}");
}

#[test]
fn a_limit_that_somebody_else_keeps_changing_is_left_alone_for_a_while() {
    let (mut a, mut router, mut now) = (tree_actuator(), Router::tree(), Instant::ZERO);
    a.want(wan(0), [rate(30), rate(10)]);
    talk(&mut a, &mut router, &mut now, 20, &mut std::iter::empty());
    while a.take_event().is_some() {}
    let mut ours = Duration::ZERO;
    // A script that sets its own limit every five seconds, for an hour.
    for _ in 0..720 {
        router.objects[0].max_limit = "50000000".into();
        for _ in 0..100 {
            talk(&mut a, &mut router, &mut now, 1, &mut std::iter::empty());
            ours += Duration::from_millis(50) * u32::from(limits(&router)[0] == "30000000");
        }
    }
    let writes = router.writes.iter().filter(|w| w.1 == "30000000").count();
    assert!(writes < 12, "{writes} writes against a script");
    let holds: Vec<u64> = std::iter::from_fn(|| a.take_event())
        .filter_map(|e| if let EventKind::Contested { hold, .. } = e { Some(hold.as_secs()) } else { None })
        .collect();
    assert_eq!(holds[..5], [60, 120, 240, 480, 960], "told, and ever longer");
    assert_eq!(limits(&router)[1], "10000000", "the other queue is not concerned");
    // The script is gone: the limit is ours again.
    talk(&mut a, &mut router, &mut now, 20_000, &mut std::iter::empty());
    assert_eq!(limits(&router)[0], "30000000");
}

#[test]
fn reboots_are_nobodys_doing() {
    let (mut a, mut router, mut now) = (tree_actuator(), Router::tree(), Instant::ZERO);
    a.want(wan(0), [rate(30), rate(10)]);
    talk(&mut a, &mut router, &mut now, 20, &mut std::iter::empty());
    for _ in 0..5 {
        router.uptime = Duration::from_secs(100);
        talk(&mut a, &mut router, &mut now, 20, &mut [1_u8].into_iter());
        router.reboot();
        router.objects[0].max_limit = "100000000".into();
        talk(&mut a, &mut router, &mut now, 60, &mut [1_u8].into_iter());
        assert_eq!(limits(&router)[0], "30000000");
    }
    assert_eq!((a.counters().repairs, a.counters().contests), (5, 0));
}

#[test]
fn a_used_up_budget_keeps_cuts_then_rests_at_the_safe_rate() {
    let safe = Some(rate(5));
    let spec = |name, place: usize| {
        let mut spec =
            QueueSpec { menu: Menu::Tree, name: Name::try_from(name).unwrap(), serves: [None; 2], safe: [None; 2] };
        (spec.serves[place], spec.safe[place]) = (Some(wan(0)), safe);
        spec
    };
    let settings = Settings { writes_per_hour: 200, rise_spacing: Duration::ZERO, ..SETTINGS };
    let mut a = Actuator::new(settings, vec![spec("dl", 0), spec("ul", 1)], vec![None]);
    let (mut router, mut now) = (Router::tree(), Instant::ZERO);
    let mut wishes = (0_u64..).map(|i| [rate(20 + 10 * (i % 2)), rate(10)]);
    let mut hour = |a: &mut Actuator, router: &mut Router, now: &mut Instant, rounds: usize| {
        for _ in 0..rounds {
            a.want(wan(0), wishes.next().unwrap());
            talk(a, router, now, 10, &mut std::iter::empty());
        }
    };
    hour(&mut a, &mut router, &mut now, 2_000);
    assert!((50..110).contains(&router.writes.len()), "{} writes in 17 minutes", router.writes.len());
    assert_eq!(limits(&router)[0], "20000000", "rises wait, cuts passed");
    let told: Vec<EventKind> = std::iter::from_fn(|| a.take_event()).collect();
    assert!(told.iter().any(|e| matches!(e, EventKind::Budget(BudgetState::CutsOnly))), "{told:?}");
    // Now nothing but cuts: many small ones.
    for i in 0..90 {
        a.want(wan(0), [range().clamp(Bitrate::from_bps(19_900_000 - 100_000 * i)), rate(10)]);
        talk(&mut a, &mut router, &mut now, 2, &mut std::iter::empty());
    }
    let told: Vec<EventKind> = std::iter::from_fn(|| a.take_event()).collect();
    assert!(told.iter().any(|e| matches!(e, EventKind::Budget(BudgetState::Empty))), "{told:?}");
    assert_eq!(limits(&router), ["5000000", "10000000"], "the one that wanted to fall rests at its safe rate");
    assert!(a.counters().held > Duration::from_secs(60));
    for start in 0..router.writes.len() {
        let from = router.writes[start].0;
        let hour = router.writes[start..].iter().take_while(|w| w.0 < from + Duration::from_secs(3600)).count();
        assert!(hour <= 202, "{hour} writes in an hour; two of them the last cuts");
    }
    // Tokens return.
    now += Duration::from_secs(3600);
    a.want(wan(0), [rate(33), rate(12)]);
    talk(&mut a, &mut router, &mut now, 20_000, &mut std::iter::empty());
    assert_eq!(limits(&router), ["33000000", "12000000"]);
}

#[test]
fn unusable_queues_are_told_and_left_alone() {
    let (mut a, mut router, mut now) = (tree_actuator(), Router::tree(), Instant::ZERO);
    router.objects[0].disabled = true;
    let mut twin = router.objects[1].clone();
    twin.id = 77;
    router.objects.push(twin);
    a.want(wan(0), [rate(30), rate(10)]);
    talk(&mut a, &mut router, &mut now, 40, &mut std::iter::empty());
    assert!(router.writes.is_empty());
    let why: Vec<QueueFault> = std::iter::from_fn(|| a.take_event())
        .filter_map(|e| if let EventKind::QueueUnusable { why, .. } = e { Some(why) } else { None })
        .collect();
    assert_eq!(why, [QueueFault::Disabled, QueueFault::Ambiguous], "each told once");
    router.objects.pop();
    router.objects[0].disabled = false;
    talk(&mut a, &mut router, &mut now, 200, &mut std::iter::empty());
    assert_eq!(limits(&router), ["30000000", "10000000"], "mended on the router, found again by itself");
}

#[test]
fn a_simple_queue_gets_both_directions_in_one_write() {
    let spec = QueueSpec {
        menu: Menu::Simple,
        name: Name::try_from("q").unwrap(),
        serves: [Some(wan(0)); 2],
        safe: [None; 2],
    };
    let mut a = Actuator::new(SETTINGS, vec![spec], vec![None]);
    let mut router = Router::tree();
    router.objects = vec![Object { menu: Menu::Simple, id: 1, name: "q", max_limit: "0/0".into(), disabled: false }];
    let mut now = Instant::ZERO;
    a.want(wan(0), [rate(30), rate(10)]);
    talk(&mut a, &mut router, &mut now, 20, &mut std::iter::empty());
    assert_eq!(limits(&router), ["10000000/30000000"]);
    assert_eq!(router.writes.len(), 1);
    a.leave(Exit::Restore);
    talk(&mut a, &mut router, &mut now, 20, &mut std::iter::empty());
    assert_eq!(limits(&router), ["0/0"], "the operator's own, byte for byte");
    assert!(a.has_left(Instant::ZERO));
}

#[test]
fn the_journal_outranks_what_the_router_shows() {
    let (mut a, mut router, mut now) = (tree_actuator(), Router::tree(), Instant::ZERO);
    router.objects[0].max_limit = "31000000".into(); // ours, left by a run that was killed
    a.restore_original(Menu::Tree, "dl", &Verbatim::try_from("100000000").unwrap());
    a.want(wan(0), [rate(30), rate(10)]);
    talk(&mut a, &mut router, &mut now, 20, &mut std::iter::empty());
    a.leave(Exit::Restore);
    talk(&mut a, &mut router, &mut now, 20, &mut std::iter::empty());
    assert_eq!(limits(&router), ["100000000", "100000000"]);
}

#[test]
fn stopped_before_it_has_seen_anything_it_still_undoes_what_a_killed_run_has_left() {
    let (mut a, mut router, mut now) = (tree_actuator(), Router::tree(), Instant::ZERO);
    router.objects[0].max_limit = "31000000".into(); // ours, left by a run that was killed
    a.restore_original(Menu::Tree, "dl", &Verbatim::try_from("100000000").unwrap());
    a.leave(Exit::Restore);
    assert!(!a.has_left(now), "nobody has looked yet");
    talk(&mut a, &mut router, &mut now, 20, &mut std::iter::empty());
    assert_eq!(limits(&router), ["100000000", "100000000"]);
    assert!(a.has_left(now));
    // A queue that is gone is looked for once, and not waited for.
    let mut a = tree_actuator();
    a.restore_original(Menu::Tree, "dl", &Verbatim::try_from("100000000").unwrap());
    router.objects.clear();
    a.leave(Exit::Restore);
    talk(&mut a, &mut router, &mut now, 3, &mut std::iter::empty());
    assert!(a.has_left(now));
}

#[test]
fn a_retired_queue_in_doubt_leaves_with_its_original() {
    let (mut a, mut router, mut now) = (tree_actuator(), Router::tree(), Instant::ZERO);
    a.want(wan(0), [rate(30), rate(10)]);
    talk(&mut a, &mut router, &mut now, 20, &mut std::iter::empty());
    // The answer to a change is lost, and the reload takes the queues away before it is known.
    a.want(wan(0), [rate(20), rate(10)]);
    talk(&mut a, &mut router, &mut now, 1, &mut std::iter::once(2));
    let mut next = Actuator::new(SETTINGS, vec![], vec![None]);
    next.inherit(&a);
    next.leave(Exit::Rate);
    talk(&mut next, &mut router, &mut now, 20, &mut std::iter::empty());
    assert_eq!(limits(&router), ["100000000", "100000000"]);
    assert!(next.has_left(Instant::ZERO));
}

#[test]
fn a_queue_in_doubt_with_nothing_wanted_yet_is_left_as_it_is() {
    let (mut a, mut router, mut now) = (tree_actuator(), Router::tree(), Instant::ZERO);
    a.want(wan(0), [rate(30), rate(10)]);
    talk(&mut a, &mut router, &mut now, 20, &mut std::iter::empty());
    a.want(wan(0), [rate(20), rate(10)]);
    talk(&mut a, &mut router, &mut now, 1, &mut std::iter::once(2));
    let mut next = tree_actuator();
    next.inherit(&a);
    next.leave(Exit::Rate);
    talk(&mut next, &mut router, &mut now, 20, &mut std::iter::empty());
    assert_eq!(limits(&router), ["20000000", "10000000"]);
    assert!(next.has_left(Instant::ZERO));
}

proptest! {
    /// Whatever is lost, whenever the router reboots or somebody meddles: out-of-range limits are
    /// never sent, and when the trouble is over the router has what is wanted; at the end it has
    /// what the operator had.
    #[test]
    fn it_always_converges(
        steps in prop::collection::vec((0u8..6, 1u64..60, 1u64..60), 1..60),
        losses in prop::collection::vec(0u8..3, 0..200),
    ) {
        let (mut a, mut router, mut now) = (tree_actuator(), Router::tree(), Instant::ZERO);
        let mut losses = losses.into_iter();
        let mut wanted = [rate(40), rate(40)];
        a.want(wan(0), wanted);
        for (what, x, y) in steps {
            match what {
                0 => router.reboot(),
                1 => router.objects[usize::from(x % 2 == 0)].max_limit = (y * 1_000_000).to_string(),
                _ => { wanted = [rate(x), rate(y)]; a.want(wan(0), wanted); }
            }
            talk(&mut a, &mut router, &mut now, 5, &mut losses);
        }
        // Longer than the longest time for which a contested limit is left alone.
        talk(&mut a, &mut router, &mut now, 20_000, &mut std::iter::empty());
        let expected: Vec<String> = wanted.iter().map(|r| r.rate().bps().to_string()).collect();
        prop_assert_eq!(limits(&router), expected);
        for (_, text) in &router.writes {
            let bps: u64 = text.parse().unwrap();
            prop_assert!((4_000_000..=40_000_000).contains(&bps), "sent {}", text);
        }
        a.leave(Exit::Restore);
        talk(&mut a, &mut router, &mut now, 100, &mut std::iter::empty());
        prop_assert!(a.has_left(Instant::ZERO));
        let originals: Vec<String> = a.originals().map(|(.., o)| o.to_string()).collect();
        prop_assert_eq!(limits(&router), originals);
    }
}

//! The same link over real sockets and real TLS, in real time: the machine is real, the probes and
//! the router's mind are the simulation's. The rows run side by side.

use super::common::{self, limit, parse, world, written};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use wanctl::config::Config;
use wanctl::daemon::{Daemon, Reloader, Setup, Store};
use wanctl::types::{EventKind, LinkError, RouterError, TlsFault};
use wanctl_hal::linux::{LinuxBoard, StateDirectory, monotonic};
use wanctl_hal::sim::{
    Action, Cut, Fault, LiveBoard, LiveClock, RouterServer, ServerSetup, SharedWorld, TlsSetup, World, lock,
};
use wanctl_hal::{Board, Duration, Instant, Signal};

/// What is wanted all the time, on an idle line.
const WANTED: [&str; 2] = ["40000000", "14000000"];

/// A simulated router behind real TLS, and a place for the daemon's files.
struct Stage {
    world: SharedWorld,
    clock: LiveClock,
    server: Option<RouterServer>,
    directory: PathBuf,
}

impl Stage {
    fn new(tls: Option<TlsSetup>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let directory = std::env::temp_dir().join(format!("wanctl-faults-{}-{number}", std::process::id()));
        let clock = LiveClock::starting_at(monotonic());
        let world = world(number);
        let setup = ServerSetup { clock, ..ServerSetup::local(tls) };
        let server = Some(RouterServer::start(&setup, Arc::clone(&world), None).unwrap());
        Self { world, clock, server, directory }
    }

    fn server(&self) -> &RouterServer {
        self.server.as_ref().unwrap()
    }

    /// Another server at the same address, as after a new certificate.
    fn replace(&mut self, tls: Option<TlsSetup>) {
        let setup = ServerSetup { bind: self.server().address(), tls, clock: self.clock };
        self.server = None;
        self.server = Some(RouterServer::start(&setup, Arc::clone(&self.world), None).unwrap());
    }

    fn pinned(&self) -> String {
        let hex: Vec<String> = self.server().fingerprint().unwrap().iter().map(|b| format!("{b:02x}")).collect();
        format!("fingerprint = \"{}\"", hex.join(":"))
    }

    fn config(&self, scheme: &str, trust: &str) -> Config {
        let head = format!("response_timeout = \"1s\"\n{trust}");
        let url = format!("{scheme}://{}", self.server().address());
        parse(&common::config_text(&head, "").replace("http://192.168.88.1", &url))
    }

    fn daemon(&self, config: &Config, reloader: Reloader) -> Daemon<LiveBoard<LinuxBoard>> {
        let directory = StateDirectory::open(&self.directory).unwrap();
        let machine = LinuxBoard::new(directory, &config.router.target()).unwrap();
        let mut board = LiveBoard::new(machine, Arc::clone(&self.world));
        let mut store = Store::default();
        let restored = store.load_state(&mut board);
        let router = self.server().address();
        Daemon::new(Setup { board, config: config.clone(), router, reloader, store, restored }).unwrap()
    }

    fn limits(&self) -> [String; 2] {
        ["wan1-dl", "wan1-ul"].map(|queue| limit(&self.world, queue))
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// Goes on until the limits are as wanted; returns when that was, or panics after `patience`.
fn until_right(d: &mut Daemon<LiveBoard<LinuxBoard>>, stage: &Stage, patience: f64, what: &str) -> Instant {
    let end = monotonic() + Duration::from_secs_f64(patience);
    loop {
        let now = monotonic();
        if stage.limits() == WANTED {
            return now;
        }
        assert!(now < end, "{what}: the router still has {:?}", stage.limits());
        d.run_until(now + Duration::from_millis(20));
    }
}

fn faults(d: &Daemon<LiveBoard<LinuxBoard>>) -> Vec<RouterError> {
    let errors = d.events().iter().filter_map(|e| if let EventKind::RouterFault(e) = e.kind { Some(e) } else { None });
    errors.collect()
}

/// What goes wrong.
#[derive(Clone, Copy)]
enum Strike {
    /// A fault that lasts so long.
    One(fn(Duration) -> Fault),
    /// The same, and all connections are cut first, so that it meets the next one.
    Next(fn(Duration) -> Fault),
    /// Something else, likewise.
    Other(fn(&mut World, Instant, Duration)),
}

use Strike::{Next, One, Other};

/// A strike, how long it lasts in milliseconds, and how long the link may need beyond, in seconds.
type Row = (&'static str, Strike, u64, f64);

const fn cut(at: Cut) -> Fault {
    Fault::Cut { at, times: 1 }
}

/// Others take all of the router's connections.
fn crowd(world: &mut World, now: Instant, lasts: Duration) {
    let others: Vec<_> = std::iter::from_fn(|| world.router.connect(now).ok()).collect();
    let gone = move |world: &mut World| others.into_iter().for_each(|id| world.router.disconnect(id, now + lasts));
    world.at(now + lasts, Action::Do(Box::new(gone)));
}

const ROWS: [Row; 24] = [
    ("closed", One(|_| Fault::Close), 0, 5.0),
    ("reset", One(|_| Fault::Reset), 0, 5.0),
    ("refused", Next(Fault::Refuse), 3_000, 5.0),
    ("silent", Next(Fault::Silent), 3_000, 5.0),
    ("short stall", One(Fault::Stall), 700, 5.0),
    ("long stall", One(Fault::Stall), 4_000, 5.0 + 3.0 + 1.0),
    ("answer lost", One(|_| Fault::DropResponse { times: 1 }), 0, 5.0 + 3.0 + 1.0),
    ("reset in the handshake", Next(|_| cut(Cut::Accepted)), 0, 5.0),
    ("reset while asking", One(|_| cut(Cut::Asking)), 0, 5.0),
    ("reset instead of an answer", One(|_| cut(Cut::Served)), 0, 5.0),
    ("reset in the head", One(|_| cut(Cut::Head)), 0, 5.0),
    ("reset in the middle", One(|_| cut(Cut::Middle)), 0, 5.0),
    ("reset before the last byte", One(|_| cut(Cut::LastByte)), 0, 5.0),
    ("no JSON", One(|_| Fault::Garbage { times: 2 }), 0, 5.0),
    ("500", One(|_| Fault::Status { status: 500, times: 3 }), 0, 5.0),
    ("401 once", One(|_| Fault::Status { status: 401, times: 1 }), 0, 5.0 + 3.0),
    ("one byte per 100 ms", One(|_| Fault::Drip { pause: Duration::from_millis(100), times: 1 }), 0, 5.0 + 3.0 + 1.0),
    ("stall in a body", One(|_| Fault::Pause { time: Duration::from_secs(5), times: 1 }), 0, 5.0 + 3.0 + 1.0),
    ("10 MB", One(|_| Fault::Padded { bytes: 10_000_000, chunked: false, times: 1 }), 0, 5.0),
    ("10 MB in chunks", One(|_| Fault::Padded { bytes: 10_000_000, chunked: true, times: 1 }), 0, 5.0),
    ("chunks", One(|_| Fault::Chunked { times: 5 }), 0, 5.0),
    ("100 Continue", One(|_| Fault::Continue { times: 5 }), 0, 5.0),
    ("handshake of 1.5 s", Other(|w, _, _| w.router.set_handshake(Duration::from_millis(1_500))), 0, 5.0),
    ("all connections taken", Other(crowd), 3_000, 5.0),
];

/// The rows for `docs/faults.md`. Real time differs from run to run, so only the bounds are told.
pub fn table() -> String {
    let mut table = String::from("| fault | lasts | right again after its end within |\n|---|---|---|\n");
    for (name, _, lasts, bound) in ROWS {
        let lasts = Duration::from_millis(lasts).as_secs_f64();
        writeln!(table, "| {name} | {lasts} s | {bound} s |").unwrap();
    }
    table
}

#[test]
fn faults_over_real_tls_are_survived_within_their_bounds() {
    let rows: Vec<_> = ROWS.into_iter().map(|row| std::thread::spawn(move || run(row))).collect();
    let failed: Vec<_> = rows.into_iter().zip(ROWS).filter_map(|(t, row)| t.join().err().map(|_| row.0)).collect();
    assert!(failed.is_empty(), "failed: {failed:?}");
}

fn run((name, strike, lasts, bound): Row) {
    let stage = Stage::new(Some(TlsSetup::default()));
    let config = stage.config("https", &stage.pinned());
    let mut d = stage.daemon(&config, Box::new(|_| Err(1)));
    until_right(&mut d, &stage, 20.0, name);
    let (lasts, before) = (Duration::from_millis(lasts), d.counters().connections);
    let now = monotonic();
    {
        let mut world = lock(&stage.world);
        if !matches!(strike, One(_)) {
            world.at(now, Action::Router(Fault::Reset));
        }
        match strike {
            One(fault) | Next(fault) => world.at(now, Action::Router(fault(lasts))),
            Other(what) => world.at(now, Action::Do(Box::new(move |world| what(world, now, lasts)))),
        }
        world.at(now, Action::SetLimit("wan1-dl".into(), "0".into()));
        world.advance(now);
    }
    assert_ne!(stage.limits(), WANTED, "{name}");
    let right = until_right(&mut d, &stage, lasts.as_secs_f64() + bound, name);
    // And it stays so.
    d.run_until(right + Duration::from_secs(2));
    assert_eq!(stage.limits(), WANTED, "{name}");
    for bps in written(&stage.world) {
        assert!((2_000_000..=40_000_000).contains(&bps), "{name}: sent {bps}");
    }
    let handshakes = d.counters().handshakes;
    let took = right.since(now + lasts).as_secs_f64();
    let connections = d.counters().connections - before;
    eprintln!("{name}: right {took:.2} s after its end, {connections} connections, {handshakes} handshakes in full");
    assert!(handshakes <= 1, "{name}: TLS sessions are resumed");
}

#[test]
fn another_certificate_stops_writes_until_the_operator_says_it_is_right() {
    let mut stage = Stage::new(Some(TlsSetup::default()));
    let config = stage.config("https", &stage.pinned());
    let next = Arc::new(std::sync::Mutex::new(None::<Config>));
    let reloader: Reloader = Box::new({
        let next = Arc::clone(&next);
        move |_| next.lock().unwrap().clone().ok_or(1)
    });
    let mut d = stage.daemon(&config, reloader);
    until_right(&mut d, &stage, 20.0, "start");
    let writes = lock(&stage.world).router.writes_total();

    let pinned = stage.server().fingerprint().unwrap();
    stage.replace(Some(TlsSetup::default()));
    lock(&stage.world).at(monotonic(), Action::SetLimit("wan1-dl".into(), "0".into()));
    d.run_until(monotonic() + Duration::from_secs(4));
    let seen = stage.server().fingerprint().unwrap();
    let changed = RouterError::Link(LinkError::Tls(TlsFault::Fingerprint(pinned, seen)));
    assert!(faults(&d).contains(&changed), "{:?}", faults(&d));
    assert_eq!(lock(&stage.world).router.writes_total(), writes, "nothing is said to a stranger");
    assert_eq!(stage.limits()[0], "0");

    *next.lock().unwrap() = Some(stage.config("https", &stage.pinned()));
    lock(&stage.world).at(monotonic(), Action::Signal(Signal::Reload));
    until_right(&mut d, &stage, 10.0, "the new pin");
}

/// A way of not being the router, what the configuration says, and what is told.
type Stranger = (&'static str, Option<TlsSetup>, &'static str, fn(RouterError) -> bool);

#[test]
fn who_is_not_the_router_gets_nothing() {
    let signed = || TlsSetup { signed: true, names: vec!["127.0.0.1".into()], ..TlsSetup::default() };
    let expired = || TlsSetup { expired: true, ..signed() };
    let rows: [Stranger; 4] = [
        ("expired", Some(expired()), "ca", |e| e == RouterError::Link(LinkError::Tls(TlsFault::Expired))),
        ("another authority", Some(signed()), "other ca", |e| {
            e == RouterError::Link(LinkError::Tls(TlsFault::UnknownIssuer))
        }),
        ("plain HTTP on the TLS port", None, "pin", |e| e == RouterError::Link(LinkError::Tls(TlsFault::NotTls))),
        ("TLS on the plain port", Some(TlsSetup::default()), "plain", |e| {
            matches!(e, RouterError::UnexpectedBody | RouterError::Link(_) | RouterError::ResponseTimeout)
        }),
    ];
    std::thread::scope(|scope| {
        for row in rows {
            scope.spawn(move || stranger(row));
        }
    });
}

fn stranger((name, tls, trust, told): Stranger) {
    let stage = Stage::new(tls);
    let file = stage.directory.with_extension("pem");
    let other = Stage::new(Some(TlsSetup { signed: true, ..TlsSetup::default() }));
    let pem = if trust == "other ca" { other.server().pem() } else { stage.server().pem() };
    std::fs::write(&file, pem.unwrap_or_default()).unwrap();
    let ca = format!("ca_file = \"{}\"", file.display());
    let config = match trust {
        "plain" => stage.config("http", ""),
        "pin" => stage.config("https", &format!("fingerprint = \"{}\"", "ab".repeat(32))),
        _ => stage.config("https", &ca),
    };
    let mut d = stage.daemon(&config, Box::new(|_| Err(1)));
    d.run_until(monotonic() + Duration::from_secs(4));
    let errors = faults(&d);
    assert!(!errors.is_empty() && errors.iter().all(|e| told(*e)), "{name}: {errors:?}");
    assert_eq!(lock(&stage.world).router.requests_total(), 0, "{name}: not a request, so no password");
    assert!(d.board().clock().now > Instant::ZERO);
    let _ = std::fs::remove_file(file);
}

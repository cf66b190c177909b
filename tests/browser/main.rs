//! What people look with: the daemon in real time on two simulated lines, one of which collapses;
//! headless Chromium that looks at the page (`look.py`, its pictures are in target/screenshots), and
//! a Prometheus that is asked what the dashboard asks (`monitoring.py`).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "../common/mod.rs"]
mod common;
#[allow(dead_code, reason = "the scenarios of steering need more of it")]
#[path = "../scenarios/steering/house.rs"]
mod house;

use common::{mbps, parse};
use house::{Contender, PLAN, config_text, world};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, JoinHandle};
use wanctl::daemon::{Daemon, Restored, Setup, Store};
use wanctl_hal::linux::{LinuxBoard, StateDirectory, monotonic};
use wanctl_hal::sim::{Action, LiveBoard, LiveClock, RouterServer, ServerSetup, lock};
use wanctl_hal::{Direction, Duration};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// When the first line collapses, after the start.
const COLLAPSE: Duration = Duration::from_secs(12);

/// A daemon that runs until it is dropped.
struct Stage {
    port: u16,
    stop: Sender<()>,
    daemon: Option<JoinHandle<u64>>,
    _router: RouterServer,
}

impl Stage {
    fn new() -> Self {
        let world = world(&PLAN, 1);
        let start = monotonic();
        let setup = ServerSetup { clock: LiveClock::starting_at(start), ..ServerSetup::local(None) };
        let server = RouterServer::start(&setup, Arc::clone(&world), None).unwrap();
        let (router, port) = (server.address(), free_port());
        let text = config_text(&PLAN, "adaptive", Contender::Ours);
        let text = text.replace("http://192.168.88.1", &format!("http://{router}"));
        let text = format!("{text}[observe]\nlisten = \"127.0.0.1:{port}\"\n");
        for (after, action) in [
            (Duration::from_secs(1), Action::Flows(0, Direction::Download, 4)),
            (Duration::from_secs(1), Action::Flows(1, Direction::Upload, 1)),
            (COLLAPSE, Action::Capacity(0, Direction::Download, mbps(3))),
        ] {
            lock(&world).at(start + after, action);
        }
        let (stop, stopped) = channel();
        let daemon = thread::spawn(move || {
            let directory = std::env::temp_dir().join(format!("wanctl-browser-{}-{port}", std::process::id()));
            let config = parse(&text);
            let machine = LinuxBoard::new(StateDirectory::open(&directory).unwrap(), &config.router.target()).unwrap();
            let board = LiveBoard::new(machine, world);
            let reloader = Box::new(|_: &_| Err(1));
            let (store, restored) = (Store::default(), Restored::default());
            let mut daemon = Daemon::new(Setup { board, config, router, reloader, store, restored }).unwrap();
            while stopped.try_recv().is_err() {
                assert!(!daemon.run_until(monotonic() + Duration::from_millis(50)), "stopped");
            }
            let _ = std::fs::remove_dir_all(&directory);
            daemon.counters().missed
        });
        Self { port, stop, daemon: Some(daemon), _router: server }
    }

    /// Lets a script look at it; all must be well.
    fn shown(mut self, script: &str, arguments: &[&Path]) {
        let output = Command::new(python())
            .arg(Path::new(ROOT).join("tests/browser").join(script))
            .arg(format!("http://127.0.0.1:{}/", self.port))
            .args(arguments)
            .output()
            .unwrap();
        let _ = self.stop.send(());
        let missed = self.daemon.take().unwrap().join().expect("the daemon went on");
        let told = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        println!("{told}{missed} cycles missed meanwhile");
        assert!(output.status.success() && told.contains("all is well\n"), "{told}");
    }
}

fn python() -> PathBuf {
    Path::new(ROOT).join("target/clients/bin/python")
}

/// Whether these can be run; without them a test fails, unless the variable says to go without it.
fn tools(variable: &str, programs: &[&str]) -> bool {
    if std::env::var_os(variable).is_some() {
        eprintln!("NOT RUN because of {variable}");
        return false;
    }
    let works = |program: &&&str| Command::new(program).arg("--version").output().is_ok_and(|o| o.status.success());
    let missing: Vec<_> = programs.iter().filter(|program| !works(program)).collect();
    assert!(
        missing.is_empty() && python().exists(),
        "{missing:?} or {} (with websocket-client) is missing: `make tools` installs them; {variable}=1 goes without \
         this test",
        python().display()
    );
    true
}

#[test]
fn the_page_tells_it_in_a_browser() {
    if tools("WANCTL_SKIP_BROWSER", &["chromium"]) {
        let pictures = Path::new(ROOT).join("target/screenshots");
        std::fs::create_dir_all(&pictures).unwrap();
        Stage::new().shown("look.py", &[&pictures]);
    }
}

#[test]
fn prometheus_answers_what_the_dashboard_asks() {
    if tools("WANCTL_SKIP_PROMETHEUS", &["prometheus", "promtool"]) {
        Stage::new().shown("monitoring.py", &[&Path::new(ROOT).join("docs/monitoring")]);
    }
}

/// This needs no tool: every name in dashboard and rules is one of ours.
#[test]
fn the_names_in_dashboard_and_rules_are_ours() {
    let known: Vec<String> = wanctl::observe::pages::described()
        .into_iter()
        .flat_map(|(name, kind, _)| if kind == "histogram" { vec![format!("{name}_bucket")] } else { vec![name] })
        .collect();
    let mut found = 0;
    for file in ["dashboard.json", "rules.yml"] {
        let text = std::fs::read_to_string(Path::new(ROOT).join("docs/monitoring").join(file)).unwrap();
        for word in text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|w| w.starts_with("wanctl_")) {
            assert!(known.iter().any(|name| name == word), "{file}: {word} is none of {known:?}");
            found += 1;
        }
    }
    assert!(found > 30, "{found}");
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

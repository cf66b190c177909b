//! The page in a real browser: the daemon in real time on two simulated lines, one of which
//! collapses, and headless Chromium that looks (`look.py`). Its pictures are in target/screenshots.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "../common/mod.rs"]
mod common;
#[allow(dead_code, reason = "the scenarios of steering need more of it")]
#[path = "../scenarios/steering/house.rs"]
mod house;

use common::{mbps, parse};
use house::{Contender, PLAN, config_text, world};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::thread;
use wanctl::daemon::{Daemon, Restored, Setup, Store};
use wanctl_hal::linux::{LinuxBoard, StateDirectory, monotonic};
use wanctl_hal::sim::{Action, LiveBoard, LiveClock, RouterServer, ServerSetup, lock};
use wanctl_hal::{Direction, Duration};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// When the first line collapses, after the start.
const COLLAPSE: Duration = Duration::from_secs(12);

#[test]
fn the_page_tells_it_in_a_browser() {
    if std::env::var_os("WANCTL_SKIP_BROWSER").is_some() {
        eprintln!("NOT RUN because of WANCTL_SKIP_BROWSER: the page in a browser");
        return;
    }
    let python = Path::new(ROOT).join("target/clients/bin/python");
    let has_chromium = Command::new("chromium").arg("--version").output().is_ok_and(|o| o.status.success());
    assert!(
        python.exists() && has_chromium,
        "chromium, or {} with websocket-client, is missing: `make tools` installs them; WANCTL_SKIP_BROWSER=1 goes \
         without this test",
        python.display()
    );
    let world = world(&PLAN, 1);
    let start = monotonic();
    let setup = ServerSetup { clock: LiveClock::starting_at(start), ..ServerSetup::local(None) };
    let server = RouterServer::start(&setup, Arc::clone(&world), None).unwrap();
    let (router, port) = (server.address(), free_port());
    let text =
        config_text(&PLAN, "adaptive", Contender::Ours).replace("http://192.168.88.1", &format!("http://{router}"));
    let text = format!("{text}[observe]\nlisten = \"127.0.0.1:{port}\"\n");
    for (after, action) in [
        (Duration::from_secs(1), Action::Flows(0, Direction::Download, 4)),
        (Duration::from_secs(1), Action::Flows(1, Direction::Upload, 1)),
        (COLLAPSE, Action::Capacity(0, Direction::Download, mbps(3))),
    ] {
        lock(&world).at(start + after, action);
    }
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let daemon = thread::spawn(move || {
        let directory = std::env::temp_dir().join(format!("wanctl-browser-{}", std::process::id()));
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
    let pictures = Path::new(ROOT).join("target/screenshots");
    std::fs::create_dir_all(&pictures).unwrap();
    let output = Command::new(python)
        .arg(Path::new(ROOT).join("tests/browser/look.py"))
        .arg(format!("http://127.0.0.1:{port}/"))
        .arg(&pictures)
        .output()
        .unwrap();
    let _ = stop.send(());
    let missed = daemon.join().expect("the daemon went on");
    let told = String::from_utf8_lossy(&output.stdout);
    println!("{told}{}", String::from_utf8_lossy(&output.stderr));
    println!("{missed} cycles missed meanwhile");
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    assert!(told.ends_with("all is well\n"), "{told}");
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

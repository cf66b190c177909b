//! A run is recorded and repeated: the same events, the same bytes to the router, the same files,
//! though the secret is another. What is not the same is found.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use common::{at, config_text, mbps, world};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::rc::Rc;
use std::sync::Arc;
use wanctl::config::{self, Config};
use wanctl::daemon::{Counters, Daemon, Setup, Store};
use wanctl::types::{Event, EventKind};
use wanctl_hal::record::{Cut, Damage, End, Entry, Io, Playback, Player, Recorder, Recording, SMALLEST, Tape};
use wanctl_hal::sim::{self, Action, Fault, SharedWorld, SimBoard, lock};
use wanctl_hal::{Board, Direction, Duration, EchoEvent, Instant, Signal, StoreError};

/// The simulated router's password, which must not be found in any recording.
const PASSWORD: &str = "secret";

/// Tests that look at one law say which.
const CLASSIC: &str = "law = \"classic\"";

/// The recordings that every version of the program must replay.
const KEPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/recordings");

/// Memory that a tape can be written to.
#[derive(Clone, Default)]
struct Memory(Rc<RefCell<Vec<u8>>>);

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn parse(text: &str, password: &str) -> Config {
    let env = |name: &str| (name == "WANCTL_ROUTER_PASSWORD").then(|| password.to_owned());
    config::parse(text, "test.toml", Path::new("."), &env).unwrap_or_else(|f| panic!("{f}")).0
}

fn configuration(text: &str) -> Value {
    json!({ "file": "test.toml", "text": text, "password": 0, "authorities": null })
}

/// Everything that a run leaves.
#[derive(Debug, PartialEq)]
struct Left {
    events: Vec<Event>,
    counters: Counters,
}

/// Runs until it is stopped or `over`, which is asked before and after every sleep and told which;
/// returns whether it was stopped.
fn run<B: Board>(daemon: &mut Daemon<B>, mut over: impl FnMut(bool) -> bool) -> (bool, Left) {
    let (mut events, mut stopped) = (Vec::new(), false);
    while !stopped && !over(false) {
        let (ready, clock) = daemon.sleep(Instant::from_nanos(u64::MAX));
        if over(true) {
            break;
        }
        let before = daemon.events().total();
        stopped = daemon.turn(ready, clock);
        let new = usize::try_from(daemon.events().total() - before).unwrap();
        let kept = daemon.events().iter().count();
        events.extend(daemon.events().iter().skip(kept - new));
    }
    (stopped, Left { events, counters: *daemon.counters() })
}

/// Runs a daemon in this world until it is told to stop, at the latest until `end`, and records
/// it. A reload finds `next`.
fn record(world: &SharedWorld, text: &str, next: Option<&str>, end: f64, limit: u64) -> (Vec<u8>, Left) {
    let memory = Memory::default();
    let tape = Tape::new(Box::new(memory.clone()), "memory", limit).unwrap();
    let mut board = Recorder::new(SimBoard::new(Arc::clone(world)), tape);
    let tape = board.tape();
    let note = move |value: Value| tape.borrow_mut().note(&serde_json::to_vec(&value).unwrap());
    let start =
        json!({ "program": env!("CARGO_PKG_VERSION"), "at": 1_795_392_000, "configuration": configuration(text) });
    note(json!({ "Start": start }));
    let mut store = Store::default();
    let restored = store.load_state(&mut board);
    let router = "192.168.88.1:80".parse().unwrap();
    note(json!({ "Router": router }));
    let next = next.map(str::to_owned);
    let reloader = Box::new(move |_: &Config| {
        note(
            json!({ "Reload": next.as_deref().map_or(json!({ "Err": 3 }), |next| json!({ "Ok": configuration(next) })) }),
        );
        next.as_deref().map(|next| parse(next, PASSWORD)).ok_or(3)
    });
    let config = parse(text, PASSWORD);
    let mut daemon = Daemon::new(Setup { board, config, router, reloader, store, restored }).unwrap();
    let (_, left) = run(&mut daemon, |slept| !slept && lock(world).now() >= at(end));
    drop(daemon);
    (memory.0.take(), left)
}

fn note(player: &RefCell<Player>) -> Value {
    serde_json::from_slice(&player.borrow_mut().note().expect("a note")).unwrap()
}

/// A daemon with another secret, on a board that plays this; `change` may change its
/// configuration. What it left, the player, and a recording of the replay.
fn replay(recording: Recording, change: impl Fn(&str) -> String + 'static) -> (Left, Rc<RefCell<Player>>, Vec<u8>) {
    let memory = Memory::default();
    let tape = Tape::new(Box::new(memory.clone()), "memory", u64::MAX).unwrap();
    let playback = Playback::new(recording);
    let player = playback.player();
    let mut board = Recorder::new(playback, tape);
    let tape = board.tape();
    let told = Rc::clone(&player);
    let note = move || {
        let value = note(&told);
        tape.borrow_mut().note(&serde_json::to_vec(&value).unwrap());
        value
    };
    let parse = move |configuration: &Value| {
        parse(&change(configuration["text"].as_str().unwrap()), "correct horse battery staple")
    };
    let config = parse(&note()["Start"]["configuration"]);
    let mut store = Store::default();
    let restored = store.load_state(&mut board);
    let router = note()["Router"].as_str().unwrap().parse().unwrap();
    let reloader = Box::new(move |_: &Config| match &note()["Reload"] {
        refused if refused["Err"].is_u64() => Err(3),
        taken => Ok(parse(&taken["Ok"])),
    });
    let mut daemon = Daemon::new(Setup { board, config, router, reloader, store, restored }).unwrap();
    let (stopped, left) = run(&mut daemon, |_| player.borrow().is_over());
    if stopped {
        player.borrow_mut().stopped();
    }
    drop(daemon);
    (left, player, memory.0.take())
}

/// Two minutes in which nearly everything happens.
fn eventful(world: &SharedWorld) {
    let mut world = lock(world);
    let mut then = |seconds: f64, action| world.at(at(seconds), action);
    let reflector = "1.1.1.1".parse().unwrap();
    then(4.0, Action::Flows(0, Direction::Download, 4));
    then(6.0, Action::Flows(0, Direction::Upload, 2));
    then(10.0, Action::Capacity(0, Direction::Download, mbps(12)));
    then(14.0, Action::Router(Fault::Reset));
    then(18.0, Action::Router(Fault::Stall(Duration::from_secs(12))));
    then(36.0, Action::Capacity(0, Direction::Download, mbps(30)));
    then(38.0, Action::Router(Fault::Garbage { times: 2 }));
    then(42.0, Action::Router(Fault::Status { status: 500, times: 2 }));
    then(44.0, Action::Silence(0, reflector, Duration::from_secs(5)));
    then(46.0, Action::Echo(0, EchoEvent::Malformed));
    then(46.0, Action::Echo(0, EchoEvent::Foreign));
    then(46.1, Action::Echo(0, EchoEvent::ClockStep));
    let strange = EchoEvent::Unreachable { from: "192.0.2.1".parse().unwrap(), to: reflector, sequence: 7 };
    then(46.2, Action::Echo(0, strange));
    then(48.0, Action::Do(Box::new(|world| world.link_chunk = 37)));
    then(52.0, Action::Do(Box::new(|world| world.link_chunk = usize::MAX)));
    then(54.0, Action::Reboot(Duration::from_secs(8)));
    then(70.0, Action::Signal(Signal::Dump));
    then(72.0, Action::SetLimit("wan1-dl".into(), "1000000".into()));
    then(76.0, Action::Connected(0, false));
    then(79.0, Action::Connected(0, true));
    then(82.0, Action::Do(Box::new(|world| world.store.fail(Some(StoreError::Os(28))))));
    then(90.0, Action::Signal(Signal::Reload));
    then(100.0, Action::Flows(0, Direction::Download, 0));
    then(110.0, Action::Router(Fault::Cut { at: sim::Cut::Middle, times: 1 }));
    then(125.0, Action::Do(Box::new(|world| world.store.fail(None))));
    then(130.0, Action::Signal(Signal::Stop));
}

/// The eventful run.
fn eventful_recording(law: &str) -> (Vec<u8>, Left) {
    let world = world(5);
    eventful(&world);
    let law = format!("law = \"{law}\"");
    let next = config_text("[loop]\ncycle = \"100ms\"", &law).replace("40M", "25M");
    record(&world, &config_text("", &law), Some(&next), 200.0, u64::MAX)
}

/// A second line, and calls that go there while the first one is cut.
fn steered_recording() -> (Vec<u8>, Left) {
    let world = world(5);
    let line = sim::LineSetup { seed: 9, ..sim::LineSetup::new(mbps(20), mbps(8)) };
    let reflectors = ["1.0.0.1", "9.9.9.10", "8.8.4.4"].map(|ip| ip.parse().unwrap());
    lock(&world).wans.push(sim::Wan::new("wan2", "ether1", &line).with_reflectors(&reflectors));
    lock(&world).at(at(30.0), Action::Connected(0, false));
    lock(&world).at(at(50.0), Action::Connected(0, true));
    lock(&world).at(at(100.0), Action::Signal(Signal::Stop));
    let second = "[[wan]]\nname = \"dsl\"\nlink = \"dsl\"\nmark = 2\nreflectors = [\"1.0.0.1\", \"9.9.9.10\", \"8.8.4.4\"]\n\
                  [wan.download]\nqueue = \"wan2-dl\"\nceiling = \"20M\"\n[wan.upload]\nqueue = \"wan2-ul\"\n\
                  ceiling = \"8M\"\n[[steering]]\nname = \"calls\"\nprimary = \"cable\"\ndry_run = true\n\
                  [[steering.alternate]]\nwan = \"dsl\"\nrule = \"calls via dsl\"\n";
    record(&world, &format!("{}{second}", config_text("", "mark = 1")), None, 120.0, u64::MAX)
}

#[test]
fn a_steered_run_repeats_itself() {
    let (first, recorded) = steered_recording();
    let turns = recorded.events.iter().filter(|e| matches!(e.kind, EventKind::Steer { .. })).count();
    assert_eq!(turns, 2, "there and back");
    let (repeated, player, second) = replay(Recording::read(&first).unwrap(), same);
    assert_eq!(player.borrow().divergence(), None);
    assert_eq!(recorded, repeated);
    assert!(first == second, "a recording of the replay is the recording");
}

fn same(text: &str) -> String {
    text.to_owned()
}

#[test]
fn a_run_repeats_itself_byte_for_byte() {
    ["classic", "adaptive"].into_iter().for_each(repeats_itself);
}

fn repeats_itself(law: &str) {
    let (first, recorded) = eventful_recording(law);
    let kinds: Vec<EventKind> = recorded.events.iter().map(|e| e.kind).collect();
    assert!(kinds.iter().any(|k| matches!(k, EventKind::Reloaded)), "{kinds:?}");
    assert!(kinds.iter().any(|k| matches!(k, EventKind::SaveFailed { .. })), "{kinds:?}");
    assert!(recorded.counters.connections > 5 && recorded.counters.cycles > 2000, "{:?}", recorded.counters);
    let (repeated, player, second) = replay(Recording::read(&first).unwrap(), same);
    assert_eq!(player.borrow().divergence(), None);
    assert_eq!(player.borrow().end(), Some(End::Stopped));
    for (recorded, repeated) in recorded.events.iter().zip(&repeated.events) {
        assert_eq!(recorded, repeated);
    }
    assert_eq!(recorded, repeated);
    assert!(first == second, "a recording of the replay is the recording");
}

#[test]
fn no_secret_gets_into_it() {
    let (bytes, _) = eventful_recording("classic");
    let recording = Recording::read(&bytes).unwrap();
    let mut content = bytes;
    let mut requests = 0;
    for entry in recording.entries() {
        if let Entry::LinkWrite(Io::Moved(written)) = &entry {
            requests += written.windows(11).filter(|w| w == b" HTTP/1.1\r\n").count();
            content.extend_from_slice(written);
        }
        content.extend_from_slice(format!("{entry:?}").as_bytes());
    }
    assert!(requests > 50, "only {requests} requests were looked at");
    let find = |what: &str| content.windows(what.len()).any(|w| w == what.as_bytes());
    assert!(find("Authorization:\r\n"), "the header is there, without its value");
    for secret in [PASSWORD, "Basic", "d2FuY3RsOnNlY3JldA", "nNlY3JldA"] {
        assert!(!find(secret), "{secret}");
    }
}

#[test]
fn a_recorded_reload_that_was_refused_is_refused_again() {
    let world = world(2);
    lock(&world).at(at(5.0), Action::Signal(Signal::Reload));
    let (bytes, recorded) = record(&world, &config_text("", ""), None, 10.0, u64::MAX);
    assert!(recorded.events.iter().any(|e| matches!(e.kind, EventKind::ReloadRefused { faults: 3 })));
    let (repeated, player, _) = replay(Recording::read(&bytes).unwrap(), same);
    assert_eq!(player.borrow().divergence(), None);
    assert_eq!(recorded, repeated);
}

#[test]
fn a_changed_law_is_found_and_told() {
    let (bytes, _) = eventful_recording("classic");
    let changes: [(&str, &str, &str, [f64; 2]); 3] = [
        ("ceiling = \"40M\"", "ceiling = \"39M\"", "max-limit", [0.0, 4.0]),
        ("[wan.download]", "[wan.download]\nfactor_down_yellow = 0.9", "max-limit", [4.0, 30.0]),
        ("link = \"cable\"", "link = \"cable\"\nprobes_per_cycle = 3", "slept", [0.0, 2.0]),
    ];
    for (old, new, expected, [from, to]) in changes {
        let change = move |text: &str| text.replace(old, new);
        let (_, player, _) = replay(Recording::read(&bytes).unwrap(), change);
        let player = player.borrow();
        let divergence = player.divergence().unwrap_or_else(|| panic!("{new}: not found"));
        let at = divergence.at.as_secs_f64();
        assert!((from..to).contains(&at), "{new}: {at}\n{divergence}");
        let told = divergence.to_string();
        assert!(told.contains("recorded: ") && told.contains("now: ") && told.contains(expected), "{new}: {told}");
    }
}

#[test]
fn every_damage_is_found_and_told() {
    let (bytes, _) = record(&world(1), &config_text("", ""), None, 20.0, u64::MAX);
    let step = bytes.len() / 150;
    for at in (0..bytes.len()).step_by(step).chain([1, 8, 12, 13, 17, 23, 24, bytes.len() - 1]) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1 << (at % 8);
        match (at, Recording::read(&damaged).unwrap_err()) {
            (0..8, Damage::NotARecording) | (8..12, Damage::Version(_)) => {}
            (_, Damage::Block(begin)) => assert!(begin <= at, "{at}: {begin}"),
            (_, other) => panic!("{at}: {other:?}"),
        }
    }
}

#[test]
fn a_cut_recording_is_played_as_far_as_it_is_whole() {
    let (bytes, _) = record(&world(1), &config_text("", ""), None, 20.0, u64::MAX);
    let mut cycles = 0;
    for part in 5..20 {
        let cut = bytes.len() * part / 20;
        let recording = Recording::read(&bytes[..cut]).unwrap();
        let Cut { offset, left } = recording.cut().expect("no block ends just here");
        assert_eq!(offset + left, cut);
        let (repeated, player, _) = replay(recording, same);
        let player = player.borrow();
        assert_eq!((player.divergence(), player.end()), (None, None), "{cut}");
        assert!(repeated.counters.cycles > cycles, "{cut}: {}", repeated.counters.cycles);
        cycles = repeated.counters.cycles;
    }
    assert!(cycles > 350, "{cycles}");
}

#[test]
fn the_size_is_kept_and_the_run_goes_on() {
    let world = world(1);
    let (bytes, recorded) = record(&world, &config_text("", ""), None, 400.0, SMALLEST);
    let size = bytes.len() as u64;
    assert!(size <= SMALLEST && size > SMALLEST - 4096, "{size}");
    let (repeated, player, _) = replay(Recording::read(&bytes).unwrap(), same);
    assert_eq!((player.borrow().divergence(), player.borrow().end()), (None, Some(End::Full)));
    assert!(recorded.counters.cycles > repeated.counters.cycles + 1000, "{recorded:?} {repeated:?}");
}

/// A directory of this test's own.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("wanctl-record-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, content).unwrap();
        path
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// `wanctl replay` without any secret in its environment.
fn wanctl(arguments: &[&Path]) -> (Output, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wanctl"));
    let output = command.arg("replay").args(arguments).env_remove("WANCTL_ROUTER_PASSWORD").output().unwrap();
    let [out, err] = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    (output, out, err)
}

#[test]
fn the_command_replays_and_tells_what_is_wrong() {
    let directory = Directory::new("command");
    let (bytes, recorded) = eventful_recording("classic");
    let file = directory.write("good.wanrec", &bytes);
    let (output, out, err) = wanctl(&[&file]);
    assert!(output.status.success(), "{out}{err}");
    let last = format!("replayed {} cycles, identical", recorded.counters.cycles);
    assert_eq!(out.lines().last(), Some(last.as_str()), "{out}");
    assert!(out.starts_with("2026-11-23T00:00:00Z "), "the time of the recording: {out}");
    for words in ["starts: 1 WANs", "configuration read again", "connection refused", "stopping", "stopped"] {
        assert!(out.contains(words), "{words}: {out}");
    }

    let cut = directory.write("cut.wanrec", &bytes[..bytes.len() / 2]);
    let (output, out, _) = wanctl(&[&cut]);
    assert!(output.status.success());
    assert!(out.lines().last().unwrap().contains("identical up to byte "), "{out}");

    let begun = directory.write("begun.wanrec", &bytes[..20]);
    let (output, _, err) = wanctl(&[&begun]);
    assert_eq!(output.status.code(), Some(1));
    assert!(err.contains("begun.wanrec does not begin with a configuration"), "{err}");

    let mut damaged = bytes.clone();
    damaged[bytes.len() / 2] ^= 4;
    let damaged = directory.write("damaged.wanrec", &damaged);
    let (output, out, err) = wanctl(&[&damaged]);
    assert_eq!((output.status.code(), out.as_str()), (Some(1), ""));
    assert!(err.contains("damaged.wanrec is damaged: the check sum of the block at byte "), "{err}");

    let mut later = bytes.clone();
    later[8] = 99;
    let later = directory.write("later.wanrec", &later);
    let (output, _, err) = wanctl(&[&later]);
    assert_eq!(output.status.code(), Some(1));
    assert!(err.contains("is a recording of format version 99; this program reads version 1"), "{err}");

    let series = directory.write("series.csv", b"rtt_ms\n20\n");
    let (output, _, err) = wanctl(&[&series]);
    assert_eq!(output.status.code(), Some(2));
    assert!(err.contains("a CSV file needs --wan NAME"), "{err}");
}

#[test]
fn another_configuration_is_asked_what_it_would_have_done() {
    let directory = Directory::new("other");
    let world = world(3);
    lock(&world).at(at(5.0), Action::Flows(0, Direction::Download, 4));
    let (bytes, recorded) = record(&world, &config_text("", CLASSIC), None, 30.0, u64::MAX);
    let file = directory.write("run.wanrec", &bytes);
    let option = Path::new("--config");
    let same = directory.write("same.toml", config_text("", CLASSIC).as_bytes());
    let (output, out, err) = wanctl(&[option, &same, &file]);
    assert!(output.status.success(), "{err}");
    assert_eq!(out.lines().count(), 1, "the header alone: {out}");
    let told = format!("replayed {} cycles, identical up to", recorded.counters.cycles);
    assert!(err.contains("decides differently in 0") || err.contains(&told), "{err}");
    let text = config_text("", CLASSIC).replace("[wan.download]", "[wan.download]\nfactor_down_yellow = 0.9");
    let other = directory.write("other.toml", text.as_bytes());
    let (output, out, err) = wanctl(&[option, &other, &file]);
    assert!(output.status.success(), "{err}");
    let rows: Vec<Vec<&str>> = out.lines().skip(1).map(|row| row.split(',').collect()).collect();
    assert!(rows.len() > 100, "{err}");
    for row in &rows {
        assert_eq!((row.len(), row[1]), (11, "cable"));
        assert!(row[3..7] != row[7..], "{row:?}");
        assert_eq!(row[5..7], row[9..], "the upload is the same: {row:?}");
    }
    assert!(err.contains(&format!("the other configuration decides differently in {}", rows.len())), "{err}");
}

/// Recordings that are kept are tests: see `tests/recordings/README.md`.
#[test]
fn kept_recordings_are_of_this_format() {
    for file in kept() {
        if let Err(damage) = Recording::read(&std::fs::read(&file).unwrap()) {
            panic!("{} {damage}; tests/recordings/README.md says what to do", file.display());
        }
    }
}

#[test]
fn kept_recordings_are_repeated() {
    let mut repeated = 0;
    for file in kept() {
        if matches!(Recording::read(&std::fs::read(&file).unwrap()), Err(Damage::Version(_))) {
            continue; // told by the test above, and not the law's fault
        }
        let (output, out, err) = wanctl(&[&file]);
        let last = out.lines().last().unwrap_or("");
        let good = output.status.success() && last.starts_with("replayed ") && last.contains("identical");
        assert!(
            good,
            "{}: {err}{out}\nIf this was intended, tests/recordings/README.md says how to go on.",
            file.display()
        );
        repeated += 1;
    }
    assert!(repeated > 0, "there is no recording that can be read");
}

fn kept() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(KEPT).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.extension().is_some_and(|e| e == "wanrec")).collect()
}

/// Makes the kept recordings that come from the simulation anew: `make recordings`.
#[test]
#[ignore = "writes into the source tree"]
fn make_recordings() {
    for law in ["classic", "adaptive"] {
        let world = world(7);
        {
            let mut world = lock(&world);
            world.at(at(3.0), Action::Flows(0, Direction::Download, 4));
            world.at(at(10.0), Action::Capacity(0, Direction::Download, mbps(12)));
            world.at(at(14.0), Action::Reboot(Duration::from_secs(4)));
            world.at(at(24.0), Action::Capacity(0, Direction::Download, mbps(30)));
            world.at(at(30.0), Action::Signal(Signal::Stop));
        }
        let text = config_text("", &format!("law = \"{law}\""));
        let (bytes, _) = record(&world, &text, None, 60.0, u64::MAX);
        std::fs::write(Path::new(KEPT).join(format!("collapse-and-reboot-{law}.wanrec")), bytes).unwrap();
    }
}

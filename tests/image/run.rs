//! Control runs: a bulk upload fills a real line; the limits must come down to what it can, and be the operator's again at
//! the end.

use super::controller::{Daemon, PASSWORD, Router, configuration};
use super::dist::{Scratch, Target, output, targets, text};
use super::line::{Direction, RealLine};
use super::netns;
use super::traffic::{self, Control, EndOnDrop};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

/// What the line can (bit/s): little, so that an emulated processor has time to spare.
const LINE: u64 = 8_000_000;

/// Where the limits begin.
const CEILING: u64 = 12_000_000;

/// How low they may go.
const FLOOR: u64 = 2_000_000;

/// The container's limits, which the issue of a small router sets.
const MEMORY: u64 = 8 << 20;
const FILES: u64 = 64;

/// Starts the program, given a directory with `wanctl.toml` and an empty `state`.
type Start<'a> = &'a dyn Fn(&RealLine, PathBuf) -> Daemon;

/// The program's process, given the one that was started.
type Process<'a> = &'a dyn Fn(u32) -> u32;

/// One run, of this length under load; `state` is what the program calls its state directory.
fn controls(name: &str, load: Duration, state: &Path, start: Start<'_>, process: Process<'_>) {
    let line = RealLine::new(name, LINE, CEILING);
    let router = Router::new(&line, CEILING);
    let scratch = Scratch::new(name);
    fs::create_dir(scratch.0.join("state")).unwrap();
    let state = if state.is_absolute() { state.to_owned() } else { scratch.0.join(state) };
    fs::write(scratch.0.join("wanctl.toml"), configuration(&router, &state, "adaptive", CEILING, FLOOR)).unwrap();
    let control = Control::default();
    thread::scope(|scope| {
        let _end = EndOnDrop(&control);
        let (daemon, began) = (start(&line, scratch.0.clone()), Instant::now());
        thread::sleep(Duration::from_secs(4));
        let writes = router.rates(Direction::Upload).len();
        traffic::load(scope, &line, Direction::Upload, 4, &control);
        thread::sleep(load);
        control.end_load();
        let rates: Vec<u64> = router.rates(Direction::Upload).iter().map(|(_, bps)| *bps).collect();
        let (memory, share) = (memory(process(daemon.id())), share(process(daemon.id()), began.elapsed()));
        let (well, log) = daemon.stop();
        let after = router.rates(Direction::Upload).last().map(|(_, bps)| *bps);
        println!("{name}: rates {rates:?}, {memory}, {share:.2} % of a core");
        // A program that hears no delay cuts nothing; one that hears it goes below what the line can.
        let lowest = rates[writes.min(rates.len() - 1)..].iter().min().copied().unwrap();
        assert!(lowest <= LINE, "{name}: {rates:?} on a line of {LINE}\n{log}");
        assert_eq!(after, Some(CEILING), "{name}: the operator's limit\n{log}");
        assert!(well, "{name}: it did not end in order\n{log}");
        assert!(!log.contains(PASSWORD), "{log}");
    });
}

/// What a process had in memory at most, and of that its own.
fn memory(process: u32) -> String {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let lines = status.lines().filter(|l| ["VmHWM", "RssAnon"].iter().any(|k| l.starts_with(k)));
    lines.map(|l| l.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>().join(", ")
}

/// What a process has used of a core, in percent, by the scheduler's clock.
fn share(process: u32, time: Duration) -> f64 {
    let text = fs::read_to_string(format!("/proc/{process}/schedstat")).unwrap_or_default();
    let nanos: f64 = text.split(' ').next().and_then(|n| n.parse().ok()).unwrap_or(f64::NAN);
    nanos / 1e7 / time.as_secs_f64()
}

#[test]
fn programs_control_a_line() {
    netns::sweep();
    for (number, target) in targets().into_iter().enumerate() {
        let scratch = Scratch::new("tape");
        let tape = scratch.0.join("run.wanrec");
        let load = Duration::from_secs(if target.emulator.is_some() { 30 } else { 10 });
        let start = |line: &RealLine, directory: PathBuf| {
            let mut command = target.command();
            command.args(["run", "--config"]).arg(directory.join("wanctl.toml"));
            command.arg("--record").arg(&tape);
            Daemon::launch(line, command, directory)
        };
        println!("{}:", target.name);
        controls(&format!("p{number}"), load, Path::new("state"), &start, &|process| process);
        // What it was told there, this machine's own program answers to the byte alike.
        let replayed = text(Command::new(env!("CARGO_BIN_EXE_wanctl")).arg("replay").arg(&tape));
        assert!(replayed.contains("identical"), "{}: {replayed}", target.name);
    }
}

#[test]
fn programs_repeat_the_kept_recordings() {
    let kept = fs::read_dir(super::dist::root().join("tests/recordings")).unwrap();
    let kept: Vec<PathBuf> =
        kept.map(|entry| entry.unwrap().path()).filter(|p| p.extension().is_some_and(|e| e == "wanrec")).collect();
    assert!(!kept.is_empty());
    for target in targets() {
        for recording in &kept {
            let replayed = text(target.command().arg("replay").arg(recording));
            assert!(replayed.contains("identical"), "{} {}: {replayed}", target.name, recording.display());
        }
    }
}

#[test]
fn a_container_controls_a_line() {
    for target in targets().into_iter().filter(|t| t.emulator.is_none()) {
        let bundle = Bundle::new(&target);
        let start = |line: &RealLine, directory: PathBuf| {
            bundle.confine(&directory, line.controller.name());
            let mut command = Command::new("runc");
            command.args(["run", "--bundle"]).arg(bundle.path()).arg(&bundle.name);
            Daemon::launch(line, command, directory)
        };
        controls("c", Duration::from_secs(10), Path::new("/var/lib/wanctl"), &start, &|_| bundle.confined());
    }
}

/// An image unpacked by umoci, ready for a runtime; the container is removed when dropped.
struct Bundle {
    name: String,
    scratch: Scratch,
}

impl Bundle {
    fn new(target: &Target) -> Self {
        let name = format!("wanctl-test-{}", std::process::id());
        let scratch = Scratch::new("bundle");
        let layout = scratch.0.join("oci");
        let from = format!("docker-archive:{}", target.image().display());
        let to = format!("oci:{}:test", layout.display());
        output(Command::new("skopeo").args(["copy", "--insecure-policy", "--quiet", &from, &to]));
        let image = format!("{}:test", layout.display());
        output(Command::new("umoci").args(["unpack", "--image", &image]).arg(scratch.0.join("bundle")));
        Self { name, scratch }
    }

    fn path(&self) -> PathBuf {
        self.scratch.0.join("bundle")
    }

    /// Leaves entry point and environment as the image has them, and gives the container one capability, a root it can't
    /// write to, little memory, few files, the network of `netns`, and `directory` as a router would mount it.
    fn confine(&self, directory: &Path, netns: &str) {
        let file = self.path().join("config.json");
        let mut config: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
        let process = &mut config["process"];
        assert_eq!(process["args"], json!(["/usr/bin/wanctl", "run"]));
        process["terminal"] = json!(false);
        process["noNewPrivileges"] = json!(true);
        process["env"].as_array_mut().unwrap().push(json!(format!("WANCTL_ROUTER_PASSWORD={PASSWORD}")));
        process["rlimits"] = json!([{"type": "RLIMIT_NOFILE", "hard": FILES, "soft": FILES}]);
        let one = json!(["CAP_NET_RAW"]);
        process["capabilities"] =
            json!({"bounding": one, "effective": one, "permitted": one, "inheritable": [], "ambient": []});
        config["root"]["readonly"] = json!(true);
        let bind = |from: &Path, to: &str, mode: &str| json!({"destination": to, "type": "bind", "source": from, "options": ["rbind", mode]});
        config["mounts"] = json!([
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "nodev", "size=64k"]},
            bind(directory, "/etc/wanctl", "ro"),
            bind(&directory.join("state"), "/var/lib/wanctl", "rw"),
        ]);
        let plain = ["pid", "ipc", "uts", "mount"].map(|kind| json!({"type": kind}));
        let network = json!({"type": "network", "path": format!("/run/netns/{netns}")});
        let namespaces = [&plain[..], &[network]].concat();
        config["linux"] = json!({"namespaces": namespaces, "resources": {"memory": {"limit": MEMORY}}});
        fs::write(file, config.to_string()).unwrap();
    }

    /// The process in the container, which has what it was confined to and no more.
    fn confined(&self) -> u32 {
        let state: Value = serde_json::from_str(&text(Command::new("runc").args(["state", &self.name]))).unwrap();
        let process = u32::try_from(state["pid"].as_u64().unwrap()).unwrap();
        let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
        // Bit 13 is CAP_NET_RAW.
        for set in ["CapPrm", "CapEff", "CapBnd"] {
            assert!(status.contains(&format!("{set}:\t0000000000002000")), "{status}");
        }
        let limits = fs::read_to_string(format!("/proc/{process}/limits")).unwrap();
        let files = limits.lines().find(|l| l.starts_with("Max open files")).unwrap();
        assert_eq!(files.split_whitespace().nth(4), Some(FILES.to_string().as_str()), "{files}");
        let mounts = fs::read_to_string(format!("/proc/{process}/mounts")).unwrap();
        let root = mounts.lines().rfind(|l| l.split(' ').nth(1) == Some("/")).unwrap();
        assert!(root.split(' ').nth(3).unwrap().split(',').any(|option| option == "ro"), "{root}");
        process
    }
}

impl Drop for Bundle {
    fn drop(&mut self) {
        let _ = Command::new("runc").args(["delete", "--force", &self.name]).output();
    }
}

/// How long a start takes until the first probe leaves: for the table in docs/benchmarks.md.
#[test]
#[ignore = "a measurement, not a check: make figures"]
fn first_probe() {
    for target in targets() {
        let netns = netns::Netns::new("first", "one");
        let mut taken: Vec<Duration> = (0..9).map(|_| first_probe_of(&target, &netns)).collect();
        taken.sort();
        println!("{:<34} first probe after {:.1} ms", target.name, taken[4].as_secs_f64() * 1e3);
        for (what, alerts) in [("two WANs without history", ""), ("the same and two alert rules over TLS", ALERTS)] {
            let (memory, share) = at_rest(&target, &netns, alerts);
            println!("{:<34} {what}: {memory}, {share:.2} %", "");
        }
    }
}

/// Rules that have something to tell at once, to somebody who does not answer.
const ALERTS: &str = r#"
[[alert]]
name = "one"
url = "https://10.99.99.98/one"
fingerprint = "0101010101010101010101010101010101010101010101010101010101010101"
events = ["warnings"]
[[alert]]
name = "two"
url = "https://10.99.99.98/two"
fingerprint = "0101010101010101010101010101010101010101010101010101010101010101"
format = "ntfy"
events = ["warnings"]
"#;

/// Memory and share of a core of a run of two WANs without history, whose router does not answer.
fn at_rest(target: &Target, netns: &netns::Netns, end: &str) -> (String, f64) {
    let scratch = Scratch::new("rest");
    let mut text = "[router]\nurl = \"http://10.99.99.99\"\nuser = \"wanctl\"\n".to_owned();
    for n in 1..=2 {
        text += &format!(
            "[[wan]]\nname = \"wan{n}\"\nlink = \"cable\"\nsource = \"127.0.0.{n}\"\ntcp_targets = []\n\
             reflectors = [\"127.0.{n}.1\", \"127.0.{n}.2\", \"127.0.{n}.3\"]\n\
             [wan.download]\nqueue = \"wan{n}-dl\"\nceiling = \"40M\"\n[wan.upload]\nqueue = \"wan{n}-ul\"\nceiling = \"14M\"\n"
        );
    }
    text +=
        &format!("[observe]\nhistory = \"off\"\n[state]\ndirectory = \"{}\"\n{end}", scratch.0.join("state").display());
    fs::write(scratch.0.join("wanctl.toml"), text).unwrap();
    let mut command = target.command();
    command.args(["run", "--config"]).arg(scratch.0.join("wanctl.toml")).env("WANCTL_ROUTER_PASSWORD", PASSWORD);
    command.stderr(fs::File::create(scratch.0.join("log")).unwrap());
    let began = Instant::now();
    let mut process = netns.prepare(&mut command).spawn().unwrap();
    thread::sleep(Duration::from_secs(15));
    let found = (memory(process.id()), share(process.id(), began.elapsed()));
    let _ = process.kill();
    let _ = process.wait();
    found
}

fn first_probe_of(target: &Target, netns: &netns::Netns) -> Duration {
    use socket2::{Domain, Protocol, Socket, Type};
    let scratch = Scratch::new("first");
    let text = fs::read_to_string(super::dist::root().join("docs/examples/minimal.toml")).unwrap();
    let text = text.replace("192.168.88.1", "10.99.99.99").replacen(
        "link = \"cable\"",
        "link = \"cable\"\nreflectors = [\"127.0.0.1\", \"127.0.0.2\", \"127.0.0.3\"]\ntcp_targets = []",
        1,
    );
    let state = format!("{text}\n[state]\ndirectory = \"{}\"\n", scratch.0.join("state").display());
    fs::write(scratch.0.join("wanctl.toml"), state).unwrap();
    let socket = netns.within(|| Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::ICMPV4))).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut command = target.command();
    command.args(["run", "--config"]).arg(scratch.0.join("wanctl.toml")).env("WANCTL_ROUTER_PASSWORD", PASSWORD);
    command.stderr(fs::File::create(scratch.0.join("log")).unwrap());
    let began = Instant::now();
    let mut process = netns.prepare(&mut command).spawn().unwrap();
    let mut buffer = [std::mem::MaybeUninit::uninit(); 128];
    let seen = socket.recv(&mut buffer);
    let taken = began.elapsed();
    let log = fs::read_to_string(scratch.0.join("log")).unwrap_or_default();
    let _ = process.kill();
    let _ = process.wait();
    seen.unwrap_or_else(|e| panic!("{}: {e}\n{log}", target.name));
    taken
}

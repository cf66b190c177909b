//! `wanctl init`: what it proposes for a router is a configuration that fits it, and the commands it prints make the
//! router fit the proposal.

use super::console::Console;
use super::house::PASSWORD;
use std::path::PathBuf;
use std::process::Command;
use wanctl::config::{self, Means, Trust};
use wanctl_hal::Duration;
use wanctl_hal::sim::{
    Latency, QueueSetup, RouterDouble, RouterServer, RouterSetup, ServerSetup, SharedWorld, TlsSetup, World,
};

const STEERING: &str = include_str!("../../cross/routeros/steering.rsc");

struct House {
    world: SharedWorld,
    server: RouterServer,
}

impl House {
    fn new(queues: Vec<QueueSetup>, tls: Option<TlsSetup>, commands: &str) -> Self {
        let setup = RouterSetup {
            password: PASSWORD.to_owned(),
            latency: Latency::fixed(Duration::from_millis(1)),
            queues,
            ..RouterSetup::default()
        };
        let world = World::new(RouterDouble::new(setup), Vec::new()).share();
        let server = RouterServer::start(&ServerSetup::local(tls), world.clone(), None).unwrap();
        let house = Self { world, server };
        house.console().run(commands).unwrap_or_else(|error| panic!("{commands}: {error}"));
        house
    }

    fn console(&self) -> Console {
        Console::of(self.world.clone(), "wanctl", PASSWORD)
    }

    /// Exit code, standard output, standard error.
    fn init(&self, arguments: &[&str]) -> (i32, String, String) {
        let scheme = if self.server.fingerprint().is_some() { "https" } else { "http" };
        let mut program = Command::new(env!("CARGO_BIN_EXE_wanctl"));
        program.arg("init").args(["--url", &format!("{scheme}://{}", self.server.address())]).args(arguments);
        let output = program.env("WANCTL_ROUTER_PASSWORD", PASSWORD).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let (out, err) = (text(output.stdout), text(output.stderr));
        assert!(!out.contains(PASSWORD) && !err.contains(PASSWORD));
        (output.status.code().unwrap(), out, err)
    }
}

fn parse(text: &str) -> config::Config {
    let env = |name: &str| (name == "WANCTL_ROUTER_PASSWORD").then(|| "x".to_owned());
    config::parse(text, "proposal", "/nowhere".as_ref(), &env).unwrap_or_else(|f| panic!("{f}\n{text}")).0
}

/// The commands printed.
fn commands(err: &str) -> Vec<&str> {
    err.lines().filter(|line| line.starts_with('/')).collect()
}

/// Carries out what is printed until nothing is missing any more.
fn follow(house: &House) -> String {
    for _ in 0..5 {
        let (code, out, err) = house.init(&[]);
        assert_eq!(code, 0, "{err}");
        let commands = commands(&err);
        if commands.is_empty() {
            assert!(err.contains("has everything this needs"), "{err}");
            return out;
        }
        for command in commands {
            house.console().run(command).unwrap_or_else(|error| panic!("{command}: {error}"));
        }
    }
    panic!("it never ends: {}", house.init(&[]).2);
}

#[test]
fn one_line_is_found_with_its_queues() {
    let queues = vec![QueueSetup::tree("down", "bridge", 250_000_000), QueueSetup::tree("up", "ether1", 25_000_000)];
    let address = "/ip address add address=192.0.2.77/24 interface=ether1\n/queue tree set [find] bucket-size=0.01";
    let house = House::new(queues, None, address);
    let (code, out, err) = house.init(&[]);
    assert_eq!(code, 0, "{err}");
    let config = parse(&out);
    assert_eq!((config.wans.len(), config.steering.len()), (1, 0));
    let wan = &config.wans[0];
    assert_eq!(wan.router_interface.as_deref(), Some("ether1"));
    assert_eq!(wan.queues.each_ref().map(|q| q.name.as_str()), ["down", "up"]);
    assert_eq!(wan.ranges.map(|r| r.ceiling().bps()), [250_000_000, 25_000_000]);
}

#[test]
fn a_router_with_nothing_is_led_to_one_line() {
    let house = House::new(Vec::new(), None, "/ip address add address=192.0.2.77/24 interface=ether1");
    let config = parse(&follow(&house));
    assert_eq!(config.wans[0].queues.each_ref().map(|q| q.name.as_str()), ["wan1-download", "wan1-upload"]);
}

#[test]
fn a_simple_queue_holds_both_directions() {
    let queues = vec![QueueSetup::simple("wan", "192.168.88.0/24", 30_000_000, 200_000_000)];
    let house = House::new(queues, None, "/ip address add address=192.0.2.77/24 interface=ether1");
    let (_, out, _) = house.init(&[]);
    let config = parse(&out);
    assert_eq!(config.wans[0].queues.each_ref().map(|q| q.name.as_str()), ["wan", "wan"]);
    assert_eq!(config.wans[0].ranges.map(|r| r.ceiling().bps()), [200_000_000, 30_000_000]);
}

/// Two lines, as far as addresses tell.
const TWO: &str = "/ip address add address=192.0.2.77/24 interface=ether1\n\
                   /ip address add address=198.51.100.77/24 interface=ether2\n";

#[test]
fn two_lines_are_told_apart_and_steered_between() {
    let queues =
        [("cable-dl", "bridge", 250), ("dsl-dl", "bridge", 50), ("cable-ul", "ether1", 25), ("dsl-ul", "ether2", 10)]
            .map(|(name, parent, mbps)| QueueSetup::tree(name, parent, mbps * 1_000_000));
    let more = "/routing table add name=one fib\n/routing table add name=two fib\n\
                /ip route add gateway=192.0.2.1 routing-table=one\n/ip route add gateway=198.51.100.1 routing-table=two\n\
                /routing rule add src-address=172.17.0.8/32 action=lookup-only-in-table table=one\n\
                /routing rule add src-address=172.17.0.9/32 action=lookup-only-in-table table=two\n";
    let house = House::new(queues.to_vec(), None, &format!("{TWO}{more}"));
    let (code, out, err) = house.init(&[]);
    assert_eq!(code, 0, "{err}");
    let config = parse(&out);
    let names: Vec<_> = config.wans.iter().map(|w| w.queues.each_ref().map(|q| q.name.as_str())).collect();
    assert_eq!(names, [["cable-dl", "cable-ul"], ["dsl-dl", "dsl-ul"]]);
    let sources: Vec<_> = config.wans.iter().map(|w| w.source.address.unwrap().to_string()).collect();
    assert_eq!(sources, ["172.17.0.8", "172.17.0.9"]);
    assert!(config.steering[0].settings.dry_run);
    // The rule that the script makes is found by its comment.
    house.console().run(&STEERING.replace("\"wanctl: steer wan2\"", "\"calls by dsl\"")).unwrap();
    let (_, out, err) = house.init(&[]);
    assert!(
        matches!(&parse(&out).steering[0].means[0], Means::Rule { comment, .. } if *comment == "calls by dsl"),
        "{out}"
    );
    assert!(!err.contains("no such rule of yours"), "{err}");
}

#[test]
fn two_lines_without_anything_are_led_there() {
    let house = House::new(Vec::new(), None, TWO);
    let before = house.init(&[]).2;
    assert!(commands(&before).len() >= 6, "{before}");
    let config = parse(&follow(&house));
    assert_eq!((config.wans.len(), config.steering.len()), (2, 1));
}

#[test]
fn a_certificate_is_shown_before_anything_is_sent() {
    let house = House::new(Vec::new(), Some(TlsSetup::default()), TWO);
    let (code, out, err) = house.init(&[]);
    assert_eq!(code, 2, "{err}");
    assert!(
        out.starts_with("wanctl init --url https://127.0.0.1:") && err.contains("nothing proves yet"),
        "{out}{err}"
    );
    let fingerprint = out.trim().rsplit(' ').next().unwrap();
    let (code, out, err) = house.init(&["--fingerprint", fingerprint]);
    assert_eq!(code, 0, "{err}");
    assert!(matches!(parse(&out).router.trust, Trust::Fingerprint(_)));
    let (code, _, err) = house.init(&["--fingerprint", &fingerprint.replace(&fingerprint[..2], "00")]);
    assert!(code == 1 && err.contains("certificate has changed"), "{err}");
    let (code, _, err) = house.init(&["--user", "a:b", "--fingerprint", "AB"]);
    assert!(code == 2 && err.contains("command line:2: router.url") | err.contains("router.user"), "{err}");
}

#[test]
fn a_file_that_exists_is_left_alone() {
    let house = House::new(Vec::new(), None, TWO);
    let path: PathBuf = std::env::temp_dir().join(format!("wanctl-init-{}.toml", std::process::id()));
    let _ = std::fs::remove_file(&path);
    let name = path.display().to_string();
    let (code, out, err) = house.init(&["--write", &name]);
    assert!(code == 0 && out.is_empty(), "{err}");
    let written = std::fs::read_to_string(&path).unwrap();
    parse(&written);
    std::fs::write(&path, "mine").unwrap();
    let (code, _, err) = house.init(&["--write", &name]);
    assert!(code == 1 && err.contains("can't be written"), "{err}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
    std::fs::remove_file(&path).unwrap();
}

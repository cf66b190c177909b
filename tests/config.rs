//! The configuration: examples, golden files, every fault alone, a dozen faults at once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use proptest::prelude::*;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use wanctl::config::{self, Config, Faults, Link, Means, Problem, Trust, Warning};
use wanctl::decide::steering::Mode;
use wanctl::decide::{Settings, classic};
use wanctl::types::{Bitrate, Duration, Menu, Millis};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

const GOOD: &str = r#"[router]
url = "http://192.168.88.1"
user = "wanctl"

[[wan]]
name = "cable"
link = "cable"
[wan.download]
queue = "wan1-download"
ceiling = "940M"
[wan.upload]
queue = "wan1-upload"
ceiling = "38M"
"#;

fn env(name: &str) -> Option<String> {
    (name == "WANCTL_ROUTER_PASSWORD").then(|| "secret".to_owned())
}

fn parse(text: &str) -> Result<(Config, Vec<Warning>), Faults> {
    config::parse(text, "wanctl.toml", Path::new("/nowhere"), &env)
}

/// The same with the classic law, which most keys are for.
fn classical(text: &str) -> Config {
    good(&text.replace("link = ", "law = \"classic\"\nlink = "))
}

fn good(text: &str) -> Config {
    parse(text).unwrap_or_else(|faults| panic!("{faults}\n{text}")).0
}

fn law(config: &Config) -> &classic::Settings {
    let Settings::Classic(settings) = &config.wans[0].law else { panic!("classic") };
    settings
}

/// `GOOD` with `new` for `old`.
fn changed(old: &str, new: &str) -> String {
    assert!(GOOD.contains(old), "{old}");
    GOOD.replacen(old, new, 1)
}

/// The single fault of `GOOD` with `new` for `old`, as told without file and line.
fn fault(old: &str, new: &str) -> String {
    let text = changed(old, new);
    let faults = parse(&text).expect_err(&text);
    assert_eq!(faults.faults.len(), 1, "{faults}");
    let line = faults.faults[0].line.unwrap();
    let told = faults.to_string();
    let told = told.lines().next().unwrap();
    told.strip_prefix(&format!("wanctl.toml:{line}: ")).unwrap().to_owned()
}

fn temporary(name: &str) -> PathBuf {
    let directory = std::env::temp_dir().join(format!("wanctl-config-{}-{name}", std::process::id()));
    fs::create_dir_all(&directory).unwrap();
    directory
}

#[test]
fn a_small_file_is_enough() {
    assert!(GOOD.lines().count() < 15);
    let config = good(GOOD);
    assert_eq!(config.cycle, Duration::from_millis(50));
    assert_eq!(config.router.password.reveal(), "secret");
    let wan = &config.wans[0];
    assert_eq!((wan.measure.active, wan.measure.probes_per_cycle), (3, 2));
    assert_eq!(wan.ranges[1].ceiling(), Bitrate::from_mbps(38));
    assert!(matches!(wan.law, Settings::Adaptive(_)), "our own law is the default");
    let (_, warnings) = parse(&changed("link = ", "load_weight = 0.3\nlink = ")).unwrap();
    assert!(warnings.iter().any(|w| w.to_string().contains("load_weight") && w.to_string().contains("adaptive")));
    assert_eq!(wan.ranges[1].floor(), Bitrate::from_bps(7_600_000));
    assert!(!format!("{config:?}").contains("secret"));
}

#[test]
fn examples_are_accepted() {
    let mut seen = 0;
    for entry in fs::read_dir(Path::new(ROOT).join("docs/examples")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "toml") {
            let (config, warnings) = config::load(&path, &env).unwrap_or_else(|faults| panic!("{faults}"));
            let plain = config.router.trust == Trust::Plain;
            assert_eq!(warnings.len(), usize::from(plain), "{}: {warnings:?}", path.display());
            seen += 1;
        }
    }
    assert_eq!(seen, Link::NAMES.len() + 4);
}

#[test]
fn golden_files_say_what_presets_json_says() {
    let text = fs::read_to_string(Path::new(ROOT).join("tests/golden/presets.json")).unwrap();
    let presets: serde_json::Value = serde_json::from_str(&text).unwrap();
    for (name, preset) in presets.as_object().unwrap() {
        let path = Path::new(ROOT).join(format!("tests/golden/{name}.toml"));
        let (config, _) = config::load(&path, &env).unwrap();
        let number = |key: &str| preset[key].as_f64().unwrap();
        let ms = |key: &str| Millis::new(number(key)).unwrap();
        let direction = |key: &str, is_download: bool| {
            let d = &preset[key];
            let rate = |key: &str| Bitrate::from_bps(d[key].as_u64().unwrap());
            let cycles = |v: &serde_json::Value| Duration::from_millis(50 * v.as_u64().unwrap());
            classic::DirectionSettings {
                green: ms("green_ms"),
                soft_red: ms("soft_red_ms"),
                hard_red: if is_download { ms("hard_red_ms") } else { ms("soft_red_ms") },
                soft_red_required: cycles(&preset["soft_red_required"]),
                floor_green: rate("floor_green"),
                floor_yellow: rate("floor_yellow"),
                floor_soft_red: rate("floor_soft_red"),
                range: wanctl::types::RateRange::new(rate("floor_red"), rate("ceiling")).unwrap(),
                step_up: rate("step_up"),
                factor_down: d["factor_down"].as_f64().unwrap(),
                factor_down_yellow: d["factor_down_yellow"].as_f64().unwrap(),
                green_required: cycles(&d["green_required"]),
            }
        };
        let expected = classic::Settings {
            baseline_initial: ms("baseline_initial_ms"),
            load_weight: number("alpha_load"),
            baseline_weight: number("alpha_baseline"),
            baseline_update_threshold: ms("baseline_update_threshold_ms"),
            baseline_min: ms("baseline_min_ms"),
            baseline_max: ms("baseline_max_ms"),
            download: direction("download", true),
            upload: direction("upload", false),
        };
        assert_eq!((config.wans[0].name.as_str(), law(&config)), (name.as_str(), &expected));
    }
}

#[test]
fn every_known_key_is_documented() {
    let page = fs::read_to_string(Path::new(ROOT).join("docs/configuration.md")).unwrap();
    let known = config::known_keys();
    assert!(known.len() > 70 && known.contains(&"wan.upload.exit_rate".to_owned()), "{known:?}");
    let missing: Vec<_> = known.iter().filter(|key| !page.contains(&format!("`{key}`"))).collect();
    assert!(missing.is_empty(), "not in docs/configuration.md: {missing:?}");
    // And the other way round: nothing is documented that does not exist.
    let rows = page.lines().filter(|l| l.starts_with("| `")).flat_map(|l| l.split('|').nth(1));
    let documented = rows.flat_map(|cell| cell.split('`').skip(1).step_by(2)).filter(|key| key.contains('.'));
    let unknown: Vec<_> = documented.filter(|key| !known.iter().any(|k| k == key)).collect();
    assert!(unknown.is_empty(), "documented, but unknown: {unknown:?}");
}

#[test]
fn documented_presets_are_those_of_the_program() {
    let page = fs::read_to_string(Path::new(ROOT).join("docs/configuration.md")).unwrap();
    let row = |title: &str| -> Vec<String> {
        let line = page.lines().rfind(|l| l.starts_with(&format!("| {title}"))).unwrap();
        line.split('|').skip(2).map(|cell| cell.trim().to_owned()).collect()
    };
    for (i, (_, link)) in Link::NAMES.iter().enumerate() {
        let p = link.preset();
        let [green, soft, hard] = p.thresholds_ms;
        let both = |f: fn(&wanctl::config::DirectionPreset) -> f64| format!("{} / {}", f(&p.download), f(&p.upload));
        assert_eq!(row("`baseline`")[i], format!("{} ms", p.baseline_ms));
        assert_eq!(row("thresholds")[i], format!("{green} / {soft} / {hard} ms"));
        assert_eq!(row("`load_weight`")[i], p.load_weight.to_string());
        assert_eq!(row("`baseline_weight`")[i], p.baseline_weight.to_string());
        assert_eq!(row("`baseline_update_threshold`")[i], format!("{} ms", p.update_threshold_ms));
        assert_eq!(row("`floor`")[i], both(|d| d.floor));
        assert_eq!(row("`step_up`")[i], both(|d| d.step_up));
        assert_eq!(row("`factor_down`")[i], both(|d| d.factor_down));
        assert_eq!(row("`factor_down_yellow`")[i], both(|d| d.factor_down_yellow));
        assert_eq!(row("`green_required`")[i], format!("{} ms", p.download.green_required_ms));
    }
}

#[test]
fn smoothing_by_weight_or_by_time() {
    let with = |cycle: &str, line: &str| {
        let text = changed("link = \"cable\"", &format!("link = \"cable\"\n{line}"));
        classical(&format!("{text}[loop]\ncycle = \"{cycle}\"\n"))
    };
    // To the last bit at the reference cycle, in proportion at others.
    assert!(law(&with("50ms", "load_weight = 0.3")).load_weight.to_bits() == 0.3f64.to_bits());
    assert!((law(&with("100ms", "load_weight = 0.3")).load_weight - 0.15).abs() < 1e-12);
    assert!((law(&with("20ms", "baseline_time_constant = \"5s\"")).baseline_weight - 0.01).abs() < 1e-12);
    // A preset is behaviour in time, whatever the cycle.
    assert!((law(&with("20ms", "")).load_weight - 0.2).abs() < 1e-12);
}

#[test]
fn streaks_in_cycles_or_in_time() {
    let with = |value: &str| {
        let text = changed("ceiling = \"940M\"", &format!("ceiling = \"940M\"\ngreen_required = {value}"));
        law(&classical(&format!("{text}[loop]\ncycle = \"20ms\"\n"))).download.green_required
    };
    assert_eq!(with("5"), Duration::from_millis(100));
    assert_eq!(with("\"250ms\""), Duration::from_millis(250));
}

#[test]
fn missing_floors_follow_and_stay_in_order() {
    let with = |lines: &str| {
        let config = classical(&changed("ceiling = \"940M\"", &format!("ceiling = \"940M\"\n{lines}")));
        let d = &law(&config).download;
        [d.range.floor(), d.floor_soft_red, d.floor_yellow, d.floor_green].map(|rate| rate.bps() / 1_000_000)
    };
    assert_eq!(with(""), [188; 4]);
    assert_eq!(with("floor = \"300M\""), [300; 4]);
    assert_eq!(with("floor_green = \"100M\"\nfloor_yellow = \"90M\""), [90, 90, 90, 100]);
    assert_eq!(with("floor_red = \"1M\"\nfloor_yellow = \"2M\""), [1, 1, 2, 2]);
}

#[test]
fn one_simple_queue_holds_both_directions() {
    let text = changed("link = \"cable\"", "link = \"cable\"\nsimple_queue = \"wan1\"");
    let text = text.replace("queue = \"wan1-download\"\n", "").replace("queue = \"wan1-upload\"\n", "");
    let queues = &good(&text).wans[0].queues;
    assert_eq!((queues[0].menu, queues[0].name.as_str()), (Menu::Simple, "wan1"));
    assert_eq!(queues[0], queues[1]);
}

/// One fault each: what is replaced in `GOOD`, by what, and a part of what is told.
#[test]
fn each_fault_alone() {
    let cases = [
        ("user = \"wanctl\"\n", "", "router.user: missing"),
        ("user = \"wanctl\"", "user = 7", "router.user = 7: must be a string, not an integer"),
        ("user = \"wanctl\"", "user = \" \"", "must be a text that is not empty"),
        ("user = \"wanctl\"", "user = \"a:b\"", "without colon"),
        ("user = ", "usr = \"x\"\nuser = ", "router.usr: unknown key; did you mean \"user\"?"),
        ("user = ", "zebra = 1\nuser = ", "router.zebra: unknown key; known here: ca_file, connect_timeout"),
        ("[router]", "[log]\nsyslog = \"loghost\"\n[router]", "log.syslog"),
        ("http://192.168.88.1", "192.168.88.1", "must be https://HOST"),
        ("http://192.168.88.1", "http://8.8.8.8", "plain http sends secrets readable"),
        ("http://192.168.88.1", "https://192.168.88.1", "https needs fingerprint"),
        ("http://192.168.88.1\"", "https://192.168.88.1\"\nfingerprint = \"AB\"", "32 bytes in hexadecimal"),
        ("http://192.168.88.1\"", "https://192.168.88.1\"\nca_file = \"none.pem\"", "/nowhere/none.pem can't be read"),
        ("user = ", "password = \"hunter2\"\nuser = ", "router.password: secrets do not belong into this file"),
        ("user = ", "exit = \"burn\"\nuser = ", "must be one of: restore, keep, rate"),
        ("user = ", "response_timeout = \"2h\"\nuser = ", "must be between 100ms and 60s"),
        ("name = \"cable\"\n", "", "wan[0].name: missing"),
        ("name = \"cable\"", "name = \"\"", "must be a text that is not empty"),
        ("name = \"cable\"", "name = \"a/b\"", "letters, digits"),
        ("link = \"cable\"\n", "", "one of cable, dsl, fiber, lte, starlink"),
        ("link = \"cable\"", "link = \"modem\"", "must be one of: cable, dsl, fiber, lte, starlink"),
        ("link = ", "law = \"fuzzy\"\nlink = ", "must be one of: adaptive, classic"),
        ("link = ", "reflectors = []\nlink = ", "at least one address"),
        ("link = ", "reflectors = [\"1.1.1.1\", \"dns.google\"]\nlink = ", "\"dns.google\" is none"),
        ("link = ", "reflectors = [\"1.1.1.1\", \"1.1.1.1\"]\nlink = ", "stands there twice"),
        ("link = ", "active_reflectors = 5\nlink = ", "must be between 1 and 4"),
        ("link = ", "source = \"eth1\"\nlink = ", "an address of this machine"),
        ("link = ", "interface = \"much-too-long-name\"\nlink = ", "an interface of this machine"),
        ("link = ", "mark = -1\nlink = ", "a whole number from 1 to 2147483647"),
        ("link = ", "tcp_targets = [\"1.1.1.1\"]\nlink = ", "ADDRESS:PORT"),
        ("link = ", "gateway = \"gw\"\nlink = ", "the address of the next hop"),
        ("link = ", "silence = \"panic\"\nlink = ", "degrade, hold, last"),
        ("link = ", "load_weight = 2\nlink = ", "must be between 0.00001 and 1"),
        ("link = ", "load_weight = nan\nlink = ", "must be between 0.00001 and 1"),
        ("link = ", "load_weight = 0.1\nload_time_constant = \"1s\"\nlink = ", "say the same thing"),
        ("link = ", "load_time_constant = \"1ms\"\nlink = ", "must be between 50ms and 3600s"),
        ("link = ", "baseline = \"2s\"\nlink = ", "baseline 2000ms <= baseline_max 1000ms must hold"),
        ("queue = \"wan1-download\"\n", "", "wan \"cable\".download.queue: missing: the name of the /queue/tree entry"),
        ("queue = \"wan1-download\"", "queue = \"wan1-upload\"", "this queue is used already in line 9"),
        ("\"940M\"", "\"940m\"", "wan \"cable\".download.ceiling = \"940m\": must be a rate"),
        ("\"940M\"", "\"940\"", "must be between 64k and 400G"),
        ("\"940M\"", "0", "must be between 64k and 400G"),
        ("\"940M\"", "\"1000G\"", "must be between 64k and 400G"),
        ("\"940M\"", "true", "must be a rate"),
        ("ceiling = \"940M\"\n", "", "wan \"cable\".download.ceiling: missing"),
        ("\"940M\"", "\"940M\"\nfloor = \"1G\"", "floor 1G <= ceiling 940M must hold"),
        ("\"940M\"", "\"940M\"\nfloor = \"1M\"\nfloor_red = \"1M\"", "floor and floor_red say the same thing"),
        ("\"940M\"", "\"940M\"\nfloor_green = \"1M\"\nfloor_yellow = \"2M\"", "floor_yellow 2M <= floor_green 1M"),
        ("\"940M\"", "\"940M\"\ngreen = \"50ms\"", "green 50ms < soft_red 45ms < hard_red 80ms must hold"),
        ("\"940M\"", "\"940M\"\ngreen = 15", "a duration with its unit"),
        ("\"940M\"", "\"940M\"\ngreen_required = 0", "1 to 1200 cycles"),
        ("\"940M\"", "\"940M\"\nfactor_down = 1.5", "must be between 0.1 and 1"),
        ("\"38M\"", "\"38M\"\nhard_red = \"80ms\"", "upload has three states"),
        ("[router]", "[loop]\ncycle = \"5ms\"\n[router]", "must be between 10ms and 1s"),
        (
            "[router]",
            "[loop]\nstatistics_idle = \"200ms\"\n[router]",
            "statistics_loaded 500ms <= statistics_idle 200ms",
        ),
        ("[router]", "[log]\nlevel = \"loud\"\n[router]", "error, warn, info, debug"),
        ("[router]", "log = 1\n[router]", "log = 1: must be a table: [log]"),
        ("[router]", "[sate]\n[router]", "sate: unknown key; did you mean \"state\"?"),
        ("[router]", "[router", "not TOML"),
    ];
    for (old, new, expected) in cases {
        let told = fault(old, new);
        assert!(told.contains(expected), "{new:?} tells: {told}");
    }
}

#[test]
fn twins_and_too_many() {
    let second = GOOD.split_once("[[wan]]").unwrap().1;
    let faults = parse(&format!("{GOOD}[[wan]]{second}")).unwrap_err();
    assert_eq!(faults.faults.len(), 3, "{faults}");
    assert!(faults.faults.iter().all(|f| matches!(f.problem, Problem::Twin { .. })));
    let nine: String = (0..9).fold(GOOD.split_once("[[wan]]").unwrap().0.to_owned(), |text, i| {
        text + "[[wan]]"
            + &second.replace("wan1", &format!("wan{i}")).replace("name = \"cable\"", &format!("name = \"{i}\""))
    });
    let faults = parse(&nine).unwrap_err();
    assert!(faults.to_string().contains("at most 8 sections, not 9"), "{faults}");
    let none = parse(GOOD.split_once("[[wan]]").unwrap().0).unwrap_err();
    assert!(none.to_string().contains("wan: missing: add at least one [[wan]]"), "{none}");
}

#[test]
fn several_wans_need_a_source_each() {
    let second =
        GOOD.split_once("[[wan]]").unwrap().1.replace("wan1", "wan2").replace("name = \"cable\"", "name = \"b\"");
    let (_, warnings) = parse(&format!("{GOOD}[[wan]]\nsource = \"172.17.0.3\"{second}")).unwrap();
    let told: Vec<String> = warnings.iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[1].starts_with("wanctl.toml:5: wan \"cable\".source: there are several WANs"), "{told:?}");
}

const STEERING: &str = r#"
[[wan]]
name = "dsl"
link = "dsl"
source = "172.17.0.3"
simple_queue = "wan2"
[wan.download]
ceiling = "95M"
[wan.upload]
ceiling = "18M"

[[steering]]
name = "calls"
primary = "cable"

[[steering.alternate]]
wan = "dsl"
rule = "calls via dsl"
"#;

/// `GOOD` with a second WAN and a pair, of which `new` stands for `old`.
fn steered(old: &str, new: &str) -> String {
    assert!(STEERING.contains(old), "{old}");
    format!("{}{}", changed("link = ", "source = \"172.17.0.2\"\nlink = "), STEERING.replacen(old, new, 1))
}

#[test]
fn a_pair_needs_little() {
    let config = good(&steered("", ""));
    let pair = &config.steering[0];
    let s = &pair.settings;
    assert_eq!((s.primary.index(), s.alternates[0].wan.index(), s.alternates[0].switch.0), (0, 1, 0));
    assert_eq!((s.mode, s.dry_run, s.steer_at, s.return_at, s.margin), (Mode::Confidence, false, 55, 20, 15));
    let spans = [s.degrade_sustain, s.recover_sustain, s.hold_down, s.brake_window, s.brake_hold, s.brake_longest];
    assert_eq!(spans.map(|d| d.as_secs()), [2, 3, 30, 300, 60, 960]);
    assert_eq!((s.brake_toggles, s.usable, s.headroom), (4, 0.3, Bitrate::from_mbps(1)));
    assert_eq!(pair.respect_hand, Duration::from_secs(600));
    let comment = "calls via dsl".parse().unwrap();
    assert_eq!(pair.means, [Means::Rule { comment, comment6: None }]);
    assert!(good(GOOD).steering.is_empty());
}

#[test]
fn every_key_of_a_pair_has_its_effect() {
    let more = "primary = \"cable\"\ndry_run = true\nsteer_at = 60\nreturn_at = 30\nmargin = 5\nusable = 0.5\n\
                headroom = \"3M\"\ndegrade_sustain = \"4s\"\nrecover_sustain = \"5s\"\nhold_down = \"6s\"\n\
                brake_toggles = 3\nbrake_window = \"7m\"\nbrake_hold = \"8s\"\nbrake_longest = \"9s\"\n\
                respect_hand = \"10s\"";
    let config = good(&steered("primary = \"cable\"", more));
    let (s, hand) = (&config.steering[0].settings, config.steering[0].respect_hand);
    assert_eq!((s.dry_run, s.steer_at, s.return_at, s.margin, s.brake_toggles), (true, 60, 30, 5, 3));
    assert_eq!((s.usable, s.headroom), (0.5, Bitrate::from_mbps(3)));
    let spans =
        [s.degrade_sustain, s.recover_sustain, s.hold_down, s.brake_window, s.brake_hold, s.brake_longest, hand];
    assert_eq!(spans.map(|d| d.as_secs()), [4, 5, 6, 420, 8, 9, 10]);
    let rule = good(&steered("primary = \"cable\"", "primary = \"cable\"\nmode = \"hysteresis\""));
    let s = &rule.steering[0].settings;
    assert_eq!(
        (s.mode, s.degrade_sustain, s.recover_sustain.as_millis()),
        (Mode::Hysteresis, Duration::from_secs(1), 7500)
    );
    let lease = "lease = { lists = [\"a\", \"b\"], prefixes = [\"192.168.88.0/24\", \"fd00::/8\"] }";
    let config = good(&steered("rule = \"calls via dsl\"", lease));
    let Means::Lease { lists, prefixes } = &config.steering[0].means[0] else { panic!("a lease") };
    assert_eq!((lists[0].as_str(), lists[1].as_str(), prefixes[1].to_string()), ("a", "b", "fd00::/8".to_owned()));
    let both = good(&steered("rule = \"calls via dsl\"", "rule = \"x\"\nrule6 = \"y\""));
    let Means::Rule { comment6, .. } = &both.steering[0].means[0] else { panic!("a rule") };
    assert_eq!(comment6.as_deref(), Some("y"));
}

#[test]
fn faults_of_a_pair() {
    let told = |old: &str, new: &str| {
        let faults = parse(&steered(old, new)).expect_err(new);
        assert_eq!(faults.faults.len(), 1, "{faults}");
        let told = faults.to_string();
        told.lines().next().unwrap().split_once(": ").unwrap().1.to_owned()
    };
    let alternate = "steering \"calls\".alternate[0]";
    for (old, new, expected) in [
        ("name = \"calls\"\n", "", "steering[0].name: missing: for example name = \"calls\""),
        ("primary = \"cable\"", "", "steering \"calls\".primary: missing: the name of a [[wan]]: \"cable\", \"dsl\""),
        (
            "primary = \"cable\"",
            "primary = \"x\"",
            "steering \"calls\".primary = \"x\": must be the name of a [[wan]]: \"cable\", \"dsl\"",
        ),
        (
            "wan = \"dsl\"",
            "wan = \"cable\"",
            &format!("{alternate}.wan = \"cable\": this is the primary itself; name another WAN"),
        ),
        (
            "rule = \"calls via dsl\"",
            "",
            &format!(
                "{alternate}.rule: missing: the exact comment of a mangle rule on the router (or lease = {{ lists = …, prefixes = … }})"
            ),
        ),
        (
            "primary = \"cable\"",
            "primary = \"cable\"\nsteer_at = 20",
            "steering \"calls\".steer_at = 20: out of order: return_at 20 < steer_at 20 must hold",
        ),
        (
            "primary = \"cable\"",
            "primary = \"cable\"\nsteer_at = 101",
            "steering \"calls\".steer_at = 101: must be between 1 and 100",
        ),
        (
            "primary = \"cable\"",
            "primary = \"cable\"\ndry_run = 1",
            "steering \"calls\".dry_run = 1: must be true or false",
        ),
        (
            "primary = \"cable\"",
            "primary = \"cable\"\nbrake_hold = \"1h\"",
            "steering \"calls\".brake_hold = \"1h\": out of order: brake_hold 3600s <= brake_longest 960s must hold",
        ),
        (
            "primary = \"cable\"",
            "primary = \"cable\"\nmod = \"x\"",
            "steering \"calls\".mod: unknown key; did you mean \"mode\"?",
        ),
        ("rule =", "rle = 1\nrule =", &format!("{alternate}.rle: unknown key; did you mean \"rule\"?")),
        (
            "rule = \"calls via dsl\"",
            "lease = { lists = [\"a\"], prefixes = [\"10.0.0.0/8\"] }",
            &format!(
                "{alternate}.lease.lists = [\"a\"]: missing: two address lists, renewed in turn: lists = [\"wanctl-calls-a\", \"wanctl-calls-b\"]"
            ),
        ),
        (
            "rule = \"calls via dsl\"",
            "lease = { lists = [\"a\", \"b\"], prefixes = [\"10.0.0.1/8\"] }",
            &format!(
                "{alternate}.lease.prefixes = [\"10.0.0.1/8\"]: must be a list of networks of the LAN, such as [\"192.168.88.0/24\"]; \"10.0.0.1/8\" is none"
            ),
        ),
        (
            "rule = \"calls via dsl\"",
            "rule = \"x\"\nlease = { lists = [\"a\", \"b\"], prefixes = [\"10.0.0.0/8\"] }",
            &format!("{alternate}.rule = \"x\": rule and lease are two ways of doing the same; give one of them"),
        ),
        (
            "rule = \"calls via dsl\"",
            "rule6 = \"x\"\nlease = { lists = [\"a\", \"b\"], prefixes = [\"10.0.0.0/8\"] }",
            &format!("{alternate}.rule6 = \"x\": goes with rule; a lease serves IPv6 by prefixes of IPv6"),
        ),
        (
            "[[steering.alternate]]\nwan = \"dsl\"\nrule = \"calls via dsl\"",
            "",
            "steering \"calls\".alternate: missing: add at least one [[steering.alternate]] with wan = and rule = (or lease =)",
        ),
    ] {
        assert_eq!(told(old, new), expected, "{new}");
    }
    let twice = "rule = \"calls via dsl\"\n[[steering]]\nname = \"calls\"\nprimary = \"dsl\"\n[[steering.alternate]]\n\
                 wan = \"cable\"\nrule = \"calls via dsl\"";
    let faults = parse(&steered("rule = \"calls via dsl\"", twice)).unwrap_err().to_string();
    assert!(faults.contains("this name is used already") && faults.contains("this rule is used already"), "{faults}");
    let (_, warnings) =
        parse(&steered("primary = \"cable\"", "primary = \"cable\"\nmode = \"hysteresis\"\nmargin = 3")).unwrap();
    assert!(warnings.iter().any(|w| w.to_string().contains("margin") && w.to_string().contains("hysteresis")));
}

#[test]
fn exit_rates_are_asked_for_and_kept_in_range() {
    let rate = changed("user = ", "exit = \"rate\"\nuser = ");
    let faults = parse(&rate).unwrap_err();
    assert_eq!(faults.to_string().matches("needs the rate to leave behind").count(), 2, "{faults}");
    let both = |text: &str, down: &str| {
        text.replace("\"940M\"", &format!("\"940M\"\nexit_rate = \"{down}\""))
            .replace("\"38M\"", "\"38M\"\nexit_rate = \"20M\"")
    };
    let rates = good(&both(&rate, "500M")).wans[0].exit_rates.unwrap().map(wanctl::types::Controlled::rate);
    assert_eq!(rates, [Bitrate::from_mbps(500), Bitrate::from_mbps(20)]);
    assert!(parse(&both(&rate, "1G")).unwrap_err().to_string().contains("must be between 188M and 940M"));
    let (_, warnings) = parse(&both(GOOD, "500M")).unwrap();
    assert_eq!(warnings.iter().filter(|w| matches!(w.about.problem, Problem::NoEffect(_))).count(), 2);
}

#[test]
fn the_password_has_one_source() {
    let directory = temporary("password");
    let file = directory.join("password");
    fs::write(&file, "from-file\n").unwrap();
    let text = changed("user = ", "password_file = \"password\"\nuser = ");
    let parse = |text: &str, env: config::Env<'_>| config::parse(text, "wanctl.toml", &directory, env);
    let none = |_: &str| None;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let (config, warnings) = parse(&text, &none).unwrap();
    assert_eq!(config.router.password.reveal(), "from-file");
    assert!(warnings.iter().any(|w| w.to_string().ends_with("can be read by others (mode 644): chmod 600")));
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(parse(&text, &none).unwrap().1.len(), 1, "only plain http is left");
    // Containers: the environment overrides.
    assert_eq!(parse(&text, &env).unwrap().0.router.password.reveal(), "secret");
    let named = changed("user = ", "password_env = \"PW\"\nuser = ");
    let own = |name: &str| (name == "PW").then(|| "own".to_owned());
    assert_eq!(parse(&named, &own).unwrap().0.router.password.reveal(), "own");
    let told = |text: &str, env| parse(text, env).unwrap_err().to_string();
    assert!(told(&named, &none).contains("set the environment variable PW"));
    assert!(told(GOOD, &none).contains("set the environment variable WANCTL_ROUTER_PASSWORD"));
    let both = changed("user = ", "password_env = \"PW\"\npassword_file = \"password\"\nuser = ");
    assert!(told(&both, &own).contains("password_env and password_file say the same thing"));
    fs::write(&file, "\n").unwrap();
    assert!(told(&text, &none).contains("the password is empty"));
    fs::remove_file(&file).unwrap();
    assert!(told(&text, &none).contains("can't be read: No such file or directory"));
    fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn certificates_are_named_once_and_read_at_once() {
    let directory = temporary("trust");
    let pem = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n";
    fs::write(directory.join("ca.pem"), pem).unwrap();
    fs::write(directory.join("no.pem"), "hello").unwrap();
    let parse = |scheme: &str, lines: &str| {
        let text = changed("url = \"http", &format!("{lines}\nurl = \"{scheme}"));
        config::parse(&text, "wanctl.toml", &directory, &env)
    };
    let pin = format!("fingerprint = \"{}\"", vec!["AB"; 32].join(":"));
    assert_eq!(parse("https", &pin).unwrap().0.router.trust, Trust::Fingerprint([0xab; 32]));
    let ca = "ca_file = \"ca.pem\"";
    assert_eq!(parse("https", ca).unwrap().0.router.trust, Trust::Authorities(pem.into()));
    let told = |scheme, lines: &str| parse(scheme, lines).unwrap_err().to_string();
    assert!(told("https", &format!("{pin}\n{ca}")).contains("say the same thing"));
    assert!(told("https", "ca_file = \"no.pem\"").contains("no.pem holds no certificate"));
    assert!(told("http", &pin).contains("plain http shows no certificate"));
    let public = "public_ca = true";
    assert!(told("http", public).contains("plain http shows no certificate"));
    assert!(told("https", &format!("{ca}\n{public}")).contains("ca_file and public_ca say the same thing"));
    let named = changed("url = \"http://192.168.88.1", &format!("{public}\nurl = \"https://router.example.net"));
    let named = config::parse(&named, "wanctl.toml", &directory, &env);
    if wanctl_hal::HAS_PUBLIC_AUTHORITIES {
        assert_eq!(named.unwrap().0.router.trust, Trust::Public);
        assert!(told("https", public).contains("no public authority signs a private address"));
    } else {
        assert!(named.unwrap_err().to_string().contains("built without the public certificate authorities"));
    }
    fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn secrets_are_never_told() {
    for line in ["password = \"hunter2\"", "pasword = \"hunter2\"", "url = \"https://admin:hunter2@192.168.88.1\""] {
        let text = GOOD.replace("url = \"http://192.168.88.1\"\n", "").replace("user = ", &format!("{line}\nuser = "));
        let faults = parse(&text).unwrap_err();
        assert!(!format!("{faults}{faults:?}").contains("hunter2"), "{faults}");
    }
}

/// Compared byte for byte: a change of a message is a change a person should see.
/// `WANCTL_BLESS=1` writes the present messages into the file.
#[test]
fn a_dozen_faults_are_told_at_once() {
    let golden = Path::new(ROOT).join("tests/golden");
    let text = fs::read_to_string(golden.join("config-faults.toml")).unwrap();
    let faults = config::parse(&text, "config-faults.toml", Path::new("/nowhere"), &|_| None).unwrap_err();
    assert!(faults.faults.len() >= 12);
    let told = format!("{faults}\n");
    let file = golden.join("config-faults.txt");
    if std::env::var_os("WANCTL_BLESS").is_some() {
        fs::write(&file, &told).unwrap();
    }
    assert_eq!(told, fs::read_to_string(&file).unwrap());
}

#[test]
fn a_file_that_is_not_there_is_a_fault() {
    let faults = config::load(Path::new("/nowhere/wanctl.toml"), &env).unwrap_err();
    assert!(faults.to_string().contains("can't be read: No such file or directory"), "{faults}");
}

/// Lines that a mutated file is made of.
fn line() -> impl Strategy<Value = String> {
    let keys: Vec<String> =
        config::known_keys().iter().filter_map(|k| k.rsplit('.').next().map(str::to_owned)).collect();
    let value = prop_oneof![
        Just("\"940M\"".to_owned()),
        Just("\"50ms\"".to_owned()),
        Just("[\"1.1.1.1\"]".to_owned()),
        any::<i64>().prop_map(|n| n.to_string()),
        any::<f64>().prop_map(|n| format!("{n:?}")),
        "[ -~]{0,12}".prop_map(|text| format!("{text:?}")),
        "[0-9.]{0,30}[a-zA-Zµé]{0,3}".prop_map(|text| format!("\"{text}\"")),
    ];
    prop_oneof![
        4 => (prop::sample::select(keys), value).prop_map(|(key, value)| format!("{key} = {value}")),
        1 => prop::sample::select(vec!["[router]", "[[wan]]", "[wan.download]", "[wan.upload]", "[loop]", "[log]", "[[steering]]", "[[steering.alternate]]"])
            .prop_map(str::to_owned),
    ]
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let text = String::from_utf8_lossy(&bytes);
        if let Err(faults) = parse(&text) {
            prop_assert!(!faults.is_empty());
        }
    }

    #[test]
    fn no_lines_make_it_panic(lines in prop::collection::vec(line(), 0..12), at in 0usize..14) {
        let mut text: Vec<String> = GOOD.lines().map(str::to_owned).collect();
        text.splice(at.min(text.len())..at.min(text.len()), lines);
        if let Err(faults) = parse(&text.join("\n")) {
            prop_assert!(!faults.is_empty(), "refused without a reason:\n{}", text.join("\n"));
        }
    }
}

#[test]
fn the_state_directory_is_below_the_file_unless_absolute() {
    for (written, meant) in [("state", "/nowhere/state"), ("/srv/state", "/srv/state")] {
        let config = good(&format!("{GOOD}[state]\ndirectory = \"{written}\"\n"));
        assert_eq!(config.state_directory, Path::new(meant));
    }
    assert_eq!(good(GOOD).state_directory, Path::new("/var/lib/wanctl"));
}

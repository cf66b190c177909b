//! Alerts of the whole daemon in virtual time: who is told what, and that nobody's silence disturbs the control.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;

use common::{at, config_text, daemon, daemon_with, parse, set_flows, world, written};
use std::path::Path;
use wanctl::config::{self, Config};
use wanctl::daemon::Daemon;
use wanctl_hal::sim::{Action, Fault, HookMood, SharedWorld, SimBoard, lock};
use wanctl_hal::{Direction, Duration, Signal};

fn rule(name: &str, more: &str) -> String {
    format!("\n[[alert]]\nname = \"{name}\"\nurl = \"http://192.168.88.9/{name}\"\n{more}\n")
}

/// The texts that came for a rule.
fn told(world: &SharedWorld, slot: usize) -> Vec<String> {
    lock(world).hooks.requests.iter().filter(|r| r.slot == slot).map(|r| r.text.clone()).collect()
}

fn sent(d: &Daemon<SimBoard>, place: usize) -> (u64, u64) {
    let counters = d.alerts().unwrap().rule(place).unwrap().counters;
    (counters.sent, counters.failed)
}

#[test]
fn a_line_that_goes_and_comes_is_told() {
    let world = world(1);
    let rules = rule("all", "") + &rule("router", "events = [\"router faults\"]") + &rule("dsl", "wan = \"cable\"");
    let mut d = daemon(&world, &(config_text("", "") + &rules));
    lock(&world).at(at(10.0), Action::Connected(0, false));
    lock(&world).at(at(20.0), Action::Connected(0, true));
    d.run_until(at(40.0));
    for slot in [0, 2] {
        let told = told(&world, slot);
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].contains("nothing answers, the WAN seems down"), "{}", told[0]);
        assert!(told[0].contains("\"wan\":\"cable\"") && told[1].contains("reflectors answer"), "{}", told[1]);
        assert_eq!(sent(&d, slot), (2, 0));
    }
    assert_eq!(told(&world, 1), Vec::<String>::new());
    let calls = lock(&world).hooks.calls.clone();
    assert!(calls.windows(2).all(|w| w[1].since(w[0]) >= Duration::from_secs(2)), "{calls:?}");
}

/// The router is sent the same limits at the same times, whatever the webhooks do.
#[test]
fn a_dead_webhook_disturbs_nothing() {
    let run = |rules: &str, mood: HookMood| {
        let world = world(7);
        set_flows(&world, Direction::Download, 4);
        let mut d = daemon(&world, &(config_text("", "") + rules));
        lock(&world).hooks.moods = [mood; 8];
        for second in [20.0, 40.0, 60.0] {
            lock(&world).at(at(second), Action::Router(Fault::Reset));
            lock(&world).at(at(second + 5.0), Action::Connected(0, false));
            lock(&world).at(at(second + 9.0), Action::Connected(0, true));
        }
        d.run_until(at(120.0));
        let times: Vec<_> = lock(&world).router.writes().map(|w| w.at).collect();
        (written(&world), times, lock(&world).hooks.calls.len())
    };
    let rules = rule("a", "events = [\"warnings\", \"congestion states\"]") + &rule("b", "");
    let (limits, times, calls) = run("", HookMood::Answers(200));
    assert!(limits.len() > 20 && calls == 0, "{}", limits.len());
    let moods = [HookMood::Refuses, HookMood::Silent, HookMood::Mute, HookMood::HangsUp, HookMood::Answers(500)];
    for mood in moods.into_iter().chain([HookMood::Answers(200), HookMood::Answers(404)]) {
        let (same, when, calls) = run(&rules, mood);
        assert!(calls >= 3, "{mood:?}: {calls}");
        assert!(same == limits && when == times, "{mood:?}");
    }
}

/// What could not be told while the webhook was away is told when it is back.
#[test]
fn what_waited_is_told_when_the_webhook_is_back() {
    let world = world(1);
    let mut d = daemon(&world, &(config_text("", "") + &rule("r", "")));
    lock(&world).hooks.moods[0] = HookMood::Silent;
    lock(&world).at(at(10.0), Action::Connected(0, false));
    lock(&world).at(at(20.0), Action::Connected(0, true));
    d.run_until(at(100.0));
    assert_eq!(told(&world, 0).len(), 0);
    lock(&world).hooks.moods[0] = HookMood::Answers(204);
    d.run_until(at(400.0));
    let told = told(&world, 0);
    assert!(told.len() == 2 && told[0].contains("nothing answers"), "{told:?}");
    assert!(d.alerts().unwrap().is_idle() && sent(&d, 0).1 > 2);
}

#[test]
fn a_reload_changes_rules_and_keeps_counting() {
    let world = world(1);
    let first = config_text("", "") + &rule("a", "events = [\"reloads\"]");
    let second = config_text("", "") + &rule("b", "events = [\"reloads\"]") + &rule("a", "events = [\"errors\"]");
    let reloads = [second.clone(), config_text("", "")].map(|text| parse(&text));
    let mut reloads = reloads.into_iter();
    let reloader = Box::new(move |old: &Config| Ok(reloads.next().unwrap_or_else(|| old.clone())));
    let mut d = daemon_with(&world, &first, reloader);
    for (i, name) in ["a", "b", "none"].into_iter().enumerate() {
        d.run_until(at(10.0 * f64::from(u8::try_from(i).unwrap()) + 9.0));
        let now = lock(&world).now();
        lock(&world).at(now, Action::Signal(Signal::Reload));
        // The reload itself is told by the rules that are then in force.
        d.run_until(at(10.0 * f64::from(u8::try_from(i).unwrap()) + 14.0));
        let names: Vec<String> =
            (0..8).map_while(|place| d.alerts().and_then(|alerts| Some(alerts.rule(place)?.name.to_owned()))).collect();
        assert_eq!(names, [&["b", "a"][..], &[], &[]][i], "{name}");
    }
    assert_eq!(told(&world, 0).len(), 1, "the first reload, by the new rule b");
    assert!(told(&world, 0)[0].starts_with("POST /b "));
}

/// A rule that is wrong is said to be, with everything that helps; the others and the control go on.
#[test]
fn an_invalid_rule_is_loud_and_disables_nothing_else() {
    let good = rule("good", "");
    for (bad, key, words) in [
        (rule("x", "evnts = []"), "evnts", "did you mean \"events\"?"),
        (rule("x", "events = [\"router fault\"]"), "events", "\"router fault\" is none"),
        (rule("x", "wan = \"fibre\""), "wan", "the name of a [[wan]]: \"cable\""),
        (rule("x", "cool_down = \"1s\""), "cool_down", "must be between 10s and 86400s"),
        (rule("x", "token = \"abc\""), "token", "token_file"),
        (rule("x", "token_env = \"NO_SUCH\""), "token_env", "no such environment variable"),
        (rule("x", "format = \"discord\""), "url", "url_file"),
        (rule("x", "").replace("/x", "/x?key=hush"), "url", "url_file"),
        (rule("x", "").replace("http://192.168.88.9", "https://discord.com/api/hush"), "url", "url_file"),
        (rule("x", "").replace("192.168.88.9", "8.8.8.8"), "url", "private address"),
        (rule("x", "").replace("http:", "https:"), "fingerprint", "https needs fingerprint"),
        (rule("x", "").replace("http:", "gopher:"), "url", "must be https://HOST/PATH"),
        (rule("good", ""), "name", "this name is used already in line"),
        ("\n[[alert]]\n".to_owned(), "name", "missing"),
    ] {
        let text = config_text("", "") + &good + &bad;
        let config = parse(&text);
        assert_eq!((config.alerts.rules.len(), config.alerts.refused), (1, 1), "{bad}");
        let faults = config.alerts.faults.to_string();
        let line = faults.lines().find(|l| l.contains(&format!(".{key}"))).unwrap_or_else(|| panic!("{key}: {faults}"));
        assert!(line.starts_with("test.toml:") && line.contains(words), "{line}");
        assert!(!faults.contains("hush") && !faults.contains("abc"), "{faults}");
        let world = world(1);
        let mut d = daemon(&world, &text);
        lock(&world).at(at(10.0), Action::Connected(0, false));
        d.run_until(at(20.0));
        assert_eq!(told(&world, 0).len(), 1, "the good rule works");
        assert!(d.actuator().counters().writes > 0, "and so does the control");
    }
    let many: String = (0..9).map(|i| rule(&format!("r{i}"), "")).collect();
    let config = parse(&(config_text("", "") + &many));
    assert_eq!((config.alerts.rules.len(), config.alerts.refused), (8, 1));
    let table = parse(&(config_text("", "") + "\n[alert]\nname = \"x\"\n"));
    assert_eq!((table.alerts.rules.len(), table.alerts.refused), (0, 1));
}

/// Secrets come from files and the environment, and print as asterisks.
#[test]
fn secrets_are_read_and_not_shown() {
    let directory = std::env::temp_dir().join(format!("wanctl-alerts-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    std::fs::write(directory.join("url"), "http://10.0.0.9:8080/hush/hook?x=hush\n").unwrap();
    let text = config_text("", "")
        + "\n[[alert]]\nname = \"d\"\nformat = \"discord\"\nurl_file = \"url\"\ntoken_env = \"TOKEN\"\n";
    let env = |name: &str| match name {
        "WANCTL_ROUTER_PASSWORD" => Some("secret".to_owned()),
        "TOKEN" => Some("hush-token".to_owned()),
        _ => None,
    };
    let (config, _) = config::parse(&text, "test.toml", Path::new(&directory), &env).unwrap();
    std::fs::remove_dir_all(&directory).unwrap();
    let shown = format!("{config:?}");
    assert!(shown.contains("10.0.0.9") && !shown.contains("hush"), "{shown}");
    let rule = config.alerts.rules[0].rule();
    assert_eq!((rule.host.as_str(), rule.port), ("10.0.0.9:8080", 8080));
    assert_eq!((rule.path.as_str(), rule.token.as_deref()), ("/hush/hook?x=hush", Some("hush-token")));
}

/// The example of `docs/operating.md` lacks nothing but the files that it names.
#[test]
fn the_documented_rules_are_right() {
    let page = std::fs::read_to_string("docs/operating.md").unwrap();
    let example = page.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    let config = parse(&(config_text("", "") + "\n" + example));
    let faults = config.alerts.faults.to_string();
    assert_eq!((config.alerts.rules.len(), config.alerts.refused), (1, 2), "{faults}");
    let unread = faults.lines().filter(|line| line.contains(" can't be read: No such file"));
    assert_eq!(unread.count(), config.alerts.faults.faults.len(), "{faults}");
}

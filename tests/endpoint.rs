//! The endpoint: the pages of the whole daemon in virtual time, and clients that mean no good.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod common;
#[allow(dead_code, reason = "the scenarios of steering need more of it")]
#[path = "scenarios/steering/house.rs"]
mod house;

use common::{at, config_text, daemon, daemon_with, limit, mbps, parse, set_flows, world};
use proptest::prelude::*;
use serde_json::Value;
use wanctl::daemon::Daemon;
use wanctl::observe::http::{CLIENTS, QUANTUM};
use wanctl_hal::sim::{Action, Fault, SharedWorld, SimBoard, lock};
use wanctl_hal::{Direction, Duration, Signal};

/// Two minutes of a loaded line; then it is looked at.
fn running() -> (SharedWorld, Daemon<SimBoard>) {
    let world = world(1);
    set_flows(&world, Direction::Download, 4);
    let mut d = daemon(&world, &config_text("", ""));
    d.run_until(at(120.0));
    (world, d)
}

/// A whole exchange: status line, headers, and the body with the chunks put together.
fn ask(world: &SharedWorld, d: &mut Daemon<SimBoard>, request: &str) -> (String, String, String) {
    let visitor = lock(world).visitors.visit(format!("{request}\r\n\r\n").as_bytes(), usize::MAX);
    let end = lock(world).now() + Duration::from_secs(60);
    while !lock(world).visitors.heard(visitor).1 {
        let now = lock(world).now();
        assert!(now < end, "no end of the answer to {request}");
        d.run_until(now + Duration::from_millis(50));
    }
    let heard = String::from_utf8(lock(world).visitors.heard(visitor).0.to_vec()).unwrap();
    let (head, body) = heard.split_once("\r\n\r\n").unwrap();
    let (status, headers) = head.split_once("\r\n").unwrap();
    let body = if headers.contains("chunked") { whole(body) } else { body.to_owned() };
    (status.to_owned(), headers.to_owned(), body)
}

fn whole(mut chunked: &str) -> String {
    let mut body = String::new();
    loop {
        let (length, rest) = chunked.split_once("\r\n").expect("a chunk's length");
        let length = usize::from_str_radix(length, 16).expect("a number");
        if length == 0 {
            assert_eq!(rest, "\r\n", "nothing follows");
            return body;
        }
        body.push_str(&rest[..length]);
        chunked = rest[length..].strip_prefix("\r\n").expect("the end of a chunk");
    }
}

fn json(world: &SharedWorld, d: &mut Daemon<SimBoard>, path: &str) -> Value {
    let (status, headers, body) = ask(world, d, &format!("GET {path} HTTP/1.1\r\nHost: x"));
    assert!(status.ends_with("200 OK") && headers.contains("application/json"), "{path}: {status}");
    serde_json::from_str(&body).unwrap_or_else(|e| panic!("{path}: {e}\n{body}"))
}

#[test]
fn status_tells_what_the_daemon_knows() {
    let (world, mut d) = running();
    // What the router has just taken is known a moment later: not in the middle of a try.
    let (mut last, mut calm) = (limit(&world, "wan1-dl"), 1);
    while calm < 10 {
        let now = lock(&world).now();
        d.run_until(now + Duration::from_millis(50));
        let limit = limit(&world, "wan1-dl");
        calm = if limit == last { calm + 1 } else { 1 };
        last = limit;
    }
    let status = json(&world, &mut d, "/status");
    assert_eq!((&status["schema"], &status["status"], &status["ready"]), (&1.into(), &"ok".into(), &true.into()));
    assert!(status["uptime_s"].as_f64().unwrap() >= 120.0);
    assert!(status["loop"]["cycles"].as_u64().unwrap() >= 2_400);
    let router = &status["router"];
    assert_eq!(
        (&router["connected"], &router["failures"], &router["connections"]),
        (&true.into(), &0.into(), &1.into())
    );
    assert!(router["latency_ms"]["p50"].as_f64().unwrap() > 10.0);
    let wan = &status["wans"][0];
    assert_eq!((&wan["name"], &wan["law"], &wan["signal"]), (&"cable".into(), &"adaptive".into(), &"good".into()));
    let download = &wan["download"];
    assert_eq!(download["limit_bps"].as_u64().unwrap(), limit(&world, "wan1-dl").parse::<u64>().unwrap());
    assert_eq!((&download["floor_bps"], &download["ceiling_bps"]), (&4_000_000.into(), &40_000_000.into()));
    assert!(download["achieved_bps"].as_u64().unwrap() > 20_000_000, "{download}");
    assert_eq!(wan["reflectors"].as_array().unwrap().len(), 4);
    assert!(wan["probes"]["answered"].as_u64().unwrap() > 3_000, "{wan}");
}

/// Two WANs; the first one has collapsed, and marked connections have left it.
fn steered() -> (SharedWorld, Daemon<SimBoard>) {
    let world = house::world(&house::PLAN, 1);
    let mut d = house::daemon(&world, &house::PLAN, "adaptive", house::Contender::Ours);
    lock(&world).at(at(5.0), Action::Flows(0, Direction::Download, 4));
    lock(&world).at(at(30.0), Action::Capacity(0, Direction::Download, mbps(3)));
    d.run_until(at(36.0));
    (world, d)
}

#[test]
fn a_turn_is_told_everywhere() {
    let (world, mut d) = steered();
    let status = json(&world, &mut d, "/status");
    let pair = &status["steering"][0];
    assert_eq!((&pair["name"], &pair["primary"], &pair["in_use"]), (&"calls".into(), &"cable".into(), &"dsl".into()));
    assert_eq!((&pair["steered"], &pair["dry_run"]), (&true.into(), &false.into()));
    let text = pair["text"].as_str().unwrap();
    assert!(text.starts_with("new marked connections leave through dsl instead of cable for "), "{text}");
    let [cable, dsl] = [0, 1].map(|i| &pair["wans"][i]);
    assert_eq!((&cable["name"], &cable["switch"], &dsl["switch"]), (&"cable".into(), &Value::Null, &"on".into()));
    let points = |wan: &Value| -> u64 {
        wan["parts"].as_array().unwrap().iter().map(|part| part["points"].as_u64().unwrap()).sum()
    };
    assert!(cable["score"].as_u64().unwrap() >= 30 && points(cable).min(100) == cable["score"], "{cable}");
    assert!(dsl["score"].as_u64().unwrap() < 20, "{dsl}");
    let (_, _, metrics) = ask(&world, &mut d, "GET /metrics HTTP/1.1\r\nHost: x");
    for line in
        ["wanctl_steering_active{pair=\"calls\"} 1", "wanctl_steering_confidence_ratio{pair=\"calls\",wan=\"dsl\"} 1"]
    {
        assert!(metrics.lines().any(|l| l == line), "{line}\n{metrics}");
    }
    assert!(metrics.contains("wanctl_steering_score{pair=\"calls\",wan=\"cable\"} "), "{metrics}");
    let (_, _, events) = ask(&world, &mut d, "GET /events HTTP/1.1\r\nHost: x");
    assert!(events.contains("leave through dsl instead of cable"), "{events}");
    // A switch that is gone is a restriction, and the reason is told.
    assert!(lock(&world).router.set_rule("calls via dsl", "comment", "something else"));
    d.run_until(at(60.0));
    let health = json(&world, &mut d, "/health");
    assert_eq!(health["status"], "degraded", "{health}");
    assert!(health["reason"].as_str().unwrap().contains("no usable switch for dsl"), "{health}");
}

/// `docs/status.md` names every member, with its type, and no other.
#[test]
fn the_documentation_of_status_is_true() {
    let mut found = Vec::new();
    for (_, document) in situations() {
        members("", &document, &mut found);
    }
    found.sort();
    found.dedup();
    let page = std::fs::read_to_string("docs/status.md").unwrap();
    let told: Vec<(String, String)> = page
        .lines()
        .filter_map(|line| {
            let mut cells = line.strip_prefix("| `")?.split('|');
            let name = cells.next()?.trim().trim_end_matches('`').to_owned();
            Some((name, cells.next()?.trim().to_owned()))
        })
        .collect();
    for (name, kind) in &found {
        let row =
            told.iter().find(|(n, _)| n == name).unwrap_or_else(|| panic!("docs/status.md lacks {name} ({kind})"));
        assert!(row.1.split(" or ").any(|k| k == *kind), "{name} is {kind}, docs/status.md says {}", row.1);
    }
    for (name, _) in &told {
        assert!(found.iter().any(|(n, _)| n == name), "docs/status.md tells of {name}, which is not there");
    }
}

/// `/status` in all its situations is as `docs/status.schema.json` says, by a validator of others; and what is not,
/// is found: a member too many anywhere, one too few, a number where a text belongs.
#[test]
fn status_is_as_its_schema_says() {
    if std::env::var_os("WANCTL_SKIP_PYTHON").is_some() {
        eprintln!("NOT RUN because of WANCTL_SKIP_PYTHON: /status against its schema");
        return;
    }
    let python = concat!(env!("CARGO_MANIFEST_DIR"), "/target/clients/bin/python");
    assert!(
        std::path::Path::new(python).exists(),
        "{python} is missing: `make tools` makes it (needs python3 with venv, and the Python package index); \
         WANCTL_SKIP_PYTHON=1 goes without this test"
    );
    let directory = std::env::temp_dir().join(format!("wanctl-schema-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let write = |name: &str, document: &Value| {
        let path = directory.join(name);
        std::fs::write(&path, document.to_string()).unwrap();
        path
    };
    let good = situations();
    let mut bad = Vec::new();
    for (name, document) in &good {
        let mut more = Vec::new();
        objects("", document, &mut more);
        more.sort();
        more.dedup_by_key(|place| place.split(|c: char| c.is_ascii_digit()).collect::<String>());
        for (i, place) in more.iter().enumerate() {
            let mut broken = document.clone();
            broken.pointer_mut(place).unwrap()["undocumented"] = 1.into();
            bad.push(write(&format!("{name}-more-{i}"), &broken));
        }
        let mut broken = document.clone();
        broken["wans"][0].as_object_mut().unwrap().remove("signal");
        bad.push(write(&format!("{name}-less"), &broken));
        broken = document.clone();
        broken["router"]["host"] = 1.into();
        bad.push(write(&format!("{name}-other"), &broken));
    }
    let good: Vec<_> = good.iter().map(|(name, document)| write(name, document)).collect();
    let schema = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/status.schema.json");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/schema/validate.py");
    let output = std::process::Command::new(python).args([script, schema]).args(good).arg("--").args(bad).output();
    let output = output.unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    println!("{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{text}");
    let _ = std::fs::remove_dir_all(&directory);
}

/// Documents of all kinds.
fn situations() -> Vec<(&'static str, Value)> {
    let mut found = Vec::new();
    let mut look = |name, (world, mut d): (SharedWorld, Daemon<SimBoard>)| {
        found.push((name, json(&world, &mut d, "/status")));
    };
    look("one", running());
    look("steered", steered());
    // Looked at before the first cycle, and thus before the first sample.
    let first = world(1);
    let d = daemon(&first, &config_text("", ""));
    look("first", (first, d));
    let (silent, mut d) = running();
    let now = lock(&silent).now();
    lock(&silent).at(now, Action::Connected(0, false));
    d.run_until(now + Duration::from_secs(20));
    look("silent", (silent, d));
    let (gone, mut d) = running();
    let now = lock(&gone).now();
    lock(&gone).at(now, Action::Router(Fault::Refuse(Duration::from_secs(300))));
    lock(&gone).at(now, Action::Router(Fault::Reset));
    d.run_until(now + Duration::from_secs(70));
    look("gone", (gone, d));
    let told = world(1);
    let rules = "\n[[alert]]\nname = \"phone\"\nurl = \"http://192.168.88.9/x\"\nevents = [\"warnings\"]\n\
                 [[alert]]\nname = \"bad\"\nurl = \"x\"\n";
    let mut d = daemon(&told, &(config_text("", "") + rules));
    lock(&told).hooks.moods[0] = wanctl_hal::sim::HookMood::Refuses;
    lock(&told).at(at(10.0), Action::Router(Fault::Refuse(Duration::from_secs(10))));
    lock(&told).at(at(10.0), Action::Router(Fault::Reset));
    d.run_until(at(30.0));
    look("told", (told, d));
    let last = &found.last().unwrap().1;
    assert!(last["refused_alerts"] == 1 && last["alerts"][0]["last_error"] == "connection refused", "{last}");
    found
}

/// The places of all objects, as JSON pointers.
fn objects(path: &str, value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Array(list) => list.iter().enumerate().for_each(|(i, v)| objects(&format!("{path}/{i}"), v, found)),
        Value::Object(object) => {
            found.push(path.to_owned());
            object.iter().for_each(|(name, v)| objects(&format!("{path}/{name}"), v, found));
        }
        _ => {}
    }
}

fn members(path: &str, value: &Value, found: &mut Vec<(String, String)>) {
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(list) => {
            list.iter().for_each(|item| members(&format!("{path}[]"), item, found));
            "list"
        }
        Value::Object(object) => {
            for (name, item) in object {
                let name = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                members(&name, item, found);
            }
            "object"
        }
    };
    let item = path.ends_with("[]") && kind == "object";
    if !path.is_empty() && !item {
        found.push((path.to_owned(), kind.to_owned()));
    }
}

#[test]
fn health_says_failed_only_when_the_control_has_failed() {
    let (world, mut d) = running();
    let health = json(&world, &mut d, "/health");
    assert_eq!(
        (&health["status"], &health["reason"], &health["wans"][0]["status"]),
        (&"ok".into(), &Value::Null, &"ok".into())
    );
    // A router that is gone for a while is a restriction…
    let now = lock(&world).now();
    lock(&world).at(now, Action::Router(Fault::Refuse(Duration::from_secs(300))));
    lock(&world).at(now, Action::Router(Fault::Reset));
    d.run_until(now + Duration::from_secs(30));
    let health = json(&world, &mut d, "/health");
    assert_eq!(health["status"], "degraded", "{health}");
    assert!(health["reason"].as_str().unwrap().contains("does not answer"), "{health}");
    // …and after a minute without any limit confirmed it is a failure.
    d.run_until(now + Duration::from_secs(70));
    let (status, _, body) = ask(&world, &mut d, "GET /health HTTP/1.1");
    assert!(status.contains("503") && body.contains("has shown no limit for"), "{status} {body}");
    assert!(ask(&world, &mut d, "GET / HTTP/1.1").0.contains("503"), "the router's dead man's switch asks here");
    d.run_until(now + Duration::from_secs(320));
    assert_eq!(json(&world, &mut d, "/health")["status"], "ok");
}

#[test]
fn ready_once_everything_has_been_seen() {
    let world = world(1);
    let mut d = daemon(&world, &config_text("", ""));
    d.run_until(at(0.01));
    let (status, _, body) = ask(&world, &mut d, "GET /ready HTTP/1.0");
    assert!(status.contains("503") && body.contains("\"ready\":false"), "{status} {body}");
    d.run_until(at(5.0));
    assert_eq!(json(&world, &mut d, "/ready")["ready"], true);
}

#[test]
fn events_are_told_in_plain_words_and_in_order() {
    let (world, mut d) = running();
    let events = json(&world, &mut d, "/events");
    let events = events["events"].as_array().unwrap();
    assert!(events.len() > 10);
    let numbers: Vec<u64> = events.iter().map(|e| e["number"].as_u64().unwrap()).collect();
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1));
    assert!(events.windows(2).all(|pair| pair[0]["time"].as_f64() <= pair[1]["time"].as_f64()));
    assert!(events.iter().any(|e| e["text"].as_str().unwrap().starts_with("cable: reflectors answer")));
}

#[test]
fn history_is_streamed_whole() {
    let (world, mut d) = running();
    let (_, headers, csv) = ask(&world, &mut d, "GET /history?tier=cycles HTTP/1.1");
    assert!(headers.contains("text/csv"));
    let mut lines = csv.lines();
    assert!(lines.next().unwrap().starts_with("time_s,download_limit_kbps,"));
    let rows: Vec<Vec<&str>> = lines.map(|line| line.split(',').collect()).collect();
    // A minute of cycles; what was overwritten while it was told is missing.
    assert!((1_100..=1_300).contains(&rows.len()), "{}", rows.len());
    assert!(rows.iter().all(|row| row.len() == 12));
    let times: Vec<f64> = rows.iter().map(|row| row[0].parse().unwrap()).collect();
    assert!(times.windows(2).all(|pair| (0.049..0.3).contains(&(pair[1] - pair[0]))), "every cycle, in order");
    let seconds = json(&world, &mut d, "/history?tier=seconds&format=json&last=30");
    let rows = seconds["rows"].as_array().unwrap();
    assert!((30..=34).contains(&rows.len()), "{}", rows.len());
    assert_eq!(rows[0].as_array().unwrap().len(), seconds["columns"].as_array().unwrap().len());
    assert_eq!(json(&world, &mut d, "/history?wan=7&format=json")["rows"], Value::Array(vec![]));
}

#[test]
fn metrics_are_what_prometheus_reads() {
    let (world, mut d) = running();
    let (_, headers, text) = ask(&world, &mut d, "GET /metrics HTTP/1.1");
    assert!(headers.contains("text/plain; version=0.0.4"));
    let mut families = 0;
    let mut kind = ("", "");
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            kind = rest.split_once(' ').unwrap();
            families += 1;
            assert_eq!(kind.1 == "counter", kind.0.ends_with("_total"), "{line}");
        } else if !line.starts_with('#') {
            let (name, value) = line.rsplit_once(' ').unwrap();
            assert!(name.starts_with(kind.0), "{line} below {kind:?}");
            assert!(value.parse::<f64>().unwrap().is_finite(), "{line}");
        }
    }
    assert!(families > 30);
    assert!(text.contains("wanctl_leg_limit_bytes_per_second{wan=\"cable\",direction=\"download\"} "));
    assert!(text.contains("wanctl_wan_rtt_seconds_bucket{wan=\"cable\",le=\"+Inf\"} "));
    let (_, headers, open) = ask(&world, &mut d, "GET /metrics HTTP/1.1\r\nAccept: application/openmetrics-text");
    assert!(headers.contains("openmetrics") && open.ends_with("# EOF\n"));
    assert!(open.contains("# TYPE wanctl_cycles counter") && open.contains("\nwanctl_cycles_total "));
}

#[test]
fn without_the_token_only_health_is_told() {
    let world = world(1);
    let head = config_text("", "");
    let directory = std::env::temp_dir().join(format!("wanctl-endpoint-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let token = directory.join("token");
    std::fs::write(&token, "0123456789abcdef\n").unwrap();
    let text = format!("{head}\n[observe]\ntoken_file = \"{}\"\n", token.display());
    let env = |name: &str| (name == "WANCTL_ROUTER_PASSWORD").then(|| "secret".to_owned());
    let (config, _) = wanctl::config::parse(&text, "test.toml", std::path::Path::new("."), &env).unwrap();
    std::fs::remove_dir_all(&directory).unwrap();
    let mut d = daemon_with(&world, &head, Box::new(move |_| Ok(config.clone())));
    d.run_until(at(5.0));
    assert!(ask(&world, &mut d, "GET /status HTTP/1.1").0.contains("200"));
    let now = lock(&world).now();
    lock(&world).at(now, Action::Signal(Signal::Reload));
    d.run_until(now + Duration::from_secs(1));
    let (status, headers, _) = ask(&world, &mut d, "GET /status HTTP/1.1");
    assert!(status.contains("401") && headers.contains("WWW-Authenticate: Bearer"), "{status}");
    let right = "GET /status HTTP/1.1\r\nAuthorization: Bearer 0123456789abcdef";
    assert!(ask(&world, &mut d, right).0.contains("200"));
    // The root is what RouterOS's netwatch asks for, which shows no token.
    for open in ["GET /health HTTP/1.1", "GET / HTTP/1.1"] {
        assert!(ask(&world, &mut d, open).0.contains("200"), "{open}");
    }
}

/// Hundreds of clients that say nothing, say it slowly, say nonsense, or never listen.
#[test]
fn rude_clients_change_nothing_but_their_own_luck() {
    let run = |rude: bool| {
        let world = world(3);
        let mut d = daemon(&world, &config_text("", ""));
        set_flows(&world, Direction::Download, 4);
        for i in 0..if rude { 200 } else { 0 } {
            let words: &[u8] = match i % 6 {
                0 => b"",
                1 => b"GET /status HTTP/1.1\r\nHost",
                2 => &[0xff; 5_000],
                3 => b"GET /history?tier=cycles HTTP/1.1\r\n\r\n",
                4 => b"GET / HTTP/1.1\r\nX: y\r\nX: y\r\n\r\nGET / HTTP/1.1\r\n\r\n",
                _ => b"POST /limit HTTP/1.1\r\nContent-Length: 100000\r\n\r\n",
            };
            lock(&world).visitors.visit(words, if i % 2 == 0 { 1 } else { 100_000 });
        }
        d.run_until(at(400.0));
        let writes = common::written(&world);
        (d.counters().missed, d.counters().cycles, writes, *d.served())
    };
    let (missed, cycles, writes, served) = run(true);
    let (_, quiet_cycles, quiet_writes, nobody) = run(false);
    assert_eq!((missed, cycles), (0, quiet_cycles));
    assert_eq!(writes, quiet_writes, "not one decision is another one");
    assert!(served.clients > 150 && served.refused > 60 && served.shed > 20, "{served:?}");
    assert!(served.most <= QUANTUM, "{served:?}");
    assert_eq!(nobody.clients, 0);
}

#[test]
fn a_client_finds_a_place_when_another_has_left() {
    let (world, mut d) = running();
    let silent: Vec<usize> = (0..CLIENTS).map(|_| lock(&world).visitors.visit(b"", 1)).collect();
    let now = lock(&world).now();
    d.run_until(now + Duration::from_millis(500));
    let visitor = lock(&world).visitors.visit(b"GET /ready HTTP/1.0\r\n\r\n", 100);
    d.run_until(now + Duration::from_millis(700));
    assert!(lock(&world).visitors.heard(visitor).0.is_empty(), "all places are taken");
    silent.iter().for_each(|v| lock(&world).visitors.leave(*v));
    d.run_until(now + Duration::from_millis(1_500));
    assert!(lock(&world).visitors.heard(visitor).0.starts_with(b"HTTP/1.1 200"));
}

#[test]
fn a_client_that_stays_is_answered_again_and_let_go_when_it_falls_silent() {
    let (world, mut d) = running();
    let now = lock(&world).now();
    let request = b"GET /ready HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\n\r\n";
    let visitor = lock(&world).visitors.visit(request, 50);
    for second in 1..=20_u64 {
        d.run_until(now + Duration::from_secs(second));
        let guard = lock(&world);
        let (heard, closed) = guard.visitors.heard(visitor);
        let heard = String::from_utf8_lossy(heard).into_owned();
        assert_eq!(heard.matches("HTTP/1.1 200 OK\r\n").count() as u64, second, "{heard}");
        assert!(!closed && heard.ends_with("\r\n0\r\n\r\n") && !heard.contains("Connection: close"), "{heard}");
        drop(guard);
        lock(&world).visitors.say(visitor, request);
    }
    let (clients, shed) = (d.served().clients, d.served().shed);
    assert_eq!((clients, d.served().requests), (1, 20));
    // The last answer, then silence: it goes without a word.
    d.run_until(now + Duration::from_secs(40));
    let guard = lock(&world);
    let (heard, closed) = guard.visitors.heard(visitor);
    assert!(closed && heard.ends_with(b"\r\n0\r\n\r\n"));
    assert_eq!(d.served().shed, shed, "that is no fault");
    drop(guard);
    // Two requests at once are one too many to stay: what follows the first is not listened to.
    let twice = [&request[..], &request[..]].concat();
    let visitor = lock(&world).visitors.visit(&twice, usize::MAX);
    d.run_until(now + Duration::from_secs(42));
    let guard = lock(&world);
    let (heard, closed) = guard.visitors.heard(visitor);
    assert!(closed && String::from_utf8_lossy(heard).matches("Connection: close").count() == 1);
}

#[test]
fn nothing_listens_when_it_shall_not() {
    let world = world(1);
    let text = format!("{}\n[observe]\nlisten = \"off\"\nhistory = \"off\"\n", config_text("", ""));
    assert!(parse(&text).observe.listen.is_none());
    let mut d = daemon(&world, &text);
    let visitor = lock(&world).visitors.visit(b"GET / HTTP/1.0\r\n\r\n", 100);
    d.run_until(at(30.0));
    assert_eq!((lock(&world).visitors.heard(visitor).0.len(), d.served().clients), (0, 0));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 40 } else { 400 }))]
    /// Whatever a client says, at whatever pace, it hears nothing or a whole HTTP answer.
    #[test]
    fn whatever_is_said_is_answered_or_shed(
        words in proptest::collection::vec(any::<u8>(), 0..200),
        begins in prop_oneof![Just(""), Just("GET /"), Just("GET /history?"), Just("GET /health HTTP/1.1\r\n")],
        pace in 1..50_usize,
    ) {
        let world = world(1);
        let mut d = daemon(&world, &config_text("", ""));
        let said: Vec<u8> = begins.bytes().chain(words).collect();
        let visitor = lock(&world).visitors.visit(&said, pace);
        d.run_until(at(60.0));
        let guard = lock(&world);
        let (heard, closed) = guard.visitors.heard(visitor);
        prop_assert!(closed);
        prop_assert!(heard.is_empty() || heard.starts_with(b"HTTP/1.1 "));
    }
}

/// The tables of `docs/operating.md` are made from the code; `WANCTL_BLESS=1` writes them.
#[test]
fn every_event_and_metric_is_explained() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/operating.md");
    let text = std::fs::read_to_string(file).unwrap();
    let mut events = String::from("| about | what it means, and what to do |\n|---|---|\n");
    for (about, meaning) in wanctl::observe::explained() {
        assert!(meaning.len() > 20, "{about}");
        events += &format!("| {about} | {meaning} |\n");
    }
    let mut metrics = String::from("| metric | kind | what |\n|---|---|---|\n");
    for (name, kind, help) in wanctl::observe::pages::described() {
        metrics += &format!("| `{name}` | {kind} | {help} |\n");
    }
    let mut new = text.clone();
    for (mark, table) in [("events", events), ("metrics", metrics)] {
        let (begin, end) = (format!("<!-- {mark} -->\n"), format!("<!-- end of {mark} -->"));
        let (head, rest) = new.split_once(&begin).expect("the table's mark");
        let (_, tail) = rest.split_once(&end).expect("the table's end");
        new = format!("{head}{begin}{table}{end}{tail}");
    }
    if std::env::var_os("WANCTL_BLESS").is_some() {
        std::fs::write(file, new).unwrap();
    } else {
        assert!(text == new, "docs/operating.md is not true any more; WANCTL_BLESS=1 writes it anew");
    }
}

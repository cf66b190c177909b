//! The ways of RouterOS's web server that are not about any single menu (docs/double.md).

use super::*;
use crate::sim::router::tests::Client;
use crate::sim::{Latency, Refusal, RouterSetup, SessionId};
use core::net::{IpAddr, Ipv4Addr};
use serde_json::json;

const SECOND: Duration = Duration::from_secs(1);

/// A router that answers everything after ten milliseconds.
fn prompt(setup: RouterSetup) -> Client {
    Client::new(RouterSetup { latency: Latency::fixed(Duration::from_millis(10)), ..setup })
}

fn wire(user: &str, password: &str, method: &str, path: &str, body: &str) -> Vec<u8> {
    let head = format!("{method} /rest{path} HTTP/1.1\r\nAuthorization: {}", basic(user, password));
    format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

fn ours(method: &str, path: &str, body: &str) -> Vec<u8> {
    wire("wanctl", "secret", method, path, body)
}

/// Everything that comes out by then, in one piece, and how it ended.
fn all(client: &mut Client, session: SessionId, until: Instant) -> (String, Option<Output>) {
    let mut text = Vec::new();
    loop {
        match client.router.poll_output(session, until) {
            Some(Output::Bytes(bytes)) => text.extend(bytes),
            end => return (String::from_utf8_lossy(&text).into_owned(), end),
        }
    }
}

#[test]
fn one_user_at_one_source_is_served_one_after_the_other() {
    let mut client = prompt(RouterSetup::default());
    let here = IpAddr::V4(Ipv4Addr::new(192, 168, 88, 10));
    let there = IpAddr::V4(Ipv4Addr::new(192, 168, 88, 11));
    let mut due = |from: IpAddr, user: &str, password: &str| {
        let session = client.router.connect_from(Instant::ZERO, from).unwrap();
        client.router.input(session, Instant::ZERO, &wire(user, password, "GET", "/queue/tree", ""));
        client.router.next_output_at(session).unwrap().since(Instant::ZERO).as_millis()
    };
    assert_eq!(due(here, "wanctl", "secret"), 10);
    assert_eq!(due(here, "wanctl", "secret"), 20, "another connection, the same session");
    assert_eq!(due(there, "wanctl", "secret"), 10, "another source");
    assert_eq!(due(here, "admin", "admin"), 10, "another user");
    assert_eq!(due(here, "wanctl", "secret"), 30);
}

#[test]
fn a_command_without_bound_says_nothing_until_it_is_closed_after_a_minute() {
    for (path, body) in [("/interface/monitor-traffic", r#"{"interface":"ether1"}"#), ("/queue/tree/listen", "")] {
        let mut client = prompt(RouterSetup::default());
        let session = client.session;
        client.router.input(session, Instant::ZERO, &ours("POST", path, body));
        assert_eq!(client.router.poll_output(session, Instant::ZERO + SECOND * 59), None);
        let (answer, end) = all(&mut client, session, Instant::ZERO + SECOND * 61);
        assert!(answer.starts_with("HTTP/1.1 400 Bad Request") && answer.contains("Session closed"), "{answer}");
        assert_eq!(end, None);
    }
}

#[test]
fn a_bounded_command_answers_when_it_is_done() {
    let mut client = prompt(RouterSetup::default());
    let once = client.ask("POST", "/rest/interface/monitor-traffic", r#"{"interface":"ether1,ether2","once":""}"#);
    assert_eq!((once.0, once.1.as_array().unwrap().len(), &once.1[1]["name"]), (200, 2, &json!("ether2")));
    assert!(client.now.since(Instant::ZERO) < SECOND);
    let begin = client.now;
    let rows = client.ask("POST", "/rest/interface/monitor-traffic", r#"{"interface":"ether1","duration":"3s"}"#).1;
    assert_eq!((rows.as_array().unwrap().len(), &rows[2][".section"]), (3, &json!("2")));
    assert_eq!(client.now.since(begin), SECOND * 3 + Duration::from_millis(10));
    let detail = |answer: (u16, serde_json::Value)| (answer.0, answer.1["detail"].clone());
    let bad = client.ask("POST", "/rest/interface/monitor-traffic", r#"{"interface":"x","once":""}"#);
    assert_eq!(detail(bad), (400, json!("input does not match any value of interface")));
    let denied = client.ask("POST", "/rest/ping", r#"{"address":"127.0.0.1","count":"2"}"#);
    assert_eq!(detail(denied), (500, json!("not enough permissions (9)")), "it needs the policy test");
    assert_eq!(detail(client.ask("POST", "/rest/ping/print", "")), (400, json!("no such command prefix")));
}

#[test]
fn an_abandoned_ping_blocks_its_user_for_the_rest_of_its_time() {
    let mut client = prompt(RouterSetup { abort_damage: false, ..RouterSetup::default() });
    let at = |millis: u64| Instant::ZERO + Duration::from_millis(millis);
    let ping = r#"{"address":"127.0.0.1","count":"30"}"#;
    client.router.input(client.session, at(0), &wire("admin", "admin", "POST", "/ping", ping));
    client.router.disconnect(client.session, at(5_000));
    let next = client.router.connect(at(5_000)).unwrap();
    client.router.input(next, at(5_000), &wire("admin", "admin", "GET", "/queue/tree", ""));
    assert_eq!(client.router.next_output_at(next), Some(at(30_020)));
    let other = client.router.connect(at(5_000)).unwrap();
    client.router.input(other, at(5_000), &ours("GET", "/queue/tree", ""));
    assert_eq!(client.router.next_output_at(other), Some(at(5_010)), "a second user is free");
}

/// What becomes of a request a second after others were given up: the status, or 0 for a cut.
fn after_abort(seed: u64, aborts: bool, wait: Duration) -> u16 {
    let mut client = prompt(RouterSetup { seed, ..RouterSetup::default() });
    let gone = client.router.connect(client.now).unwrap();
    client.router.input(gone, client.now, &ours("GET", "/queue/tree", ""));
    if !aborts {
        client.router.advance(client.now + SECOND);
        assert!(client.router.poll_output(gone, client.now + SECOND).is_some());
    }
    client.router.disconnect(gone, client.now + Duration::from_millis(5));
    client.now += wait;
    client.router.input(client.session, client.now, &ours("GET", "/queue/tree", ""));
    let session = client.session;
    let until = client.now + SECOND;
    let (answer, end) = all(&mut client, session, until);
    if end == Some(Output::Reset) { 0 } else { answer[9..12].parse().unwrap() }
}

#[test]
fn requests_given_up_damage_the_server_for_two_seconds() {
    let soon: Vec<u16> = (0..40).map(|seed| after_abort(seed, true, SECOND)).collect();
    for outcome in [0, 400, 401] {
        assert!(soon.contains(&outcome), "{outcome} in {soon:?}");
    }
    assert!(!soon.contains(&200), "{soon:?}");
    assert!((0..40).all(|seed| after_abort(seed, true, Duration::from_millis(2_500)) == 200), "it recovers");
    assert!((0..40).all(|seed| after_abort(seed, false, SECOND) == 200), "who waits for its answer does no harm");
}

#[test]
fn idle_connections_are_closed_when_it_pleases_the_router() {
    let idle = Some(SECOND * 5..=SECOND * 90);
    let times: Vec<u64> = (0..20)
        .map(|seed| {
            let mut client = prompt(RouterSetup { idle_close: idle.clone(), seed, ..RouterSetup::default() });
            assert_eq!(client.ask("GET", "/rest/queue/tree", "").0, 200);
            let end = client.router.next_due().unwrap();
            assert_eq!(client.router.poll_output(client.session, end), Some(Output::Close));
            end.since(client.now).as_secs()
        })
        .collect();
    assert!(times.iter().all(|t| (5..=90).contains(t)) && times.iter().max() > times.iter().min(), "{times:?}");
}

#[test]
fn the_twenty_first_connection_is_refused() {
    let mut client = prompt(RouterSetup::default());
    let mut others: Vec<SessionId> = (1..20).map(|_| client.router.connect(client.now).unwrap()).collect();
    assert_eq!(client.router.connect(client.now), Err(Refusal::Refused));
    client.router.disconnect(others.pop().unwrap(), client.now);
    assert!(client.router.connect(client.now).is_ok());
    let (status, row) = client.ask("PATCH", "/rest/ip/service/*2", r#"{"max-sessions":"30"}"#);
    assert_eq!((status, &row["max-sessions"]), (200, &json!("30")));
    assert!(client.router.connect(client.now).is_ok());
}

#[test]
fn what_routeros_made_itself_is_not_for_others_to_change() {
    let mut client = prompt(RouterSetup::default());
    let services = client.ask("GET", "/rest/ip/service?name=www-ssl", "").1;
    assert_eq!((services.as_array().unwrap().len(), &services[1]["dynamic"]), (2, &json!("true")));
    let path = format!("/rest/ip/service/{}", services[1][".id"].as_str().unwrap());
    let (status, answer) = client.ask("PATCH", &path, r#"{"port":"444"}"#);
    assert_eq!((status, &answer["detail"]), (400, &json!("failure: this is configured elsewhere")));

    let routes = client.ask("GET", "/rest/ip/route", "").1;
    assert!(routes[0].get("dynamic").is_none(), "a flag that is not set is not there");
    assert_eq!((&routes[1]["dynamic"], &routes[1]["dhcp"]), (&json!("true"), &json!("true")));
    let path = format!("/rest/ip/route/{}", routes[1][".id"].as_str().unwrap());
    assert_eq!(client.ask("PATCH", &path, r#"{"disabled":"true"}"#).0, 400);
    assert_eq!(client.ask("DELETE", &path, "").0, 400);
}

#[test]
fn fasttrack_shows_itself_in_a_dummy_rule() {
    let mut client = prompt(RouterSetup::default());
    let rules = |client: &mut Client| client.ask("GET", "/rest/ip/firewall/filter", "").1;
    let rule = r#"{"chain":"forward","action":"fasttrack-connection"}"#;
    let (status, added) = client.ask("PUT", "/rest/ip/firewall/filter", rule);
    assert_eq!((status, &added["action"]), (201, &json!("fasttrack-connection")));
    let both = rules(&mut client);
    assert_eq!((both.as_array().unwrap().len(), &both[0]["dynamic"]), (2, &json!("true")));
    assert_eq!(both[0]["comment"], "special dummy rule to show fasttrack counters");
    let path = format!("/rest/ip/firewall/filter/{}", added[".id"].as_str().unwrap());
    assert_eq!(client.ask("PATCH", &path, r#"{"disabled":"yes"}"#).0, 200);
    assert_eq!(rules(&mut client).as_array().unwrap().len(), 1);
}

#[test]
fn a_queue_that_is_hung_up_anew_counts_from_zero() {
    for (change, bytes) in [
        (r#"{"max-limit":"1M"}"#, "5"),
        (r#"{"queue":"default"}"#, "0"),
        (r#"{"parent":"global"}"#, "0"),
        (r#"{"disabled":"yes"}"#, "0"),
    ] {
        let mut client = prompt(RouterSetup::default());
        let half = crate::sim::Half::First;
        let shaper = crate::sim::ShaperRef { queue: "wan1-dl".to_owned(), half };
        client.router.count(&shaper, &crate::sim::Traffic { bytes: 5, ..Default::default() });
        assert_eq!(client.ask("PATCH", "/rest/queue/tree/*1000000", change).1["bytes"], bytes, "{change}");
    }
}

#[test]
fn latency_has_outliers_when_asked_for() {
    let latency = Latency { outlier_chance: 0.1, ..Latency::default() };
    let mut client = Client::new(RouterSetup { latency, ..RouterSetup::default() });
    let mut times = Vec::new();
    for _ in 0..300 {
        let begin = client.now;
        client.ask("GET", "/rest/queue/tree", "");
        times.push(client.now.since(begin).as_millis());
    }
    let outliers: Vec<&u128> = times.iter().filter(|t| **t > 50).collect();
    assert!((10..60).contains(&outliers.len()) && outliers.iter().all(|t| (1_000..=7_000).contains(*t)));
    assert!(times.iter().all(|t| *t >= 15));
}

#[test]
fn a_greeting_in_tls_gets_the_answer_of_a_plain_port() {
    let mut client = prompt(RouterSetup::default());
    let session = client.session;
    client.router.input(session, client.now, b"\x16\x03\x01\x00\xf4\x01\x00\x00\xf0\x03\x03");
    let until = client.now + SECOND;
    let (answer, end) = all(&mut client, session, until);
    assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
    assert_eq!(end, Some(Output::Close));
}

#[test]
fn answers_travel_as_badly_as_asked() {
    let mut client = prompt(RouterSetup::default());
    let good = client.ask("GET", "/rest/queue/tree", "").1;
    let at = |millis: u64| Instant::ZERO + Duration::from_millis(millis);
    let mut strike = |fault: Fault, from: u64, until: u64| {
        let session = client.router.connect(at(from)).unwrap();
        client.router.inject(at(from), fault);
        client.router.input(session, at(from), &ours("GET", "/queue/tree", ""));
        all(&mut client, session, at(until))
    };
    let (whole, _) = strike(Fault::Continue { times: 1 }, 1_000, 1_011);
    assert!(whole.starts_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"), "{whole}");
    let length = whole.len() - "HTTP/1.1 100 Continue\r\n\r\n".len();

    let pause = Duration::from_millis(100);
    assert_eq!(strike(Fault::Drip { pause, times: 1 }, 2_000, 3_999).0.len(), 20);
    let (half, end) = strike(Fault::Pause { time: SECOND, times: 1 }, 300_000, 300_500);
    assert_eq!((half.len(), end), (length / 2, None));
    let (chunked, _) = strike(Fault::Chunked { times: 1 }, 400_000, 401_000);
    assert!(chunked.contains("Transfer-Encoding: chunked") && chunked.ends_with("\r\n0\r\n\r\n"), "{chunked}");
    let padded = |chunked| Fault::Padded { bytes: 10_000_000, chunked, times: 1 };
    let (long, _) = strike(padded(false), 500_000, 501_000);
    let body = long.split_once("\r\n\r\n").unwrap().1;
    assert_eq!((body.len(), serde_json::from_str(body).ok()), (10_000_000, Some(good)));
    assert!(!strike(padded(true), 600_000, 601_000).0.contains("Content-Length"));

    for (point, expected) in
        [(Cut::Asking, 0), (Cut::Served, 0), (Cut::Head, 20), (Cut::Middle, length / 2), (Cut::LastByte, length - 1)]
    {
        let fault = Fault::Cut { at: point, times: 1 };
        let (bytes, end) = strike(fault, 700_000, 701_000);
        assert_eq!((bytes.len(), end), (expected, Some(Output::Reset)), "{point:?}");
    }
}

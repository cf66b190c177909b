use super::*;
use crate::sim::Latency;
use crate::sim::http::basic;
use crate::sim::{Half, QueueSetup};
use proptest::prelude::*;
use serde_json::{Value, json};

pub(crate) struct Client {
    pub(crate) router: RouterDouble,
    pub(crate) session: SessionId,
    pub(crate) now: Instant,
}

impl Client {
    pub(crate) fn new(setup: RouterSetup) -> Self {
        let mut router = RouterDouble::new(setup);
        let session = router.connect(Instant::ZERO).unwrap();
        Self { router, session, now: Instant::ZERO }
    }

    pub(crate) fn simple() -> Self {
        let queues = vec![
            QueueSetup::tree("wan1-dl", "bridge", 100_000_000),
            QueueSetup::tree("wan1-ul", "ether1", 20_000_000),
            QueueSetup::simple("both", "ether2", 5_000_000, 50_000_000),
        ];
        Self::new(RouterSetup { queues, ..RouterSetup::default() })
    }

    pub(crate) fn send(&mut self, method: &str, path: &str, body: &str, credentials: &str) {
        let wire = format!(
            "{method} {path} HTTP/1.1\r\nHost: router\r\nAuthorization: {credentials}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.router.input(self.session, self.now, wire.as_bytes());
    }

    pub(crate) fn receive(&mut self) -> (u16, String) {
        self.now = self.router.next_output_at(self.session).unwrap().max(self.now);
        let Some(Output::Bytes(bytes)) = self.router.poll_output(self.session, self.now) else { panic!("no answer") };
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let body_len = bytes.len() - head.len() - 4;
        assert!(head.contains(&format!("Content-Length: {body_len}\r\n")), "{head}");
        (head[9..12].parse().unwrap(), body.to_owned())
    }

    pub(crate) fn ask(&mut self, method: &str, path: &str, body: &str) -> (u16, Value) {
        self.send(method, path, body, &basic("wanctl", "secret"));
        let (status, body) = self.receive();
        (status, serde_json::from_str(&body).unwrap_or(Value::Null))
    }
}

#[test]
fn a_list_has_rows_of_strings() {
    let mut client = Client::simple();
    let (status, rows) = client.ask("GET", "/rest/queue/tree", "");
    assert_eq!((status, rows.as_array().unwrap().len()), (200, 2));
    let row = rows[0].as_object().unwrap();
    assert!(row.values().all(Value::is_string), "{row:?}");
    assert_eq!(
        (&row[".id"], &row["name"], &row["max-limit"]),
        (&json!("*1000000"), &json!("wan1-dl"), &json!("100000000"))
    );
    assert!(!row.contains_key("comment"), "unset members are left out");
    assert!(client.now >= Instant::ZERO + Duration::from_millis(15), "an answer takes time");
    let (_, rows) = client.ask("GET", "/rest/queue/simple", "");
    assert_eq!(
        (&rows[0][".id"], &rows[0]["max-limit"], &rows[0]["bytes"]),
        (&json!("*1"), &json!("5000000/50000000"), &json!("0/0"))
    );
}

#[test]
fn one_row_by_id_and_by_name_is_an_object() {
    let mut client = Client::simple();
    assert_eq!(client.ask("GET", "/rest/queue/tree/*1000001", "").1["name"], "wan1-ul");
    assert_eq!(client.ask("GET", "/rest/interface/ether1", "").1["rx-byte"], "0");
    assert_eq!(client.ask("GET", "/rest/queue/tree/*99", ""), (404, json!({"error":404,"message":"Not Found"})));
    assert_eq!(client.ask("GET", "/rest/system/identity", ""), (200, json!({"name":"MikroTik"})));
    assert_eq!(client.ask("GET", "/rest/system/resource", "").1["uptime"], "1d");
}

#[test]
fn filters_and_proplists_choose() {
    let mut client = Client::simple();
    client.router.set_property("wan1-dl", "comment", "wanctl: download");
    client.router.set_property("wan1-ul", "comment", "upload");
    let (_, rows) = client.ask("GET", "/rest/queue/tree?name=wan1-ul&.proplist=name,max-limit", "");
    assert_eq!(rows, json!([{"max-limit":"20000000","name":"wan1-ul"}]));
    assert_eq!(client.ask("GET", "/rest/queue/tree?comment=upload&.proplist=.id", "").1, json!([{".id":"*1000001"}]));
    assert_eq!(client.ask("GET", "/rest/queue/tree?comment=wanctl:%20download", "").1, json!([]));
    let body = r#"{".query":["name=wan1-dl"],".proplist":[".id","max-limit"]}"#;
    let expected = json!([{".id":"*1000000","max-limit":"100000000"}]);
    assert_eq!(client.ask("POST", "/rest/queue/tree/print", body), (200, expected));
    let body = r##"{".query":["name=wan1-dl","name=wan1-ul","#|",">max-limit=30000000"],".proplist":"name"}"##;
    assert_eq!(client.ask("POST", "/rest/queue/tree/print", body).1, json!([{"name":"wan1-dl"}]));
    assert_eq!(client.ask("POST", "/rest/queue/tree/print", r#"{"?name":"x"}"#).0, 400);
}

#[test]
fn writes_read_back_as_plain_numbers_and_are_logged() {
    let mut client = Client::simple();
    let (status, row) = client.ask("PATCH", "/rest/queue/tree/*1000000", r#"{"max-limit":"10M"}"#);
    assert_eq!((status, &row["max-limit"]), (200, &json!("10000000")));
    let (status, done) = client.ask("POST", "/rest/queue/tree/set", r#"{".id":"*1000001","max-limit":7000000}"#);
    assert_eq!((status, done), (200, json!([])));
    let limits: Vec<_> = client.router.writes().map(|w| (w.object.as_str(), w.max_limit.as_deref())).collect();
    assert_eq!(limits, [("wan1-dl", Some("10000000")), ("wan1-ul", Some("7000000"))]);
    let shaper = ShaperRef { queue: "wan1-dl".to_owned(), half: Half::First };
    assert_eq!(client.router.shaper_rate(&shaper), Some(Bitrate::from_mbps(10)));
    assert_eq!(client.router.sectors_written(), 2);
}

#[test]
fn simple_queues_take_pairs_only() {
    let mut client = Client::simple();
    let (status, row) = client.ask("PATCH", "/rest/queue/simple/*1", r#"{"max-limit":"4M/40M"}"#);
    assert_eq!((status, &row["max-limit"]), (200, &json!("4000000/40000000")));
    assert_eq!(client.ask("PATCH", "/rest/queue/simple/*1", r#"{"max-limit":"4000000"}"#).0, 400);
    let shaper = |half| ShaperRef { queue: "both".to_owned(), half };
    assert_eq!(client.router.shaper_rate(&shaper(Half::First)), Some(Bitrate::from_mbps(4)));
    assert_eq!(client.router.shaper_rate(&shaper(Half::Second)), Some(Bitrate::from_mbps(40)));
}

#[test]
fn rows_come_and_go() {
    let mut client = Client::simple();
    let (status, row) = client.ask("PUT", "/rest/queue/tree", r#"{"name":"x","parent":"global"}"#);
    assert_eq!((status, &row[".id"]), (201, &json!("*1000002")));
    let (status, ret) = client.ask("POST", "/rest/queue/tree/add", r#"{"parent":"x"}"#);
    assert_eq!((status, ret), (200, json!({"ret":"*1000003"})));
    assert_eq!(client.ask("DELETE", "/rest/queue/tree/*1000002", ""), (204, Value::Null));
    assert_eq!(client.ask("DELETE", "/rest/queue/tree/*1000002", "").0, 404);
    assert_eq!(client.ask("POST", "/rest/queue/tree/remove", r#"{".id":"*1000003"}"#), (200, json!([])));
}

#[test]
fn refusals_say_why() {
    let mut client = Client::simple();
    for (method, path, body, detail) in [
        ("POST", "/rest/queue/tree", "{}", "no such command"),
        ("POST", "/rest/queue/tree/unset", r#"{".id":"*1000000"}"#, "no such command"),
        ("GET", "/rest/nothing/here", "", "no such command prefix"),
        ("PATCH", "/rest/queue/tree/*1000000", r#"{"vrf":"x"}"#, "unknown parameter vrf"),
        ("PATCH", "/rest/queue/tree/*1000000", r#"{"queue":"x"}"#, "input does not match any value of queue"),
        ("PATCH", "/rest/queue/tree/*1000000", r#"{"max-limit":"x"}"#, "invalid value for argument max-limit"),
        ("PUT", "/rest/queue/tree", r#"{"name":"x"}"#, "missing =parent="),
        ("POST", "/rest/queue/tree/set", r#"{".id":"*9","max-limit":"1"}"#, "no such item"),
    ] {
        let (status, body) = client.ask(method, path, body);
        assert_eq!((status, &body["error"], &body["detail"]), (400, &json!(400), &json!(detail)), "{method} {path}");
    }
    client.router.set_policy(true, false);
    let (status, body) = client.ask("PATCH", "/rest/queue/tree/*1000000", r#"{"max-limit":"1"}"#);
    assert_eq!((status, &body["detail"]), (500, &json!("not enough permissions (9)")));
    client.send("GET", "/rest/queue/tree", "", &basic("wanctl", "wrong"));
    assert_eq!(client.receive(), (401, String::new()));
}

#[test]
fn a_reboot_gives_new_ids_and_fresh_counters() {
    let mut client = Client::simple();
    let shaper = ShaperRef { queue: "wan1-dl".to_owned(), half: Half::First };
    client.router.count(&shaper, &Traffic { bytes: 5, ..Traffic::default() });
    assert_eq!(client.ask("GET", "/rest/queue/tree/wan1-dl", "").1["bytes"], "5");
    client.router.reboot(client.now, Duration::from_secs(30));
    assert_eq!(client.router.poll_output(client.session, client.now), Some(Output::Reset));
    assert_eq!(client.router.connect(client.now), Err(Refusal::Refused));
    client.now += Duration::from_secs(31);
    client.session = client.router.connect(client.now).unwrap();
    assert_eq!(client.ask("GET", "/rest/queue/tree/*1000000", "").0, 404);
    assert_eq!(client.ask("GET", "/rest/queue/tree/wan1-dl", "").1["bytes"], "0");
    assert_eq!(client.ask("GET", "/rest/system/resource", "").1["uptime"], "1s");
}

#[test]
fn faults_strike_as_often_as_asked() {
    let mut client = Client::simple();
    client.router.inject(client.now, Fault::Status { status: 503, times: 2 });
    client.router.inject(client.now, Fault::Garbage { times: 1 });
    let statuses = [0; 4].map(|_| client.ask("GET", "/rest/queue/tree", "").0);
    assert_eq!(statuses, [503, 503, 200, 200]);
    let before = client.now;
    client.router.inject(before, Fault::Stall(Duration::from_secs(3)));
    client.ask("GET", "/rest/queue/tree", "");
    assert!(client.now.since(before) >= Duration::from_secs(3));
    client.router.inject(client.now, Fault::DropResponse { times: 1 });
    client.send("PATCH", "/rest/queue/tree/*1000000", r#"{"max-limit":"1"}"#, &basic("wanctl", "secret"));
    client.router.advance(client.now + Duration::from_secs(60));
    assert_eq!(client.router.next_output_at(client.session), None);
    assert_eq!(client.router.property("wan1-dl", "max-limit"), Some("1"), "carried out all the same");
    client.router.inject(client.now, Fault::Close);
    assert_eq!(client.router.poll_output(client.session, client.now), Some(Output::Close));
    assert_eq!(client.router.connections(), 0);
}

#[test]
fn a_boot_can_confuse_menus_and_ids() {
    let mut client = Client::new(RouterSetup {
        boot_confusion: Duration::from_secs(2),
        boot_swaps_ids: true,
        ..RouterSetup::default()
    });
    client.router.reboot(client.now, Duration::from_secs(1));
    client.now += Duration::from_secs(1);
    client.session = client.router.connect(client.now).unwrap();
    assert_eq!(client.ask("GET", "/rest/queue/tree", "").1[0]["type"], "ether");
    client.now += Duration::from_secs(2);
    assert_eq!(client.ask("GET", "/rest/queue/tree/*1000000", "").1["name"], "wan1-ul");
}

#[test]
fn idle_connections_can_be_closed() {
    let idle = Duration::from_secs(30);
    let mut client = Client::new(RouterSetup { idle_close: Some(idle..=idle), ..RouterSetup::default() });
    client.ask("GET", "/rest/queue/tree", "");
    let end = client.now + idle;
    assert_eq!(client.router.next_due(), Some(end));
    assert_eq!(client.router.poll_output(client.session, end - Duration::from_millis(1)), None);
    assert_eq!(client.router.poll_output(client.session, end), Some(Output::Close));
    assert_eq!(client.router.next_due(), None);
}

#[test]
fn counters_can_lag() {
    let period = Some(Duration::from_secs(1));
    let mut client = Client::new(RouterSetup {
        counter_period: period,
        latency: Latency::fixed(Duration::from_millis(1)),
        ..RouterSetup::default()
    });
    client.router.advance(Instant::from_nanos(1));
    let shaper = ShaperRef { queue: "wan1-dl".to_owned(), half: Half::First };
    client.router.count(&shaper, &Traffic { bytes: 5, ..Traffic::default() });
    assert_eq!(client.ask("GET", "/rest/queue/tree/wan1-dl", "").1["bytes"], "0");
    client.now = Instant::ZERO + Duration::from_secs(1);
    assert_eq!(client.ask("GET", "/rest/queue/tree/wan1-dl", "").1["bytes"], "5");
}

proptest! {
    #[test]
    fn no_request_panics(
        method in "GET|PUT|PATCH|POST|DELETE|[A-Z]{1,4}",
        path in "/rest/(queue/(tree|simple)|interface|system/resource)(/(\\*?[0-9A-F]{1,7}|set|print|add|remove|enable))?(\\?[a-z.=%]{0,12})?",
        body in "(\\{(\"(\\.id|numbers|\\.query|max-limit|name|queue|x)\":(\"[*0-9a-zM/#|!&<>=-]{0,8}\"|null|[0-9]{1,5}|\\[\\]),?)?\\}|[ -~]{0,20})",
    ) {
        let mut client = Client::simple();
        client.ask(&method, &path, &body);
    }
}

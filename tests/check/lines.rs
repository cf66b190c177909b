//! The same for a house with two lines and steering: `cross/routeros/steering.rsc` makes a router without complaint,
//! and whatever is taken away from it is found and mended.

use super::house::House;
use super::mend::{mends_itself, told};

const PAGE: &str = include_str!("../../docs/steering.md");

const STEERING: &str = include_str!("../../cross/routeros/steering.rsc");

/// The second line, and who leaves by it.
const LINES: &str = r#"[[wan]]
name = "dsl"
link = "dsl"
source = "127.0.0.5"
router_interface = "ether2"
reflectors = ["127.0.0.6", "127.0.0.7", "127.0.0.8"]
tcp_targets = []
[wan.download]
queue = "wan2-dl"
ceiling = "80M"
[wan.upload]
queue = "wan2-ul"
ceiling = "18M"
[[steering]]
name = "calls"
primary = "cable"
[[steering.alternate]]
wan = "dsl"
MEANS
"#;

const RULE: &str = r#"rule = "wanctl: steer wan2""#;
const LEASE: &str = r#"lease = { lists = ["wanctl-steer-a", "wanctl-steer-b"], prefixes = ["192.168.88.0/24"] }"#;

/// A router with two lines and their queues, but nothing for steering.
fn bare(name: &str, means: &str) -> House {
    let mut house = House::new(name);
    house.pin();
    house.change("[state]", &format!("{}[state]", LINES.replace("MEANS", means)));
    house.change("link = \"cable\"", "link = \"cable\"\nsource = \"127.0.0.4\"");
    let setup = "/queue tree add name=wan2-dl parent=bridge packet-mark=to-wan2 queue=cake max-limit=80M\n\
                 /queue tree add name=wan2-ul parent=ether2 queue=cake max-limit=18M\n\
                 /queue tree set [find name=wan1-dl] packet-mark=to-wan1\n\
                 /queue tree set [find] bucket-size=0.01\n\
                 /ip firewall filter add chain=forward action=fasttrack-connection connection-state=established,related";
    house.console().run(setup).unwrap_or_else(|error| panic!("{error}"));
    house
}

/// A router with nothing to mend.
fn good(name: &str, means: &str) -> House {
    let house = bare(name, means);
    let rules = "/routing table add name=wan1 fib\n/routing table add name=wan2 fib\n\
                 /routing rule add src-address=127.0.0.4/32 action=lookup-only-in-table table=wan1\n\
                 /routing rule add src-address=127.0.0.5/32 action=lookup-only-in-table table=wan2\n";
    let script = STEERING.replace(":local lease false", &format!(":local lease {}", means == LEASE));
    for commands in [rules, &script] {
        house.console().run(commands).unwrap_or_else(|error| panic!("{error}"));
    }
    house
}

const HARMS: [(&str, &str, &str); 15] = [
    ("/ip firewall mangle remove [find comment=\"wanctl: steer wan2\"]", "BAD", "has no such rule of yours"),
    (
        "/ip firewall mangle add chain=prerouting action=mark-connection new-connection-mark=x comment=\"wanctl: steer wan2\"",
        "BAD",
        "is there 2 times",
    ),
    (
        "/ip firewall mangle set [find comment=\"wanctl: steer wan2\"] chain=forward",
        "BAD",
        "is in the chain \"forward\"",
    ),
    (
        "/ip firewall mangle set [find comment=\"wanctl: steer wan2\"] action=mark-packet",
        "BAD",
        "has the action \"mark-packet\" instead of a connection mark",
    ),
    (
        "/ip firewall mangle set [find comment=\"wanctl: steer wan2\"] connection-state=new,established",
        "BAD",
        "takes connections in any state",
    ),
    ("/ip firewall mangle set [find comment=\"wanctl: steer wan2\"] passthrough=no", "BAD", "(passthrough=no)"),
    (
        "/ip firewall mangle remove [find action=mark-routing]",
        "BAD",
        "no rule routes by the connection mark \"wanctl-steer\"",
    ),
    (
        "/ip firewall mangle disable [find action=mark-routing]",
        "BAD",
        "no rule routes by the connection mark \"wanctl-steer\"",
    ),
    ("/ip firewall mangle move [find comment=\"wanctl: steer wan2\"]", "BAD", "comes before the one that makes it"),
    (
        "/ip firewall mangle set [find action=mark-routing] in-interface-list=\"\"",
        "BAD",
        "takes packets from everywhere",
    ),
    ("/ip route set [find routing-table=wanctl-steer] check-gateway=\"\"", "warn", "stays when its gateway is dead"),
    ("/ip route remove [find routing-table=wanctl-steer]", "BAD", "\"wanctl-steer\" has no default route"),
    ("/ip firewall nat remove [find]", "BAD", "nothing translates addresses on \"ether2\""),
    (
        "/ip firewall filter set [find action=fasttrack-connection] connection-mark=\"\"",
        "BAD",
        "FastTrack takes steered connections",
    ),
    ("/routing rule set [find src-address=127.0.0.5/32] action=lookup", "warn", "has the action \"lookup\""),
];

#[test]
fn a_router_set_up_by_the_script_gets_no_complaint() {
    for (name, means, words) in [
        ("rule", RULE, "the rule \"wanctl: steer wan2\" is disabled now"),
        ("lease", LEASE, "the rule for the list \"wanctl-steer-b\" is in its place"),
    ] {
        let house = good(name, means);
        let said = house.run("check");
        assert_eq!(said.code, 0, "{said:?}");
        assert!(told(&said).is_empty() && said.out.contains(words), "{}", said.out);
    }
}

/// Several houses at once: a check waits for answers most of its time.
#[test]
fn what_keeps_steering_from_its_effect_is_mended_by_the_command_shown() {
    std::thread::scope(|scope| {
        for (i, harms) in HARMS.chunks(3).enumerate() {
            scope.spawn(move || {
                let house = good(&format!("lines-{i}"), RULE);
                for (harm, mark, words) in harms {
                    mends_itself(&house, harm, mark, words);
                }
            });
        }
    });
}

#[test]
fn a_router_prepared_by_the_page_has_nothing_to_mend() {
    let rule = r#"rule = "wanctl: new calls leave through dsl""#;
    let lease = r#"lease = { lists = ["wanctl-calls-a", "wanctl-calls-b"], prefixes = ["192.168.88.0/24"] }"#;
    for (name, means) in [("page-rule", rule), ("page-lease", lease)] {
        let house = bare(name, means);
        let mut console = house.console();
        let (mut inside, mut typed) = (false, 0);
        for line in PAGE.lines().map(str::trim) {
            match line {
                "```ros" => inside = true,
                "```" => inside = false,
                command if inside => {
                    // The probes of the test go over loopback.
                    let command = command.replace("172.17.0.2", "127.0.0.4").replace("172.17.0.3", "127.0.0.5");
                    console.run(&command).unwrap_or_else(|error| panic!("{command}: {error}"));
                    typed += 1;
                }
                _ => {}
            }
        }
        assert!(typed >= 15, "{typed}");
        let said = house.run("check");
        assert!(said.code == 0 && told(&said).is_empty(), "{}", said.out);
    }
}

#[test]
fn a_router_without_anything_for_steering_is_led_there() {
    let house = bare("bare", LEASE);
    let mut console = house.console();
    // One thing leads to the next: the rule, then what routes by its mark, then the way out.
    for _ in 0..4 {
        for finding in told(&house.run("check")) {
            console.run(&finding.mend).unwrap_or_else(|error| panic!("{}: {error}", finding.mend));
        }
    }
    let said = house.run("check");
    assert!(said.code == 0 && told(&said).is_empty(), "{}", said.out);
}

//! The scripts in `cross/routeros`, each run on the double twice and more.

use super::console::Console;
use super::house::PASSWORD;
use serde_json::{Map, Value};
use wanctl_hal::Duration;
use wanctl_hal::sim::{Latency, QueueSetup, RouterDouble, RouterSetup, World};

const INSTALL: &str = include_str!("../../cross/routeros/install.rsc");
const QUEUES: &str = include_str!("../../cross/routeros/queues.rsc");
const STEERING: &str = include_str!("../../cross/routeros/steering.rsc");
const DEADMAN: &str = include_str!("../../cross/routeros/deadman.rsc");
const UNINSTALL: &str = include_str!("../../cross/routeros/uninstall.rsc");

/// Two lines where the scripts come with one.
const LINES: &str = r#":local lines {
  {"name"="wan1"; "interface"="ether1"; "source"="172.17.0.2"; "gateway"="192.0.2.1"; "download"="940M"; "upload"="38M"};
  {"name"="wan2"; "interface"="ether2"; "source"="172.17.0.3"; "gateway"="pppoe-out1"; "download"="100M"; "upload"="20M"}
}
"#;

const MENUS: [&str; 22] = [
    "/queue/type",
    "/queue/tree",
    "/queue/simple",
    "/interface",
    "/interface/veth",
    "/interface/bridge",
    "/interface/bridge/port",
    "/ip/address",
    "/ip/route",
    "/ip/service",
    "/routing/table",
    "/routing/rule",
    "/ip/firewall/filter",
    "/ip/firewall/nat",
    "/ip/firewall/mangle",
    "/user",
    "/user/group",
    "/tool/netwatch",
    "/system/script",
    "/container",
    "/container/envs",
    "/container/mounts",
];

/// A router of this version as its default configuration leaves it, and its owner's console.
fn router(version: &str) -> Console {
    let setup = RouterSetup {
        user: "keeper".to_owned(),
        password: PASSWORD.to_owned(),
        version: format!("{version} (stable)"),
        latency: Latency::fixed(Duration::from_millis(1)),
        queues: Vec::<QueueSetup>::new(),
        queue_types: Vec::new(),
        ..RouterSetup::default()
    };
    let world = World::new(RouterDouble::new(setup), Vec::new()).share();
    let mut console = Console::of(world, "keeper", PASSWORD);
    console
        .run(
            "/user set [find name=keeper] group=full; /user group remove [find name=wanctl]\n\
             /ip firewall filter add chain=input connection-state=established,related action=accept comment=defconf\n\
             /ip firewall filter add chain=forward action=fasttrack-connection connection-state=established,related\n\
             /ip firewall filter add chain=forward action=drop connection-state=invalid comment=defconf",
        )
        .unwrap();
    console
}

/// The script with these of its variables set; each must be there.
fn with(script: &str, variables: &[(&str, &str)]) -> String {
    let mut script = script.to_owned();
    for (name, value) in variables {
        let start = script.find(&format!(":local {name} ")).unwrap_or_else(|| panic!("no variable {name}"));
        let end = start + script[start..].find('\n').unwrap();
        script.replace_range(start..end, &format!(":local {name} {value}"));
    }
    script
}

/// The same with two lines.
fn on_two_lines(script: &str) -> String {
    let start = script.find(":local lines {\n").unwrap();
    let end = start + script[start..].find("\n}\n").unwrap() + 3;
    format!("{}{LINES}{}", &script[..start], &script[end..])
}

fn install() -> String {
    with(&on_two_lines(INSTALL), &[("password", r#""correct horse battery""#)])
}

type Rows = Vec<Map<String, Value>>;

fn state(console: &Console) -> Vec<(&'static str, Rows)> {
    MENUS.map(|menu| (menu, console.rows(menu))).to_vec()
}

/// Runs the script twice; the second time must change nothing.
fn twice(console: &mut Console, script: &str) {
    console.run(script).unwrap_or_else(|error| panic!("{error}"));
    let first = state(console);
    console.run(script).unwrap_or_else(|error| panic!("the second time: {error}"));
    for (before, after) in first.into_iter().zip(state(console)) {
        assert_eq!(before, after);
    }
}

/// These members of all rows, each row as `a=1 b=2`; what a row has not is left out.
fn told(console: &Console, menu: &str, names: &[&str]) -> Vec<String> {
    let row = |row: &Map<String, Value>| {
        let has = |name: &&str| row.get(*name).map(|value| format!("{name}={}", value.as_str().unwrap()));
        names.iter().filter_map(has).collect::<Vec<_>>().join(" ")
    };
    console.rows(menu).iter().map(row).collect()
}

#[test]
fn install_is_right_in_the_spelling_of_every_version() {
    let conf = "src=/usb1/wanctl-conf dst=/etc/wanctl";
    for (version, container, envs, mounts) in [
        ("7.16", "envlist=wanctl mounts=wanctl-conf,wanctl-state", "name=wanctl", "name=wanctl-conf"),
        ("7.19.4", "envlist=wanctl mounts=wanctl-conf,wanctl-state", "name=wanctl", "name=wanctl-conf"),
        ("7.20.6", "envlists=wanctl mounts=wanctl-conf,wanctl-state", "list=wanctl", "name=wanctl-conf"),
        ("7.21", "envlists=wanctl mountlists=wanctl", "list=wanctl", "list=wanctl"),
        ("7.24.5", "envlists=wanctl mountlists=wanctl", "list=wanctl", "list=wanctl"),
    ] {
        let mut console = router(version);
        twice(&mut console, &install());
        let names = ["envlist", "envlists", "mounts", "mountlists", "file", "interface", "root-dir", "start-on-boot"];
        let rest = "file=usb1/wanctl.tar interface=veth-wanctl root-dir=/usb1/wanctl-root start-on-boot=true";
        assert_eq!(told(&console, "/container", &names), [format!("{container} {rest}")], "{version}");
        let secret = "key=WANCTL_ROUTER_PASSWORD value=correct horse battery";
        let names = ["name", "list", "key", "value"];
        assert_eq!(told(&console, "/container/envs", &names), [format!("{envs} {secret}")], "{version}");
        let found = told(&console, "/container/mounts", &["name", "list", "src", "dst"]);
        assert_eq!((found.len(), found[0].as_str()), (2, format!("{mounts} {conf}").as_str()), "{version}");
    }
}

#[test]
fn install_gives_every_line_an_address_a_table_and_a_rule() {
    let mut console = router("7.24.5");
    twice(&mut console, &install());
    let veth = told(&console, "/interface/veth", &["name", "address", "gateway"]);
    assert_eq!(veth, ["name=veth-wanctl address=172.17.0.2/24,172.17.0.3/24 gateway=172.17.0.1"]);
    assert_eq!(
        told(&console, "/interface/bridge/port", &["bridge", "interface"]),
        ["bridge=wanctl interface=veth-wanctl"]
    );
    assert_eq!(told(&console, "/ip/address", &["address", "interface"]), ["address=172.17.0.1/24 interface=wanctl"]);
    assert_eq!(
        told(&console, "/routing/rule", &["src-address", "dst-address", "action", "table"]),
        [
            "src-address=172.17.0.0/24 dst-address=172.17.0.0/24 action=lookup-only-in-table table=main",
            "src-address=172.17.0.2/32 action=lookup-only-in-table table=wanctl-wan1",
            "src-address=172.17.0.3/32 action=lookup-only-in-table table=wanctl-wan2",
        ]
    );
    let routes = told(&console, "/ip/route", &["dst-address", "gateway", "routing-table"]);
    let ours: Vec<_> = routes.iter().filter(|route| !route.ends_with("=main")).collect();
    assert_eq!(
        ours,
        [
            "dst-address=0.0.0.0/0 gateway=192.0.2.1 routing-table=wanctl-wan1",
            "dst-address=0.0.0.0/0 gateway=pppoe-out1 routing-table=wanctl-wan2"
        ]
    );
    let names = ["chain", "src-address", "out-interface", "dst-port", "connection-state", "action"];
    let filter: Vec<_> =
        told(&console, "/ip/firewall/filter", &names).into_iter().filter(|r| !r.contains("passthrough")).collect();
    assert_eq!(
        filter,
        [
            "chain=input src-address=172.17.0.0/24 connection-state=established,related action=accept",
            "chain=input src-address=172.17.0.0/24 dst-port=80,443 action=accept",
            "chain=input src-address=172.17.0.0/24 action=drop",
            "chain=forward src-address=172.17.0.2/32 out-interface=ether1 action=accept",
            "chain=forward src-address=172.17.0.3/32 out-interface=ether2 action=accept",
            "chain=forward src-address=172.17.0.0/24 action=drop",
            "chain=input connection-state=established,related action=accept",
            "chain=forward connection-state=established,related action=fasttrack-connection",
            "chain=forward connection-state=invalid action=drop",
        ]
    );
    assert_eq!(
        told(&console, "/ip/firewall/nat", &names),
        [
            "chain=srcnat src-address=172.17.0.2/32 out-interface=ether1 action=masquerade",
            "chain=srcnat src-address=172.17.0.3/32 out-interface=ether2 action=masquerade"
        ]
    );
    let user = told(&console, "/user", &["name", "group", "address"]);
    assert!(user.contains(&"name=wanctl group=wanctl address=172.17.0.2/32,172.17.0.3/32".to_owned()), "{user:?}");

    // Another gateway, another password: taken over.
    let other = install().replace("192.0.2.1", "192.0.2.254").replace("horse", "zebra");
    twice(&mut console, &other);
    assert!(told(&console, "/ip/route", &["gateway"]).contains(&"gateway=192.0.2.254".to_owned()));
    assert_eq!(told(&console, "/container/envs", &["value"]), ["value=correct zebra battery"]);
}

#[test]
fn install_stands_on_a_router_without_a_firewall() {
    let mut console = router("7.24.5");
    console.run("/ip firewall filter remove [find dynamic=no]").unwrap();
    twice(&mut console, &install());
    let rules = told(&console, "/ip/firewall/filter", &["chain", "action"]);
    assert_eq!(rules.last().unwrap(), "chain=forward action=passthrough");
    assert!(rules.len() >= 7, "{rules:?}");
}

#[test]
fn install_says_what_is_missing() {
    let mut console = router("7.24.5");
    let before = state(&console);
    let error = console.run(INSTALL).unwrap_err();
    assert!(error.contains("set the variable password"), "{error}");
    assert_eq!(before, state(&console));
    // A veth that has a container of another name, say: RouterOS refuses, and it is told.
    let wrong = install().replace("root-dir=", "rootdir=");
    let error = console.run(&wrong).unwrap_err();
    assert!(error.contains("the container was refused") && error.contains("usb1/wanctl.tar"), "{error}");
}

#[test]
fn a_script_is_read_by_every_version() {
    // What only some versions know stands in a text that is read when it is run, or the script would
    // not be read at all.
    for script in [INSTALL, UNINSTALL] {
        let outside = |line: &&str| line.trim_start().starts_with("/container") || line.contains(" /container");
        for line in script.lines().filter(|l| !l.starts_with('#')).filter(outside) {
            let known = ["/container find interface=", "/container stop", "/container remove", "/container start"];
            let in_text = line.contains("[:parse") || line.contains("local common \"") || line.starts_with("  \"");
            assert!(in_text || known.iter().any(|command| line.contains(command)), "{line}");
        }
    }
}

#[test]
fn queues_are_made_once_and_their_limits_left_alone() {
    let mut console = router("7.24.5");
    let script = with(&on_two_lines(QUEUES), &[("marked", "true")]);
    twice(&mut console, &script);
    let names = ["name", "parent", "packet-mark", "queue", "bucket-size", "max-limit"];
    assert_eq!(
        told(&console, "/queue/tree", &names),
        [
            "name=wan1-download parent=bridge packet-mark=wan1 queue=wanctl-cake bucket-size=0.01 max-limit=940000000",
            "name=wan1-upload parent=ether1 packet-mark= queue=wanctl-cake bucket-size=0.01 max-limit=38000000",
            "name=wan2-download parent=bridge packet-mark=wan2 queue=wanctl-cake bucket-size=0.01 max-limit=100000000",
            "name=wan2-upload parent=ether2 packet-mark= queue=wanctl-cake bucket-size=0.01 max-limit=20000000",
        ]
    );
    // The daemon at work, and a hand that has hung a queue up wrongly.
    console.run("/queue tree set [find name=wan1-download] max-limit=7M parent=ether2").unwrap();
    twice(&mut console, &script);
    assert!(told(&console, "/queue/tree", &names)[0].ends_with("bucket-size=0.01 max-limit=7000000"));
    assert!(told(&console, "/queue/tree", &names)[0].contains("parent=bridge"));
}

#[test]
fn steering_marks_new_connections_and_routes_by_the_mark() {
    let mut console = router("7.24.5");
    twice(&mut console, STEERING);
    let names = [
        "disabled",
        "chain",
        "in-interface-list",
        "connection-state",
        "connection-mark",
        "dst-address-type",
        "dscp",
        "action",
        "new-connection-mark",
        "new-routing-mark",
        "passthrough",
    ];
    let new = "in-interface-list=LAN connection-state=new connection-mark=no-mark dst-address-type=!local dscp=46";
    let marks = "action=mark-connection new-connection-mark=wanctl-steer passthrough=true";
    let routed = "disabled=false chain=prerouting in-interface-list=LAN connection-mark=wanctl-steer \
        action=mark-routing new-routing-mark=wanctl-steer passthrough=false";
    assert_eq!(
        told(&console, "/ip/firewall/mangle", &names),
        [format!("disabled=true chain=prerouting {new} {marks}"), routed.to_owned()]
    );
    let fast = |console: &Console| {
        let rows = console.rows("/ip/firewall/filter");
        rows.iter().find(|r| r["action"] == "fasttrack-connection").unwrap()["connection-mark"].clone()
    };
    assert_eq!(fast(&console), "no-mark");
    // The daemon has switched it on: it stays on.
    console.run("/ip firewall mangle enable [find comment=\"wanctl: steer wan2\"]").unwrap();
    twice(&mut console, STEERING);
    assert!(told(&console, "/ip/firewall/mangle", &names)[0].starts_with("disabled=false"));

    let mut console = router("7.24.5");
    twice(&mut console, &with(STEERING, &[("lease", "true"), ("dscp", "\"\"")]));
    let lists = told(&console, "/ip/firewall/mangle", &["disabled", "dscp", "src-address-list", "action"]);
    assert_eq!(
        lists,
        [
            "disabled=false src-address-list=wanctl-steer-a action=mark-connection",
            "disabled=false src-address-list=wanctl-steer-b action=mark-connection",
            "disabled=false action=mark-routing"
        ]
    );
    assert_eq!(fast(&console), "no-mark");
}

#[test]
fn the_dead_mans_switch_sets_safe_limits_and_ends_steering() {
    let mut console = router("7.24.5");
    for script in [QUEUES, STEERING, DEADMAN] {
        twice(&mut console, script);
    }
    console.run("/ip firewall mangle enable [find comment=\"wanctl: steer wan2\"]").unwrap();
    let names = ["host", "port", "type", "http-codes", "up-script", "disabled"];
    let watch = "host=172.17.0.2 port=9178 type=http-get http-codes=200 up-script= disabled=false";
    assert_eq!(told(&console, "/tool/netwatch", &names), [watch]);
    // What netwatch does when nobody answers.
    let down = console.rows("/tool/netwatch")[0]["down-script"].as_str().unwrap().to_owned();
    let comments = told(&console, "/queue/tree", &["comment"]);
    console.run(&down).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(
        told(&console, "/queue/tree", &["name", "max-limit"]),
        ["name=wan1-download max-limit=200000000", "name=wan1-upload max-limit=15000000"]
    );
    assert_eq!(told(&console, "/queue/tree", &["comment"]), comments);
    // The rule that is off says who turned it off; asked again, nothing more happens to it, nor to one that was off.
    let tagged = format!("disabled=true comment=wanctl: steer wan2{}", wanctl::actuate::DEAD_MAN);
    for _ in 0..2 {
        assert_eq!(told(&console, "/ip/firewall/mangle", &["disabled", "comment"])[0], tagged);
        console.run(&down).unwrap();
    }
    // Set up again, it is the same rule, under its own comment.
    twice(&mut console, STEERING);
    assert_eq!(told(&console, "/ip/firewall/mangle", &["comment"]).len(), 2);
    console.run(&down).unwrap();
    let off = ["disabled=true comment=wanctl: steer wan2"];
    assert_eq!(told(&console, "/ip/firewall/mangle", &["disabled", "comment"])[..1], off);
    // Without steering it mentions none.
    twice(&mut console, &with(DEADMAN, &[("steering", "\"\"")]));
    let down = console.rows("/tool/netwatch")[0]["down-script"].as_str().unwrap().to_owned();
    assert!(!down.contains("mangle"), "{down}");
}

#[test]
fn uninstall_leaves_what_was_there_before() {
    for version in ["7.16", "7.20.6", "7.24.5"] {
        let mut console = router(version);
        let before = state(&console);
        for script in [on_two_lines(QUEUES), install(), STEERING.to_owned(), DEADMAN.to_owned()] {
            console.run(&script).unwrap();
        }
        console.run("/container start [find interface=veth-wanctl]").unwrap();
        let queues = [("queues", "true"), ("lines", "{\"wan1\"; \"wan2\"}")];
        twice(&mut console, &with(UNINSTALL, &queues));
        // FastTrack keeps away from marks that nobody makes any more: no harm.
        console.run("/ip firewall filter set [find action=fasttrack-connection] connection-mark=\"\"").unwrap();
        for (before, after) in before.into_iter().zip(state(&console)) {
            assert_eq!(before, after, "{version}");
        }
    }
}

const PAGE: &str = include_str!("../../docs/install.md");

/// A line of the page on the console; `/import` runs the script as its reader has made it.
fn type_in(console: &mut Console, command: &str) {
    let script = match command.strip_prefix("/import ") {
        None => command.to_owned(),
        Some("install.rsc") => install(),
        Some("queues.rsc") => QUEUES.to_owned(),
        Some("deadman.rsc") => with(DEADMAN, &[("steering", "\"\"")]),
        Some("uninstall.rsc") => with(UNINSTALL, &[("queues", "true")]),
        Some(other) => panic!("the page imports {other}"),
    };
    console.run(&script).unwrap_or_else(|error| panic!("{command}: {error}"));
}

#[test]
fn the_page_on_installing_is_typed_in_from_top_to_bottom() {
    for version in ["7.16", "7.20.6", "7.24.5"] {
        let mut console = router(version);
        let before = state(&console);
        let (mut inside, mut typed) = (false, 0);
        for line in PAGE.lines().map(str::trim) {
            match line {
                "```ros" => inside = true,
                "```" => inside = false,
                command if inside => {
                    type_in(&mut console, command);
                    typed += 1;
                    if command.starts_with("/tool netwatch enable") {
                        // Installed and upgraded.
                        assert_eq!(told(&console, "/container", &["status"]), ["status=running"], "{version}");
                        assert_eq!(told(&console, "/tool/netwatch", &["disabled"]), ["disabled=false"]);
                    }
                }
                _ => {}
            }
        }
        assert!(typed >= 12, "{typed}");
        console.run("/ip service set www address=127.0.0.0/8,192.168.0.0/16 disabled=yes").unwrap();
        for (before, after) in before.into_iter().zip(state(&console)) {
            assert_eq!(before, after, "{version}");
        }
    }
}

#[test]
fn no_way_to_install_has_more_than_ten_steps() {
    for way in PAGE.split("\n## ").filter(|part| part.starts_with(['A', 'B', 'C'])) {
        let steps = way.lines().filter(|l| l.split_once(". ").is_some_and(|(n, _)| n.parse::<u32>().is_ok())).count();
        assert!((5..=10).contains(&steps), "{steps}: {way:.40}");
    }
}

//! Every misconfiguration is found, with a command that mends it; the command is carried out, and
//! the finding is gone.

use super::house::{House, Said};

/// A line of the table: the sign, what it is about and what was found; then the mending command.
pub struct Told {
    pub line: String,
    pub mend: String,
}

pub fn told(said: &Said) -> Vec<Told> {
    let lines: Vec<&str> = said.out.lines().collect();
    let is_finding = |l: &&str| l.starts_with("warn") || l.starts_with("BAD");
    let finding = |(i, line): (usize, &&str)| {
        let detail = |label: &str| {
            lines[i + 1..]
                .iter()
                .take(2)
                .find_map(|l| l.trim_start().strip_prefix(label))
                .unwrap_or("")
                .trim()
                .to_owned()
        };
        assert!(!detail("why:").is_empty() && detail("mend:").starts_with('/'), "{line}\n{}", said.out);
        Told { line: (*line).to_owned(), mend: detail("mend:") }
    };
    lines.iter().enumerate().filter(|(_, l)| is_finding(l)).map(finding).collect()
}

/// A router with nothing to mend.
fn good(name: &str) -> House {
    let mut house = House::new(name);
    house.pin();
    let mut console = house.console();
    for queue in ["wan1-dl", "wan1-ul"] {
        console.run(&format!("/queue tree set [find name={queue}] bucket-size=0.01")).unwrap();
    }
    house
}

#[test]
fn a_good_router_gets_no_complaint() {
    let house = good("good");
    let said = house.run("check");
    assert_eq!(said.code, 0, "{said:?}");
    assert!(told(&said).is_empty(), "{}", said.out);
    for words in
        ["RouterOS 7.24.5", "may do what is needed, and no more", "sectors written", "\"wan1-dl\" has 100M now"]
    {
        assert!(said.out.contains(words), "no {words} in {}", said.out);
    }
}

/// Breaks the good router with `harm`; one finding with these words comes, and goes by its own
/// command.
pub fn mends_itself(house: &House, harm: &str, mark: &str, words: &str) {
    let mut console = house.console();
    console.run(harm).unwrap_or_else(|error| panic!("{error}"));
    let said = house.run("check");
    assert_eq!(said.code, if mark == "BAD" { 3 } else { 0 }, "{harm}: {}", said.out);
    let findings = told(&said);
    let found = findings.iter().find(|t| t.line.contains(words)).unwrap_or_else(|| panic!("{harm}: {}", said.out));
    assert!(found.line.starts_with(mark), "{}", found.line);
    for finding in &findings {
        console.run(&finding.mend).unwrap_or_else(|error| panic!("{harm}: {error}"));
    }
    let said = house.run("check");
    assert!(said.code == 0 && told(&said).is_empty(), "after {:?}: {}", found.mend, said.out);
}

/// What is done to the router, how bad it is, and what must be said. (The harm of one row is
/// mended before the next.)
const HARMS: [(&str, &str, &str); 20] = [
    ("/queue tree disable [find name=wan1-dl]", "BAD", "\"wan1-dl\" is disabled"),
    ("/queue tree set [find name=wan1-dl] name=wan1-old", "BAD", "/queue tree has no \"wan1-dl\"; it has: wan1-old"),
    ("/queue tree set [find name=wan1-ul] queue=default", "BAD", "\"default\", which is not of kind cake"),
    ("/queue type set [find name=cake] cake-bandwidth=50M", "BAD", "has a cake-bandwidth of its own: 50000000"),
    ("/queue type set [find name=cake] cake-autorate-ingress=yes", "BAD", "has cake-autorate-ingress on"),
    ("/queue tree set [find name=wan1-dl] bucket-size=0.1", "warn", "lets 100 ms through unshaped: 1000 kB at 80M"),
    ("/queue tree set [find name=wan1-dl] burst-limit=200M", "warn", "burst-limit is 200M"),
    ("/queue tree set [find name=wan1-ul] limit-at=9M", "warn", "limit-at is 9M"),
    ("/queue tree set [find name=wan1-dl] parent=ether1", "BAD", "both hang on \"ether1\""),
    (
        "/queue tree add name=all parent=bridge max-limit=50M; /queue tree set [find name=wan1-dl] parent=all",
        "warn",
        "its parent \"all\" has 50M, less than the ceiling of 80M",
    ),
    (
        "/ip firewall filter add chain=forward action=fasttrack-connection; /queue tree set [find name=wan1-dl] parent=global",
        "BAD",
        "FastTrack goes past wan1-dl",
    ),
    (
        "/queue tree set [find name=wan1-dl] parent=bridge packet-mark=down; \
         /ipv6 firewall filter add chain=forward action=fasttrack-connection",
        "BAD",
        "FastTrack goes past wan1-dl",
    ),
    (
        "/system script add name=night source=\"/queue tree set wan1-dl max-limit=1M\"",
        "warn",
        "mentions the queue \"wan1-dl\"",
    ),
    (
        "/system scheduler add name=hourly on-event=\"/queue tree print; :put wan1-ul\"",
        "warn",
        "mentions the queue \"wan1-ul\"",
    ),
    (
        "/tool netwatch add host=1.1.1.1 down-script=\"/queue simple set 0 max-limit=1M\"",
        "warn",
        "sets limits of queues",
    ),
    ("/user group set [find name=wanctl] policy=read,write,rest-api,policy,ssh", "warn", "also grants ssh, policy"),
    ("/user set [find name=wanctl] address=\"\"", "warn", "may log in from everywhere"),
    ("/user set [find name=wanctl] group=full", "warn", "its group \"full\" also grants"),
    ("/ip service set [find name=www-ssl !dynamic] address=\"\"", "warn", "is open to every address"),
    ("/ip service set www disabled=no", "warn", "is on beside www-ssl"),
];

fn all_of(name: &str, harms: &[(&str, &str, &str)]) {
    let house = good(name);
    for (harm, mark, words) in harms {
        if harm.contains("group=full") {
            // The mending command makes this group.
            house
                .console()
                .run("/user set [find name=wanctl] group=full; /user group remove [find name=wanctl]")
                .unwrap();
        }
        mends_itself(&house, harm, mark, words);
    }
}

#[test]
fn what_is_wrong_with_queues_is_mended_by_the_command_shown() {
    all_of("queues", &HARMS[..10]);
}

#[test]
fn what_is_wrong_around_them_is_mended_by_the_command_shown() {
    all_of("around", &HARMS[10..]);
}

#[test]
fn a_group_that_may_not_write_is_found_before_it_matters() {
    let house = good("poor");
    wanctl_hal::sim::lock(&house.world).router.set_policy(true, false);
    let said = house.run("check");
    assert_eq!(said.code, 3);
    assert!(said.out.contains("its group \"wanctl\" lacks write"), "{}", said.out);
    // Without `read` nothing can be checked, and that is said.
    wanctl_hal::sim::lock(&house.world).router.set_policy(false, true);
    let said = house.run("check");
    assert!(said.code == 3 && said.out.contains("the router user lacks a policy"), "{}", said.out);
}

#[test]
fn old_versions_have_holes() {
    let setup = wanctl_hal::sim::RouterSetup { version: "7.20 (stable)".to_owned(), ..Default::default() };
    let mut house = House::with("holes", setup, Some(wanctl_hal::sim::TlsSetup::default()));
    house.pin();
    let said = house.run("check");
    assert_eq!(said.code, 0, "{}", said.out);
    assert_eq!(said.out.matches("has a known hole in its web server").count(), 2, "{}", said.out);
    assert!(said.out.contains("/system package update install"));
}

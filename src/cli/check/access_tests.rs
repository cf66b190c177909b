use super::super::tests::{TEXT, config, facts, found, mends, parse};
use super::*;
use crate::types::Row;

fn resource(version: &str) -> Vec<Row> {
    vec![Row::from([
        ("version", version),
        ("board-name", "RB5009UG+S+"),
        ("uptime", "1d2h"),
        ("write-sect-since-reboot", "52"),
        ("write-sect-total", "120000"),
    ])]
}

#[test]
fn versions_are_read() {
    for (text, version) in [
        ("7.22.1 (stable)", Some((7, 22, 1))),
        ("7.9 (long-term)", Some((7, 9, 0))),
        ("7.24rc1", Some((7, 24, 0))),
        ("7.24.5", Some((7, 24, 5))),
        ("seven", None),
        ("", None),
    ] {
        assert_eq!(parse_version(text), version, "{text}");
    }
}

#[test]
fn known_holes_by_branch() {
    for (version, holes) in [
        ("7.10 (stable)", 3),
        ("7.12 (stable)", 2),
        ("7.20.1 (stable)", 1),
        ("7.23.3 (long-term)", 1),
        ("7.23.4 (long-term)", 0),
        ("7.24.1 (stable)", 1),
        ("7.24.2 (stable)", 0),
        ("7.25 (stable)", 0),
    ] {
        let findings = examine(&config(), &facts(&[(Table::Resource, resource(version))]));
        assert_eq!(found(&findings, Mark::Warn).len(), holes, "{version}: {findings:?}");
        assert!(mends(&findings).iter().all(|m| *m == "/system package update install"));
        assert!(findings[0].what.starts_with("RB5009UG+S+, RouterOS 7."));
    }
}

#[test]
fn wear_is_told_per_hour() {
    let findings = examine(&config(), &facts(&[(Table::Resource, resource("7.25"))]));
    let what = "52 sectors written since its boot 26 h ago, 2 an hour; 120000 in all";
    assert_eq!(found(&findings, Mark::Note), [what]);
}

fn user(group: &str, address: &str, policy: &str) -> Vec<Finding> {
    let user = Row::from([("name", "wanctl"), ("group", group), ("address", address)]);
    let group = Row::from([("name", group), ("policy", policy)]);
    super::user(&config(), &facts(&[(Table::User, vec![user]), (Table::UserGroup, vec![group])]))
}

#[test]
fn the_user_has_what_it_needs_and_no_more() {
    let good = user("wanctl", "192.168.88.10/32", POLICY);
    assert_eq!(found(&good, Mark::Good), ["may do what is needed, and no more"]);
    assert_eq!(good.len(), 1);
    // Some old builds want it.
    assert!(mends(&user("wanctl", "192.168.88.10", "read,write,rest-api,api,!local")).is_empty());

    let poor = user("poor", "192.168.88.10", "read,!write,rest-api");
    assert_eq!(found(&poor, Mark::Bad), ["its group \"poor\" lacks write"]);
    assert_eq!(mends(&poor), [format!("/user group set [find name=\"poor\"] policy={POLICY}")]);

    let rich = user("full", "192.168.88.10", "local,ssh,read,write,policy,rest-api,!ftp");
    assert_eq!(found(&rich, Mark::Warn), ["its group \"full\" also grants local, ssh, policy"]);
    let mend = format!("/user group add name=wanctl policy={POLICY}; /user set [find name=\"wanctl\"] group=wanctl");
    assert_eq!(mends(&rich), [mend]);
}

#[test]
fn a_user_who_may_come_from_everywhere() {
    for address in ["", "0.0.0.0/0", "10.0.0.0/8,::/0"] {
        let mend = "/user set [find name=\"wanctl\"] address=192.168.88.10/32";
        assert_eq!(mends(&user("wanctl", address, POLICY)), [mend], "{address}");
    }
    // Not among the router's own users, or not to be read: nothing is claimed.
    let unknown = super::user(&config(), &facts(&[(Table::User, vec![])]));
    assert_eq!(found(&unknown, Mark::Note).len(), 1);
    assert!(super::user(&config(), &facts(&[])).is_empty());
}

fn service_row(name: &str, member: (&str, &str), address: &str) -> Row {
    Row::from([("name", name), member, ("address", address)])
}

#[test]
fn the_service_is_for_us_only() {
    let service = |rows| super::service(&config(), &facts(&[(Table::Service, rows)]));
    let ours = || service_row("www-ssl", ("dynamic", "false"), "");
    assert_eq!(mends(&service(vec![ours()])), ["/ip service set [find name=\"www-ssl\"] address=192.168.88.10/32"]);
    // A live connection is a row of the same name that can't be set.
    let live = service_row("www-ssl", ("dynamic", "true"), "1.2.3.4");
    let mend = "/ip service set [find name=\"www-ssl\" !dynamic] address=192.168.88.10/32";
    assert_eq!(mends(&service(vec![live, ours()])), [mend]);
    assert!(service(vec![service_row("www-ssl", ("dynamic", "false"), "192.168.88.0/24")]).is_empty());
}

#[test]
fn plain_http_beside_https_is_noticed() {
    let ssl = || service_row("www-ssl", ("disabled", "false"), "192.168.88.10");
    let with = |config: &Config, www| super::service(config, &facts(&[(Table::Service, vec![www, ssl()])]));
    let on = || service_row("www", ("disabled", "false"), "192.168.88.10");
    let findings = with(&config(), on());
    assert_eq!(found(&findings, Mark::Warn), ["is on beside www-ssl"]);
    assert_eq!(mends(&findings), ["/ip service disable [find name=\"www\"]"]);
    assert!(with(&config(), service_row("www", ("disabled", "true"), "")).is_empty());
    assert!(with(&config(), service_row("www", ("dynamic", "true"), "")).is_empty(), "a connection of before");
    // Whoever uses it needs it.
    let pin = TEXT.lines().find(|line| line.starts_with("fingerprint")).unwrap();
    let plain = parse(&TEXT.replace("https://", "http://").replace(pin, ""));
    assert!(with(&plain, on()).is_empty());
}

#[test]
fn a_certificate_that_expires_matters_unless_it_is_pinned() {
    let tables = |left| {
        facts(&[
            (Table::Service, vec![Row::from([("name", "www-ssl"), ("address", "10.0.0.1"), ("certificate", "rest")])]),
            (Table::Certificate, vec![Row::from([("name", "rest"), ("expires-after", left)])]),
        ])
    };
    let mut trusting = config();
    trusting.router.trust = Trust::Authorities(Vec::new());
    assert_eq!(found(&service(&trusting, &tables("2w3d4h")), Mark::Warn), ["expires in 17 days"]);
    assert!(mends(&service(&trusting, &tables("2w3d4h")))[0].ends_with("certificate=next"));
    assert!(service(&trusting, &tables("52w1d")).is_empty());
    assert!(service(&trusting, &tables("")).is_empty());
    assert!(service(&parse(TEXT), &tables("2w3d4h")).is_empty());
}

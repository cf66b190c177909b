use super::super::tests::{TEXT, config, facts, found, mends, parse};
use super::*;

fn row(members: &[(&str, &str)]) -> Row {
    Row(members.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect())
}

fn queue(name: &str, parent: &str) -> Row {
    row(&[
        (".id", "*1"),
        ("name", name),
        ("parent", parent),
        ("packet-mark", ""),
        ("queue", "cake"),
        ("max-limit", "20000000"),
        ("bucket-size", "0.01"),
        ("burst-limit", "0"),
        ("limit-at", "0"),
        ("disabled", "false"),
        ("invalid", "false"),
    ])
}

type Tables = Vec<(Table, Vec<Row>)>;

/// A router as it should be.
fn good() -> Tables {
    vec![
        (Table::Tree, vec![queue("wan1-dl", "bridge"), queue("wan1-ul", "ether1")]),
        (
            Table::QueueType,
            vec![row(&[("name", "cake"), ("kind", "cake")]), row(&[("name", "default"), ("kind", "pfifo")])],
        ),
        (
            Table::Interface,
            vec![row(&[("name", "ether1"), ("type", "ether")]), row(&[("name", "bridge"), ("type", "bridge")])],
        ),
        (Table::Filter, vec![]),
    ]
}

/// The good router with one thing changed.
fn with(table: Table, name: &str, member: &str, value: &str) -> Tables {
    let mut tables = good();
    let rows = tables.iter_mut().find(|(t, _)| *t == table).map(|(_, rows)| rows).unwrap();
    let row = rows.iter_mut().find(|r| r.get("name") == name).unwrap();
    row.0.insert(member.to_owned(), value.to_owned());
    tables
}

fn add(mut tables: Tables, table: Table, row: Row) -> Tables {
    tables.iter_mut().find(|(t, _)| *t == table).unwrap().1.push(row);
    tables
}

fn check(tables: &Tables) -> Vec<Finding> {
    examine(&config(), &facts(tables))
}

/// The single thing to mend: how bad, and how.
fn one(tables: &Tables) -> (Mark, String) {
    let findings = check(tables);
    let commands = mends(&findings);
    assert_eq!(commands.len(), 1, "{findings:?}");
    let mark = findings.iter().map(|f| f.mark).max().unwrap();
    (mark, commands[0].to_owned())
}

#[test]
fn nothing_is_said_of_a_good_router() {
    let findings = check(&good());
    assert!(mends(&findings).is_empty(), "{findings:?}");
    assert_eq!(found(&findings, Mark::Good).len(), 2);
    assert!(findings[0].what.contains("\"wan1-dl\" has 20M now"), "{findings:?}");
    // A menu that could not be read is no reason to claim anything.
    assert!(examine(&config(), &facts(&[])).is_empty());
}

#[test]
fn a_queue_that_does_nothing() {
    let dl = |member, value| one(&with(Table::Tree, "wan1-dl", member, value));
    assert_eq!(dl("disabled", "true"), (Mark::Bad, "/queue tree enable [find name=\"wan1-dl\"]".into()));
    assert_eq!(dl("invalid", "true"), (Mark::Bad, "/queue tree set [find name=\"wan1-dl\"] parent=bridge".into()));
    assert_eq!(dl("dynamic", "true").0, Mark::Bad);
    let (mark, mend) = dl("name", "other");
    assert!(
        mark == Mark::Bad && mend.starts_with("/queue tree add name=\"wan1-dl\" parent=bridge queue=cake"),
        "{mend}"
    );
    let mut twin = queue("wan1-dl", "bridge");
    twin.0.insert(".id".into(), "*7".into());
    assert_eq!(one(&add(good(), Table::Tree, twin)).1, "/queue tree set *7 name=wan1-dl-other");
}

#[test]
fn parents() {
    let dl = |parent| with(Table::Tree, "wan1-dl", "parent", parent);
    assert_eq!(one(&dl("gone")), (Mark::Bad, "/queue tree set [find name=\"wan1-dl\"] parent=bridge".into()));
    // Both directions on one interface: one of them shapes nothing of its own.
    assert_eq!(one(&dl("ether1")), (Mark::Bad, "/queue tree set [find name=\"wan1-dl\"] parent=bridge".into()));

    let total = |members: &[(&str, &str)]| {
        let mut total = queue("total", "bridge");
        total.0.extend(members.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())));
        add(dl("total"), Table::Tree, total)
    };
    assert!(mends(&check(&total(&[("max-limit", "100000000")]))).is_empty());
    assert!(mends(&check(&total(&[("max-limit", "0")]))).is_empty());
    let capped = (Mark::Warn, "/queue tree set [find name=\"total\"] max-limit=0".into());
    assert_eq!(one(&total(&[("max-limit", "30000000")])), capped);
    let off = (Mark::Bad, "/queue tree enable [find name=\"total\"]".into());
    assert_eq!(one(&total(&[("max-limit", "0"), ("disabled", "true")])), off);
    let down = with(Table::Interface, "bridge", "disabled", "true");
    assert_eq!(one(&down), (Mark::Bad, "/interface enable [find name=\"bridge\"]".into()));
    // A ring must not hang us.
    check(&dl("wan1-dl"));
}

#[test]
fn the_leaf_is_cake_and_nothing_but_cake() {
    let other = with(Table::Tree, "wan1-dl", "queue", "default");
    assert_eq!(one(&other), (Mark::Bad, "/queue tree set [find name=\"wan1-dl\"] queue=cake".into()));
    let mut none = other.clone();
    none[1].1.remove(0);
    let findings = check(&none);
    let mend = "/queue type add name=cake kind=cake; /queue tree set [find name=\"wan1-dl\"] queue=cake";
    assert_eq!(mends(&findings)[0], mend);

    // Queues that share a type have one finding.
    let own = |value| with(Table::QueueType, "cake", "cake-bandwidth", value);
    assert_eq!(one(&own("50000000")), (Mark::Bad, "/queue type set [find name=\"cake\"] cake-bandwidth=0".into()));
    assert!(mends(&check(&own("0"))).is_empty());
    let auto = with(Table::QueueType, "cake", "cake-autorate-ingress", "yes");
    assert_eq!(one(&auto), (Mark::Bad, "/queue type set [find name=\"cake\"] cake-autorate-ingress=no".into()));

    // With children it is they who hold the packets.
    let inner = add(other, Table::Tree, queue("child", "wan1-dl"));
    assert!(mends(&check(&inner)).is_empty());
    let mut child = queue("child", "wan1-dl");
    child.0.insert("queue".into(), "default".into());
    assert_eq!(one(&add(good(), Table::Tree, child)).1, "/queue tree set [find name=\"child\"] queue=cake");
}

#[test]
fn bursts_are_told_in_time_and_bytes() {
    let slow = with(Table::Tree, "wan1-dl", "bucket-size", "0.1");
    assert_eq!(one(&slow), (Mark::Warn, "/queue tree set [find name=\"wan1-dl\"] bucket-size=0.01".into()));
    let told = check(&slow);
    assert_eq!(found(&told, Mark::Warn), ["bucket-size 0.1 lets 100 ms through unshaped: 250 kB at 20M"]);
    let burst = with(Table::Tree, "wan1-ul", "burst-limit", "50000000");
    assert_eq!(one(&burst), (Mark::Warn, "/queue tree set [find name=\"wan1-ul\"] burst-limit=0".into()));
    let guaranteed = with(Table::Tree, "wan1-ul", "limit-at", "3000000");
    assert_eq!(one(&guaranteed), (Mark::Warn, "/queue tree set [find name=\"wan1-ul\"] limit-at=0".into()));
    assert!(mends(&check(&with(Table::Tree, "wan1-ul", "limit-at", "2000000"))).is_empty());
}

fn rule(members: &[(&str, &str)]) -> Row {
    let mut rule = row(&[("action", "fasttrack-connection"), ("chain", "forward"), ("disabled", "false")]);
    rule.0.extend(row(members).0);
    rule
}

#[test]
fn fasttrack_goes_past_some_queues() {
    let on = |tables: Tables, members: &[(&str, &str)]| add(tables, Table::Filter, rule(members));
    // Trees on interfaces see its packets.
    let fine = check(&on(good(), &[]));
    assert!(mends(&fine).is_empty());
    assert!(found(&fine, Mark::Good).iter().any(|w| w.starts_with("FastTrack is on")));

    let global = || with(Table::Tree, "wan1-dl", "parent", "global");
    let disable = "/ip firewall filter disable [find action=fasttrack-connection]";
    assert_eq!(one(&on(global(), &[])), (Mark::Bad, disable.into()));
    assert_eq!(one(&on(global(), &[("connection-mark", "no-mark")])), (Mark::Bad, disable.into()));
    for (member, value) in [("disabled", "true"), ("dynamic", "true"), ("action", "accept")] {
        assert!(mends(&check(&on(global(), &[(member, value)]))).is_empty(), "{member}");
    }
    // Marks can be kept off it.
    let marked = || with(Table::Tree, "wan1-dl", "packet-mark", "down");
    let spare = "/ip firewall filter set [find action=fasttrack-connection] connection-mark=no-mark";
    assert_eq!(one(&on(marked(), &[])), (Mark::Bad, spare.into()));
    assert!(mends(&check(&on(marked(), &[("connection-mark", "no-mark")]))).is_empty());
    let six = [global(), vec![(Table::Filter6, vec![rule(&[])])]].concat();
    assert_eq!(one(&six).1, "/ipv6 firewall filter disable [find action=fasttrack-connection]");
}

#[test]
fn simple_queues_hold_both_directions() {
    let text = TEXT
        .replace("link = \"cable\"", "link = \"cable\"\nsimple_queue = \"wan1\"")
        .replace("queue = \"wan1-dl\"\n", "")
        .replace("queue = \"wan1-ul\"\n", "");
    let config = parse(&text);
    let simple = row(&[
        ("name", "wan1"),
        ("parent", "none"),
        ("target", "192.168.88.0/24"),
        ("queue", "default/cake"),
        ("max-limit", "10000000/30000000"),
        ("bucket-size", "0.1/0.01"),
        ("burst-limit", "0/0"),
        ("limit-at", "0/0"),
    ]);
    let mut tables = good();
    tables[0] = (Table::Simple, vec![simple]);
    let tables = add(tables, Table::Filter, rule(&[]));
    let findings = examine(&config, &facts(&tables));
    assert_eq!(
        mends(&findings),
        [
            "/queue simple set [find name=\"wan1\"] queue=cake/cake",
            "/queue simple set [find name=\"wan1\"] bucket-size=0.01/0.01",
            "/ip firewall filter disable [find action=fasttrack-connection]",
        ]
    );
    assert!(findings[0].what.contains("has 30M now") && findings[1].what.contains("has 10M now"));
}

#[test]
fn the_interface_for_directions_exists() {
    let named =
        |name| parse(&TEXT.replace("link = \"cable\"", &format!("link = \"cable\"\nrouter_interface = \"{name}\"")));
    let check = |name, tables: &Tables| examine(&named(name), &facts(tables));
    assert!(mends(&check("ether1", &good())).is_empty());
    assert_eq!(mends(&check("ether9", &good())), ["/interface print"]);
    let off = with(Table::Interface, "ether1", "disabled", "true");
    assert!(mends(&check("ether1", &off)).contains(&"/interface enable [find name=\"ether1\"]"));
}

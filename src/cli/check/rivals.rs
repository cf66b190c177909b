//! Who else on the router changes our queues: scripts, schedulers, netwatch.

use super::facts::{Facts, command, our_queues, quote};
use super::finding::{Finding, Mark};
use crate::config::Config;
use crate::types::{Row, Table};

/// What of ours begins its comment with this, and is no rival.
const OURS: &str = "wanctl";

const WHY: &str = "two that set the same limits fight: wanctl repairs what others change, and gives way after a while";

/// A menu of things that run, with the members that hold what they run.
const RUNNERS: [(Table, &str, &[&str]); 3] = [
    (Table::Script, "script", &["source"]),
    (Table::Scheduler, "scheduler", &["on-event"]),
    (Table::Netwatch, "netwatch", &["up-script", "down-script", "test-script"]),
];

pub(super) fn examine(config: &Config, facts: &Facts) -> Vec<Finding> {
    let queues = our_queues(config);
    let mut findings = Vec::new();
    let mut scripts: Vec<&str> = Vec::new();
    for (table, kind, members) in RUNNERS {
        for row in facts.rows(table).iter().filter(|row| !row.is("disabled") && may_write(table, row)) {
            let text: Vec<&str> = members.iter().map(|member| row.get(member)).collect();
            let text = text.join("\n");
            let reason = queues
                .iter()
                .find(|queue| mentions(&text, queue))
                .map(|queue| format!("mentions the queue \"{queue}\""))
                .or_else(|| scripts.iter().find(|s| mentions(&text, s)).map(|s| format!("runs the script \"{s}\"")))
                .or_else(|| {
                    (text.contains("queue") && text.contains("max-limit")).then(|| "sets limits of queues".into())
                });
            let Some(reason) = reason.filter(|_| !row.get("comment").starts_with(OURS)) else { continue };
            if table == Table::Script {
                scripts.push(row.get("name"));
            }
            let name = if row.get("name").is_empty() { row.get("host") } else { row.get("name") };
            findings.push(Finding::new(Mark::Warn, format!("{kind} {name}"), reason, WHY, mend(table, row)));
        }
    }
    findings
}

/// A script without the policy `write` changes nothing.
fn may_write(table: Table, row: &Row) -> bool {
    let policy = row.get("policy");
    table != Table::Script || policy.is_empty() || policy.split(',').any(|p| p.trim() == "write")
}

/// Scripts can't be disabled, but they can lose the right to write.
fn mend(table: Table, row: &Row) -> String {
    match (table, row.get("name")) {
        (Table::Script, name) => command(table, "set", name, "policy=read"),
        (_, "") => format!("{} disable [find host={}]", table.console(), quote(row.get("host"))),
        (_, name) => command(table, "disable", name, ""),
    }
}

/// Whether the text holds the name as a word of its own.
fn mentions(text: &str, name: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_');
    text.match_indices(name).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + name.len()..].chars().next();
        !name.is_empty() && !before.is_some_and(is_part) && !after.is_some_and(is_part)
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::{config, facts, found, mends};
    use super::*;

    fn rivals(table: Table, row: Row) -> Vec<Finding> {
        examine(&config(), &facts(&[(table, vec![row])]))
    }

    fn script(source: &str) -> Row {
        Row::from([("name", "night"), ("source", source), ("policy", "read,write")])
    }

    #[test]
    fn a_script_that_names_a_queue_loses_its_right_to_write() {
        let findings = rivals(Table::Script, script("/queue tree set wan1-dl max-limit=10M"));
        assert_eq!(found(&findings, Mark::Warn), ["mentions the queue \"wan1-dl\""]);
        assert_eq!(mends(&findings), ["/system script set [find name=\"night\"] policy=read"]);
        let mut harmless = script("wan1-dl");
        harmless.0.insert("policy".into(), "read".into());
        assert!(rivals(Table::Script, harmless).is_empty());
    }

    #[test]
    fn names_are_whole_words() {
        for (source, is_ours) in [
            ("[find name=\"wan1-dl\"]", true),
            ("wan1-dl", true),
            ("old-wan1-dl", false),
            ("wan1-dl2", false),
            ("wan1-dl-old wan1-dl", true),
            ("log info hello", false),
            ("/queue tree set [find] max-limit=5M", true),
        ] {
            assert_eq!(!rivals(Table::Script, script(source)).is_empty(), is_ours, "{source}");
        }
    }

    #[test]
    fn schedulers_and_netwatch_are_disabled() {
        let row = Row::from([("name", "s"), ("on-event", "/queue simple print; :put wan1-ul")]);
        assert_eq!(mends(&rivals(Table::Scheduler, row.clone())), ["/system scheduler disable [find name=\"s\"]"]);
        let off = Row(row.0.into_iter().chain([("disabled".to_owned(), "true".to_owned())]).collect());
        assert!(rivals(Table::Scheduler, off).is_empty());
        let row = Row::from([("name", ""), ("host", "1.1.1.1"), ("down-script", "wan1-ul")]);
        assert_eq!(mends(&rivals(Table::Netwatch, row)), ["/tool netwatch disable [find host=\"1.1.1.1\"]"]);
        let ours = Row::from([("name", "w"), ("comment", "wanctl: dead man"), ("down-script", "wan1-ul")]);
        assert!(rivals(Table::Netwatch, ours).is_empty());
    }

    #[test]
    fn who_runs_a_rival_is_one() {
        let runner = Row::from([("name", "every-night"), ("on-event", "night")]);
        let facts = facts(&[(Table::Script, vec![script("wan1-dl")]), (Table::Scheduler, vec![runner])]);
        let findings = examine(&config(), &facts);
        assert_eq!(found(&findings, Mark::Warn)[1], "runs the script \"night\"");
    }
}

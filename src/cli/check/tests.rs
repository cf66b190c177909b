//! What the unit tests of the findings share: a configuration, and a router that fits it.

use super::facts::Facts;
use super::finding::{Finding, Mark};
use crate::config::{self, Config};
use crate::types::{RouterError, Row, Table};
use std::path::Path;

pub(super) fn parse(text: &str) -> Config {
    let env = |name: &str| (name == "WANCTL_ROUTER_PASSWORD").then(|| "secret".to_owned());
    config::parse(text, "test.toml", Path::new("/nowhere"), &env).unwrap_or_else(|f| panic!("{f}")).0
}

/// A cable line behind two queues of the tree, 4 to 40 and 2 to 14 Mbit/s.
pub(super) const TEXT: &str = r#"
[router]
url = "https://192.168.88.1"
fingerprint = "abababababababababababababababababababababababababababababababab"
user = "wanctl"
[[wan]]
name = "cable"
link = "cable"
[wan.download]
queue = "wan1-dl"
ceiling = "40M"
floor = "4M"
[wan.upload]
queue = "wan1-ul"
ceiling = "14M"
floor = "2M"
"#;

pub(super) fn config() -> Config {
    parse(TEXT)
}

/// These menus, and no others.
pub(super) fn facts(tables: &[(Table, Vec<Row>)]) -> Facts {
    let tables = tables.iter().map(|(table, rows)| (*table, Ok(rows.clone()))).collect();
    Facts { tables, here: Some("192.168.88.10".parse().unwrap()) }
}

/// What was found of this badness.
pub(super) fn found(findings: &[Finding], mark: Mark) -> Vec<&str> {
    findings.iter().filter(|f| f.mark == mark).map(|f| f.what.as_str()).collect()
}

/// The commands of everything that needs mending; each has one, and a reason.
pub(super) fn mends(findings: &[Finding]) -> Vec<&str> {
    let to_mend = findings.iter().filter(|f| f.mark >= Mark::Warn);
    to_mend
        .map(|f| {
            assert!(!f.why.is_empty() && f.mend.starts_with('/'), "{f:?}");
            f.mend.as_str()
        })
        .collect()
}

#[test]
fn a_menu_that_cannot_be_read_is_told() {
    let mut facts = facts(&[]);
    facts.tables.insert(Table::Script, Err(RouterError::Permission));
    facts.tables.insert(Table::Tree, Err(RouterError::Permission));
    let findings = super::examine(&config(), &facts);
    let marks: Vec<(Mark, &str)> = findings.iter().map(|f| (f.mark, f.about.as_str())).collect();
    assert_eq!(marks, [(Mark::Bad, "/queue tree"), (Mark::Note, "/system script")]);
}

#[test]
fn names_are_quoted_as_the_console_reads_them() {
    let told = super::facts::command(Table::Tree, "enable", "a \"b\" $c \\", "");
    assert_eq!(told, r#"/queue tree enable [find name="a \"b\" \$c \\"]"#);
}

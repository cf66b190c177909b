//! The router itself, and the way to it: version, user, service, certificate, wear.

use super::facts::{Facts, command, quote};
use super::finding::{Finding, Mark};
use crate::config::{Config, Trust};
use crate::routeros::json;
use crate::types::{Duration, Row, Table};

/// The policies that are needed, and no others.
const NEEDED: [&str; 3] = ["read", "write", "rest-api"];

/// The whole list as `policy=` takes it. Every policy is named, so that none stays by accident.
pub(super) const POLICY: &str = "read,write,rest-api,!api,!local,!telnet,!ssh,!ftp,!reboot,!policy,!test,!winbox,\
                                 !password,!web,!sniff,!sensitive,!romon";

/// Some old builds refuse REST without it, so it is not held against anybody.
const TOLERATED: &str = "api";

/// The groups that every RouterOS has and nobody should change.
const BUILT_IN: [&str; 3] = ["full", "write", "read"];

/// How long before its end a certificate is spoken of.
const EXPIRES_SOON: Duration = Duration::from_secs(30 * 86_400);

type Version = (u16, u16, u16);

/// A published hole in the web server of RouterOS, which serves REST.
struct Hole {
    what: &'static str,
    /// The first good version of each branch that was mended, the newest branch last.
    mended: &'static [Version],
}

const HOLES: [Hole; 3] = [
    Hole { what: "CVE-2023-41570: address= of a user is not enforced on REST", mended: &[(7, 12, 0)] },
    Hole { what: "CVE-2025-10948: a REST request can overflow memory", mended: &[(7, 20, 1)] },
    Hole {
        what: "CVE-2026-84411 and others: as published, code can be run without a password",
        mended: &[(7, 23, 4), (7, 24, 2)],
    },
];

impl Hole {
    fn is_open(&self, version: Version) -> bool {
        let branch = |v: &Version| (v.0, v.1);
        let newest = self.mended.last().copied().unwrap_or_default();
        let same = self.mended.iter().find(|m| branch(m) == branch(&version));
        version < same.copied().unwrap_or(newest)
    }
}

/// `7.22.1 (stable)` and `7.24rc1` as numbers.
fn parse_version(text: &str) -> Option<Version> {
    let mut numbers = text.split_whitespace().next()?.split('.').map(|part| {
        let digits = part.bytes().take_while(u8::is_ascii_digit).count();
        part[..digits].parse::<u16>().ok()
    });
    let (major, minor) = (numbers.next()??, numbers.next()??);
    Some((major, minor, numbers.next().flatten().unwrap_or(0)))
}

pub(super) fn examine(config: &Config, facts: &Facts) -> Vec<Finding> {
    let mut findings = version(config, facts);
    findings.extend(wear(facts));
    findings.extend(user(config, facts));
    findings.extend(service(config, facts));
    findings
}

fn version(config: &Config, facts: &Facts) -> Vec<Finding> {
    let Some(router) = facts.rows(Table::Resource).first() else { return Vec::new() };
    let version = router.get("version");
    let what = format!("{}, RouterOS {version}, at {}", router.get("board-name"), config.router.url);
    let mut findings = vec![Finding::plain(Mark::Good, "router", what)];
    let Some(numbers) = parse_version(version) else {
        findings.push(Finding::plain(Mark::Note, "version", format!("\"{version}\" is no version we understand")));
        return findings;
    };
    findings.extend(HOLES.iter().filter(|hole| hole.is_open(numbers)).map(|hole| {
        Finding::new(
            Mark::Warn,
            "version",
            format!("RouterOS {version} has a known hole in its web server, {}", hole.what),
            "REST is that web server: who reaches it may get further than the user's rights",
            "/system package update install",
        )
    }));
    findings
}

/// Flash wears out by writes; here is the number to watch.
fn wear(facts: &Facts) -> Option<Finding> {
    let router = facts.rows(Table::Resource).first()?;
    let sectors: u64 = router.get("write-sect-since-reboot").parse().ok()?;
    let uptime = json::duration(router.get("uptime"))?;
    let hours = uptime.as_secs() / 3600;
    let an_hour = sectors / hours.max(1);
    let total = router.get("write-sect-total");
    let what = format!("{sectors} sectors written since its boot {hours} h ago, {an_hour} an hour; {total} in all");
    Some(Finding::plain(Mark::Note, "flash", what))
}

fn user(config: &Config, facts: &Facts) -> Vec<Finding> {
    let name = config.router.user.as_str();
    let about = format!("user {name}");
    let Some(user) = facts.named(Table::User, name) else {
        let absent = "is not among the router's own users; its rights can't be checked";
        return facts.has(Table::User).then(|| Finding::plain(Mark::Note, about, absent)).into_iter().collect();
    };
    let mut findings = policies(name, user.get("group"), &about, facts);
    if is_open(user.get("address")) {
        findings.push(Finding::new(
            Mark::Warn,
            about,
            "may log in from everywhere",
            "whoever gets the password can use it; from this machine only, it is worth much less",
            command(Table::User, "set", name, &format!("address={}", facts.here())),
        ));
    }
    findings
}

fn policies(user: &str, group: &str, about: &str, facts: &Facts) -> Vec<Finding> {
    let Some(row) = facts.named(Table::UserGroup, group) else { return Vec::new() };
    let granted: Vec<&str> =
        row.get("policy").split(',').map(str::trim).filter(|p| !p.is_empty() && !p.starts_with('!')).collect();
    let missing: Vec<&str> = NEEDED.into_iter().filter(|p| !granted.contains(p)).collect();
    let excess: Vec<&str> = granted.into_iter().filter(|p| !NEEDED.contains(p) && *p != TOLERATED).collect();
    let mend = if BUILT_IN.contains(&group) {
        let other = "wanctl";
        let set = command(Table::User, "set", user, &format!("group={other}"));
        format!("{} add name={other} policy={POLICY}; {set}", Table::UserGroup.console())
    } else {
        command(Table::UserGroup, "set", group, &format!("policy={POLICY}"))
    };
    let mut findings = Vec::new();
    if !missing.is_empty() {
        findings.push(Finding::new(
            Mark::Bad,
            about,
            format!("its group \"{group}\" lacks {}", missing.join(", ")),
            "without read and rest-api nothing is seen, without write no limit can be set",
            mend.clone(),
        ));
    }
    if !excess.is_empty() {
        findings.push(Finding::new(
            Mark::Warn,
            about,
            format!("its group \"{group}\" also grants {}", excess.join(", ")),
            "wanctl needs none of it, and whoever gets hold of the password gets it too",
            mend,
        ));
    }
    if findings.is_empty() {
        findings.push(Finding::plain(Mark::Good, about, "may do what is needed, and no more"));
    }
    findings
}

/// Whether an `address=` restricts nobody.
fn is_open(address: &str) -> bool {
    address.split(',').any(|a| matches!(a.trim(), "" | "0.0.0.0/0" | "::/0"))
}

/// `/ip service set [find name="www-ssl"] …`. Since 7.19 live connections are dynamic rows of the
/// same name, which can't be set: where there is one, the command leaves it out.
fn service_command(facts: &Facts, verb: &str, name: &str, arguments: &str) -> String {
    let command = command(Table::Service, verb, name, arguments);
    let live = facts.rows(Table::Service).iter().any(|row| row.get("name") == name && row.is("dynamic"));
    if live { command.replacen(']', " !dynamic]", 1) } else { command }
}

/// The service of this name, and not a live connection.
fn configured<'a>(facts: &'a Facts, name: &str) -> Option<&'a Row> {
    facts.rows(Table::Service).iter().find(|row| row.get("name") == name && !row.is("dynamic"))
}

fn service(config: &Config, facts: &Facts) -> Vec<Finding> {
    let name = if config.router.url.tls { "www-ssl" } else { "www" };
    let Some(row) = configured(facts, name) else { return Vec::new() };
    let mut findings = Vec::new();
    if is_open(row.get("address")) {
        findings.push(Finding::new(
            Mark::Warn,
            format!("service {name}"),
            "is open to every address",
            "the web server of RouterOS had holes that need no password; let in only who needs it",
            service_command(facts, "set", name, &format!("address={}", facts.here())),
        ));
    }
    if config.router.url.tls && configured(facts, "www").is_some_and(|www| !www.is("disabled")) {
        findings.push(Finding::new(
            Mark::Warn,
            "service www",
            "is on beside www-ssl",
            "whoever uses it, WebFig or another program, sends passwords that everybody on the way can read",
            service_command(facts, "disable", "www", ""),
        ));
    }
    let certificate = row.get("certificate");
    let left = facts.named(Table::Certificate, certificate).and_then(|c| json::duration(c.get("expires-after")));
    if let (Some(left), Trust::Authorities(_)) = (left, &config.router.trust)
        && left < EXPIRES_SOON
    {
        findings.push(Finding::new(
            Mark::Warn,
            format!("certificate {certificate}"),
            format!("expires in {} days", left.as_secs() / 86_400),
            "RouterOS renews no certificate of its own making, and an expired one ends control",
            format!(
                "/certificate add name=next-t copy-from={} days-valid=1825; /certificate sign next-t ca=lan-ca \
                 name=next; {}",
                quote(certificate),
                service_command(facts, "set", name, "certificate=next")
            ),
        ));
    }
    findings
}

#[cfg(test)]
#[path = "access_tests.rs"]
mod tests;

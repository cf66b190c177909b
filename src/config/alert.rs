//! `[[alert]]`: who is told of what by webhook. A rule with a fault is out of use, and disables nothing else.

use super::fault::{Faults, Problem};
use super::read::{Context, Section};
use super::router::{Secret, Url, from_file, trust};
use super::steering::{short, twin, wan};
use crate::observe::{AlertFormat, AlertRule, GROUPS, Topic, explained};
use crate::types::{Duration, MAX_HOOKS};
use std::collections::HashMap;
use wanctl_hal::{LinkTarget, Trust};

/// Longest path, and longest token.
const LONGEST: usize = 512;

/// One rule.
#[derive(Clone, Debug, PartialEq)]
pub struct Alert {
    /// Its name: unique.
    pub name: String,
    /// Where the webhook is, without its path.
    pub url: Url,
    /// Path and query.
    path: Secret,
    /// What proves who we are.
    token: Option<Secret>,
    /// How it proves who it is.
    pub trust: Trust,
    format: AlertFormat,
    topics: crate::observe::Topics,
    wan: Option<crate::types::WanId>,
    cool_down: Duration,
}

impl Alert {
    /// Whom to connect to.
    #[must_use]
    pub fn target(&self) -> LinkTarget {
        LinkTarget { server_name: self.url.host.clone(), trust: self.trust.clone() }
    }

    /// What is told there; it holds the secrets.
    #[must_use]
    pub fn rule(&self) -> AlertRule {
        AlertRule {
            name: self.name.clone(),
            host: self.url.host_header(),
            port: self.url.port,
            path: self.path.reveal().to_owned(),
            token: self.token.as_ref().map(|token| token.reveal().to_owned()),
            format: self.format,
            topics: self.topics,
            wan: self.wan,
            cool_down: self.cool_down,
        }
    }
}

/// The rules of a file, and what is wrong with the others.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AlertConfig {
    /// Those in use.
    pub rules: Vec<Alert>,
    /// How many are not.
    pub refused: usize,
    /// Why not.
    pub faults: Faults,
}

/// All rules; `wans` are the names of the WANs in order. Their faults are kept apart from those of the rest.
pub(super) fn read(context: &Context<'_>, root: &Section<'_, '_>, wans: &[Option<String>]) -> AlertConfig {
    // Nobody is told of what is only repeated, and its secrets are elsewhere.
    if root.has("alert") && context.is_elsewhere {
        return AlertConfig::default();
    }
    let mark = context.mark();
    let (mut rules, mut refused, mut seen) = (Vec::new(), 0, HashMap::new());
    for (i, section) in root.sections("alert").iter().enumerate() {
        let before = context.mark();
        let rule = one(context, section, wans, &mut seen);
        if i >= MAX_HOOKS {
            section.fault("name", Problem::NotA { right: format!("one of at most {MAX_HOOKS} rules") });
        }
        match rule.filter(|_| context.mark() == before) {
            Some(rule) => rules.push(rule),
            None => refused += 1,
        }
    }
    let faults = context.set_aside(mark);
    refused += usize::from(refused == 0 && !faults.is_empty());
    AlertConfig { rules, refused, faults }
}

fn one(
    context: &Context<'_>,
    section: &Section<'_, '_>,
    wans: &[Option<String>],
    seen: &mut super::steering::Seen,
) -> Option<Alert> {
    twin(section, "name", "this name", seen);
    let name = short(section, "name", "phone");
    let formats = [AlertFormat::Json, AlertFormat::Ntfy, AlertFormat::Discord].map(|f| (f.name(), f));
    let format = section.one_of("format", &formats).unwrap_or_default();
    let place = place(context, section, format);
    let url = place.as_ref().map(|(url, _)| url);
    let trust = trust(context, section, url);
    let token = secret(context, section, ["token", "token_file", "token_env"]).map(|(text, key)| {
        let fine = text.len() <= LONGEST && text.bytes().all(|b| b.is_ascii_graphic());
        if !fine {
            section.fault(key, Problem::not_a("a token of visible ASCII characters, at most 512"));
        }
        Secret::new(&text)
    });
    let classes = explained().iter().map(|(name, _)| *name);
    let known: Vec<&str> = GROUPS.into_iter().chain(classes).collect();
    let what = format!("kinds of events: {}", known.join(", "));
    let topics: Option<Vec<Topic>> = section.list("events", known.len(), &what);
    if topics.as_ref().is_some_and(Vec::is_empty) {
        section.fault("events", Problem::missing("at least one kind, or leave the key out: errors and wan-down"));
    }
    let only = if section.has("wan") { wan(section, "wan", wans) } else { None };
    let cool_down = section.duration_in("cool_down", Duration::from_secs(10)..=Duration::from_secs(86_400));
    section.finish();
    let (url, path) = place?;
    Some(Alert {
        name: name?.to_string(),
        url,
        path,
        token,
        trust: trust?,
        format,
        topics: topics.map(|list| list.into_iter().collect()).unwrap_or_default(),
        wan: only,
        cool_down: cool_down.unwrap_or(Duration::from_secs(600)),
    })
}

/// A secret from a file or the environment, and the key that names the place; in the file itself it is a fault.
fn secret(context: &Context<'_>, section: &Section<'_, '_>, keys: [&'static str; 3]) -> Option<(String, &'static str)> {
    let [plain, file, variable] = keys;
    if plain == "token" {
        section.misplaced(
            plain,
            "secrets do not belong into this file: use token_file = \"/etc/wanctl/alert-token\" (mode 0600) or token_env",
        );
    }
    let (from, named) = (section.text(file), section.text(variable));
    if section.has(file) && section.has(variable) {
        section.fault(file, Problem::Both(file, variable));
        return None;
    }
    let (text, key) = match (from, named) {
        (Some(path), _) => (from_file(section, file, &context.path(&path))?, file),
        (None, Some(name)) => match context.env(&name) {
            Some(text) => (text, variable),
            None => {
                section.fault(variable, Problem::missing("there is no such environment variable"));
                return None;
            }
        },
        (None, None) => return None,
    };
    Some((text.trim().to_owned(), key))
}

/// Where the webhook is, and its path. What may hold a secret must not stand in the file.
fn place(context: &Context<'_>, section: &Section<'_, '_>, format: AlertFormat) -> Option<(Url, Secret)> {
    const RIGHT: &str =
        "https://HOST/PATH (http only with a private ADDRESS), with :PORT if unusual, at most 512 characters";
    let plain = section.text("url");
    let hidden = secret(context, section, ["url", "url_file", "url_env"]);
    let (text, key) = match (plain, hidden) {
        (Some(_), Some((_, key))) => {
            section.fault("url", Problem::Both("url", key));
            return None;
        }
        (Some(text), None) => {
            if format == AlertFormat::Discord || text.contains(['?', '@']) || text.contains("discord.com/") {
                section.fault(
                    "url",
                    Problem::Misplaced(
                        "this URL holds a secret, which does not belong into this file: use url_file = \
                     \"/etc/wanctl/alert-url\" (mode 0600) or url_env",
                    ),
                );
                return None;
            }
            (text, "url")
        }
        (None, Some(hidden)) => hidden,
        (None, None) => {
            if !["url", "url_file", "url_env"].iter().any(|key| section.stands(key)) {
                section
                    .fault("url", Problem::missing("for example url = \"https://ntfy.example/wanctl\", or url_file"));
            }
            return None;
        }
    };
    let split = text.find("://").and_then(|at| text[at + 3..].find('/').map(|slash| at + 3 + slash));
    let (site, path) = text.split_at(split.unwrap_or(text.len()));
    let fine = path.len() <= LONGEST && path.bytes().all(|b| b.is_ascii_graphic() && b != b'#');
    let url = Url::parse(site).filter(|_| fine);
    if url.is_none() {
        section.fault(key, Problem::not_a(RIGHT));
    }
    Some((url?, Secret::new(if path.is_empty() { "/" } else { path })))
}

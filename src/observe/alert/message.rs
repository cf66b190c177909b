//! An alert as an HTTP request: the generic JSON, a text for ntfy, or what Discord takes.

use super::topic::is_good;
use super::{AlertFormat, AlertRule, REQUEST, Waiting};
use crate::observe::Line;
use crate::observe::pages::{OrNull, Quoted};
use crate::observe::text::{Described, about, level};
use core::fmt::{self, Write as _};
use log::Level;

/// Head and body.
pub(super) fn write(
    out: &mut heapless::String<REQUEST>,
    rule: &AlertRule,
    waiting: &Waiting,
    names: &[String],
) -> fmt::Result {
    let mut text = Line::new();
    let (what, how) = match &waiting.event {
        // What does not fit is cut off.
        Some(event) => {
            let _ = write!(text, "{}", Described { kind: &event.kind, names });
            (about(&event.kind), level(&event.kind))
        }
        None => {
            let _ = write!(text, "test of the alert rule \"{}\": messages arrive", rule.name);
            ("test", Level::Info)
        }
    };
    let good = waiting.event.is_some_and(|event| is_good(&event.kind));
    let wan = waiting.event.and_then(|event| event.kind.wans()[0]).and_then(|id| names.get(id.index()));
    let more = Suppressed(waiting.suppressed);
    // The longest text, every character of it escaped, would not fit beside the longest path.
    let mut body = heapless::String::<{ REQUEST / 2 }>::new();
    match rule.format {
        AlertFormat::Json => write!(
            body,
            "{{\"schema\":1,\"source\":\"wanctl\",\"rule\":{},\"time\":{:.3},\"event\":\"{what}\",\
             \"level\":\"{how}\",\"wan\":{},\"text\":{},\"suppressed\":{}}}",
            Quoted(&rule.name),
            waiting.wall,
            OrNull(wan.map(Quoted)),
            Quoted(&text),
            waiting.suppressed
        )?,
        AlertFormat::Ntfy => write!(body, "{text}{more}")?,
        AlertFormat::Discord => write!(
            body,
            "{{\"content\":{},\"allowed_mentions\":{{\"parse\":[]}}}}",
            Quoted(format_args!("wanctl {how}: {text}{more}"))
        )?,
    }
    write!(out, "POST {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: wanctl\r\nConnection: close\r\n", rule.path, rule.host)?;
    if let Some(token) = &rule.token {
        write!(out, "Authorization: Bearer {token}\r\n")?;
    }
    if rule.format == AlertFormat::Ntfy {
        let (priority, tag) = match how {
            Level::Error => (5, "rotating_light"),
            Level::Warn => (4, "warning"),
            _ if good => (3, "white_check_mark"),
            _ => (3, "information_source"),
        };
        write!(out, "Title: wanctl: {what}\r\nPriority: {priority}\r\nTags: {tag}\r\n")?;
    }
    let kind = if rule.format == AlertFormat::Ntfy { "text/plain; charset=utf-8" } else { "application/json" };
    write!(out, "Content-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// How many were not told.
struct Suppressed(u32);

impl fmt::Display for Suppressed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 { Ok(()) } else { write!(f, " ({} more like it were not told)", self.0) }
    }
}

//! The commands that take their time: `monitor-traffic`, `ping`, and `listen`, which never ends.
//!
//! A REST request is answered when its command has ended, and ended by force after a minute.

use super::http::{Request, Response};
use super::objects::{Objects, Row};
use super::rest::{self, Policy};
use super::schema::INTERFACE;
use crate::units::Duration;
use serde_json::{Value, json};

/// After this time a command is given up: `Session closed`.
pub(crate) const LONGEST: Duration = Duration::from_secs(60);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Command {
    Monitor,
    Ping,
    Listen,
}

fn command(request: &Request) -> Option<Command> {
    let path: Vec<&str> = request.path.iter().skip(1).map(String::as_str).collect();
    match (request.method.as_str(), &path[..]) {
        ("POST", ["interface", "monitor-traffic"]) => Some(Command::Monitor),
        ("POST", ["ping"] | ["tool", "ping"]) => Some(Command::Ping),
        ("POST", [_, .., "listen"]) => Some(Command::Listen),
        _ => None,
    }
}

/// How many rounds a command makes, and how far apart; `None` when nothing bounds it.
fn rounds(command: Command, given: &[(String, String)]) -> Option<(u32, Duration)> {
    let value = |name: &str| given.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str());
    let second = Duration::from_secs(1);
    let interval = value("interval").and_then(duration).unwrap_or(second).max(Duration::from_millis(10));
    match command {
        Command::Listen => None,
        Command::Monitor if value("once").is_some() => Some((1, Duration::ZERO)),
        _ => {
            let count = value("count").and_then(|n| n.parse().ok());
            let lasting = value("duration").and_then(duration).map(|d| d.as_millis() / interval.as_millis().max(1));
            Some((count.or_else(|| lasting.and_then(|n| u32::try_from(n).ok()))?, interval))
        }
    }
}

/// How long the request works beyond what any request takes; [`LONGEST`] if it would not end
/// before.
pub(crate) fn time(request: &Request) -> Duration {
    let Some(command) = command(request) else { return Duration::ZERO };
    let given = rest::given(request).unwrap_or_default();
    rounds(command, &given).map_or(LONGEST, |(rounds, interval)| interval.saturating_mul(rounds)).min(LONGEST)
}

/// The answer to one of these commands; `None` if the request is for something else.
pub(crate) fn answer(objects: &Objects, policy: Policy, request: &Request) -> Option<Response> {
    let command = command(request)?;
    let may = if command == Command::Ping { policy.test } else { policy.read };
    if !may {
        return Some(rest::error(500, Some("not enough permissions (9)")));
    }
    let given = rest::given(request).unwrap_or_default();
    let value = |name: &str| given.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str());
    let wanted = if command == Command::Ping { "address" } else { "interface" };
    let Some(target) = value(wanted) else {
        return Some(rest::error(400, Some(&format!("missing ={wanted}="))));
    };
    let (count, _) = rounds(command, &given)?;
    let rows: Option<Vec<Value>> = match command {
        Command::Ping => Some((0..count).map(|seq| ping(seq, target)).collect()),
        _ => monitor(objects, target, count),
    };
    Some(rows.map_or_else(
        || rest::error(400, Some(&format!("input does not match any value of {wanted}"))),
        |rows| Response::json(200, Value::Array(rows).to_string()),
    ))
}

fn ping(seq: u32, host: &str) -> Value {
    let sent = (seq + 1).to_string();
    json!({
        "avg-rtt": "12ms345us", "host": host, "max-rtt": "12ms345us", "min-rtt": "12ms345us", "packet-loss": "0",
        "received": sent, "sent": sent, "seq": seq.to_string(), "size": "56", "time": "12ms345us", "ttl": "64",
    })
}

/// One row per interface and round; rounds are numbered when there are several.
fn monitor(objects: &Objects, interfaces: &str, count: u32) -> Option<Vec<Value>> {
    let table = &objects.tables[INTERFACE];
    let rows: Vec<&Row> = interfaces
        .split(',')
        .map(|name| objects.find(INTERFACE, name).map(|i| &table.rows[i]))
        .collect::<Option<_>>()?;
    let mut out = Vec::new();
    for section in 0..count {
        for row in &rows {
            let [received, sent] = row.visible;
            let mut value = json!({
                "name": row.get("name"),
                "rx-bits-per-second": received.rate_bps.to_string(),
                "rx-packets-per-second": (received.rate_bps / 12_000).to_string(),
                "tx-bits-per-second": sent.rate_bps.to_string(),
                "tx-packets-per-second": (sent.rate_bps / 12_000).to_string(),
            });
            if count > 1 {
                value[".section"] = section.to_string().into();
            }
            out.push(value);
        }
    }
    Some(out)
}

/// A time as the console takes it: `3s`, `500ms`, `1m30s`, or seconds.
fn duration(text: &str) -> Option<Duration> {
    const UNITS: [(&str, u64); 6] =
        [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000), ("w", 604_800_000)];
    let (mut millis, mut rest) = (0_u64, text);
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, tail) = rest.split_at(digits);
        let (unit, factor) =
            if tail.is_empty() { ("", 1_000) } else { *UNITS.iter().find(|(u, _)| tail.starts_with(u))? };
        millis = millis.checked_add(number.parse::<u64>().ok()?.checked_mul(factor)?)?;
        rest = &tail[unit.len()..];
    }
    (!text.is_empty()).then(|| Duration::from_millis(millis))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_the_console_takes_them() {
        for (text, millis) in [
            ("3s", Some(3_000)),
            ("500ms", Some(500)),
            ("1m30s", Some(90_000)),
            ("2", Some(2_000)),
            ("", None),
            ("s", None),
            ("1x", None),
            ("99999999999999999999s", None),
        ] {
            assert_eq!(duration(text), millis.map(Duration::from_millis), "{text}");
        }
    }
}

//! Values as people write them: `"940M"`, `"250ms"`.

use crate::types::{Bitrate, Duration};

/// A rate: `"940M"`, `"37.5M"`, `"800k"`, `"1G"`, or plain bit/s. `None` for anything else.
#[must_use]
pub fn rate(text: &str) -> Option<Bitrate> {
    let text = text.trim();
    let (digits, factor) = match text.char_indices().next_back()? {
        (at, 'k' | 'K') => (&text[..at], 1e3),
        (at, 'M') => (&text[..at], 1e6),
        (at, 'G') => (&text[..at], 1e9),
        _ => (text, 1.0),
    };
    number(digits).map(|n| Bitrate::from_f64(libm::round(n * factor)))
}

/// A time span: `"250ms"`, `"4.5ms"`, `"5s"`, `"1m"`, `"1h"`, `"1d"`. `None` for anything else.
#[must_use]
pub fn duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let seconds = match text[split..].trim() {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        _ => return None,
    };
    // Via whole nanoseconds, so that 50 ms is 50 ms to the last bit.
    let ns = libm::round(number(&text[..split])? * seconds * 1e9);
    Some(Duration::from_nanos(Bitrate::from_f64(ns).bps()))
}

/// A plain decimal number, without sign or exponent.
fn number(text: &str) -> Option<f64> {
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    if plain { text.parse().ok() } else { None }
}

/// The known word nearest to `word`, if it is near enough to be meant.
pub(super) fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    known.iter().map(|&k| (distance(word, k), k)).filter(|(d, k)| *d <= k.len().div_ceil(3)).min().map(|(_, k)| k)
}

/// Edits (insert, delete, replace) between two words.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_and_spans_as_people_write_them() {
        assert_eq!(rate("37.5M"), Some(Bitrate::from_bps(37_500_000)));
        assert_eq!(rate("1G"), Some(Bitrate::from_mbps(1000)));
        assert_eq!(rate("38000000"), Some(Bitrate::from_mbps(38)));
        for bad in ["", "M", "-1M", "1e9", "10MB", "NaN", "1.2.3M", "10 Mbit"] {
            assert_eq!(rate(bad), None, "{bad}");
        }
        assert_eq!(duration("50ms"), Some(Duration::from_millis(50)));
        assert_eq!(duration("4.5ms"), Some(Duration::from_micros(4500)));
        assert_eq!(duration("1h"), Some(Duration::from_secs(3600)));
        for bad in ["", "50", "ms", "-1s", "1y", "1s5"] {
            assert_eq!(duration(bad), None, "{bad}");
        }
    }

    #[test]
    fn near_words() {
        let known = ["ceiling", "queue", "floor"];
        assert_eq!(nearest("cieling", &known), Some("ceiling"));
        assert_eq!(nearest("que", &known), Some("queue"));
        assert_eq!(nearest("banana", &known), None);
    }
}

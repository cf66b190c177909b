//! Reading TOML with its line numbers, collecting faults instead of stopping at the first.

use super::Env;
use super::fault::{Fault, Faults, Problem, Quantity, Warning};
use super::value;
use crate::types::{Bitrate, Duration, Millis};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use toml::Spanned;
use toml::de::{DeTable, DeValue};
use wanctl_hal::units::nanos;

/// Lowest rate that makes sense for a shaper.
const LOWEST_RATE: Bitrate = Bitrate::from_bps(64_000);

/// Highest rate of any port today.
const HIGHEST_RATE: Bitrate = Bitrate::from_mbps(400_000);

/// The file being read, and what was found wrong so far.
pub(super) struct Context<'a> {
    text: &'a str,
    file: &'a str,
    directory: &'a Path,
    env: Env<'a>,
    /// The certificates of the router's authorities, when they are known without reading a file.
    pub(super) authorities: Option<&'a [u8]>,
    /// Only the text is here; what it names is on another machine.
    pub(super) is_elsewhere: bool,
    faults: RefCell<Vec<Fault>>,
    warnings: RefCell<Vec<Fault>>,
    known: RefCell<BTreeSet<String>>,
}

impl<'a> Context<'a> {
    pub(super) fn new(text: &'a str, file: &'a str, directory: &'a Path, env: Env<'a>) -> Self {
        Self {
            text,
            file,
            directory,
            env,
            authorities: None,
            is_elsewhere: false,
            faults: RefCell::default(),
            warnings: RefCell::default(),
            known: RefCell::default(),
        }
    }

    pub(super) fn into_findings(self) -> (Faults, Vec<Warning>) {
        let file = || self.file.to_owned();
        let mut faults = self.faults.into_inner();
        faults.sort_by_key(|f| f.line);
        let mut warnings = self.warnings.into_inner();
        warnings.sort_by_key(|f| f.line);
        let warnings = warnings.into_iter().map(|about| Warning { file: file(), about }).collect();
        (Faults { file: file(), faults }, warnings)
    }

    /// How many faults there are so far.
    pub(super) fn mark(&self) -> usize {
        self.faults.borrow().len()
    }

    /// The faults since a [`Context::mark`], which are then not those of the file.
    pub(super) fn set_aside(&self, mark: usize) -> Faults {
        let mut faults = self.faults.borrow_mut().split_off(mark);
        faults.sort_by_key(|f| f.line);
        Faults { file: self.file.to_owned(), faults }
    }

    /// Every key that has been asked for, whatever the names of the WANs.
    pub(super) fn known(&self) -> Vec<String> {
        self.known.borrow().iter().cloned().collect()
    }

    pub(super) fn env(&self, name: &str) -> Option<String> {
        (self.env)(name)
    }

    /// A path in the file; a relative one is below the file's own directory.
    pub(super) fn path(&self, text: &str) -> PathBuf {
        self.directory.join(text)
    }

    fn line(&self, at: usize) -> usize {
        self.text.as_bytes().iter().take(at).filter(|&&b| b == b'\n').count() + 1
    }
}

/// Parses the text; syntax errors are faults like others.
pub(super) fn document<'a, 'c>(context: &'c Context<'a>) -> Option<Section<'a, 'c>> {
    let (table, errors) = DeTable::parse_recoverable(context.text);
    for error in &errors {
        let line = error.span().map(|span| context.line(span.start));
        let problem = Problem::Syntax(error.message().to_owned());
        context.faults.borrow_mut().push(Fault { line, key: String::new(), value: None, problem });
    }
    if !errors.is_empty() {
        return None;
    }
    let line = 1;
    Some(Section {
        context,
        path: String::new(),
        kind: String::new(),
        line,
        table: Some(table.into_inner()),
        known: RefCell::default(),
        misplaced: RefCell::default(),
    })
}

/// A table of the file, or an absent one, which is empty.
pub(super) struct Section<'a, 'c> {
    context: &'c Context<'a>,
    path: String,
    /// The path without the names of WANs, to list known keys by.
    kind: String,
    line: usize,
    table: Option<DeTable<'a>>,
    known: RefCell<Vec<&'static str>>,
    misplaced: RefCell<BTreeSet<String>>,
}

impl<'a, 'c> Section<'a, 'c> {
    fn get(&self, key: &'static str) -> Option<&Spanned<DeValue<'a>>> {
        self.known.borrow_mut().push(key);
        self.context.known.borrow_mut().insert(joined(&self.kind, key));
        self.table.as_ref()?.get(key)
    }

    /// Whether the key stands in the file.
    pub(super) fn has(&self, key: &'static str) -> bool {
        self.get(key).is_some()
    }

    fn child(&self, path: String, key: &str, value: Option<&Spanned<DeValue<'a>>>) -> Section<'a, 'c> {
        let table = value.and_then(|v| v.get_ref().as_table().cloned());
        let line = value.map_or(self.line, |v| self.context.line(v.span().start));
        Section {
            context: self.context,
            path,
            kind: joined(&self.kind, key),
            line,
            table,
            known: RefCell::default(),
            misplaced: RefCell::default(),
        }
    }

    /// A sub-table; absent is empty.
    pub(super) fn section(&self, key: &'static str) -> Section<'a, 'c> {
        let path = joined(&self.path, key);
        let value = self.get(key);
        if value.is_some_and(|v| !v.get_ref().is_table()) {
            self.fault(key, Problem::NotA { right: format!("a table: [{path}]") });
        }
        self.child(path, key, value)
    }

    /// An array of tables. Each is called by its name, where it has one.
    pub(super) fn sections(&self, key: &'static str) -> Vec<Section<'a, 'c>> {
        let Some(value) = self.get(key) else { return Vec::new() };
        let array = value.get_ref().as_array().filter(|array| array.iter().all(|entry| entry.get_ref().is_table()));
        let Some(array) = array else {
            self.fault(key, Problem::NotA { right: format!("an array of tables: [[{key}]]") });
            return Vec::new();
        };
        let child = |(i, entry): (usize, &Spanned<DeValue<'a>>)| {
            let name = entry.get_ref().as_table().and_then(|t| t.get("name")).and_then(|v| v.get_ref().as_str());
            let path = name.map_or_else(|| format!("{key}[{i}]"), |name| format!("{key} {name:?}"));
            self.child(joined(&self.path, &path), key, Some(entry))
        };
        array.iter().enumerate().map(child).collect()
    }

    /// A sub-table, if it is one.
    pub(super) fn existing(&self, key: &str) -> Option<Section<'a, 'c>> {
        let value = self.table.as_ref()?.get(key).filter(|v| v.get_ref().is_table())?;
        Some(self.child(joined(&self.path, key), key, Some(value)))
    }

    /// Values that must not fall (or, if strict, must rise) from key to key. The fault is told of
    /// the first pair that does not, at the one of the two that stands in the file.
    pub(super) fn ordered<T: PartialOrd>(&self, values: &[(&'static str, T, Quantity)], strict: bool) {
        let wrong = |pair: &&[(&'static str, T, Quantity)]| {
            if strict { pair[0].1 >= pair[1].1 } else { pair[0].1 > pair[1].1 }
        };
        if let Some(pair) = values.windows(2).find(wrong) {
            let at = if self.stands(pair[0].0) { pair[0].0 } else { pair[1].0 };
            let values = values.iter().map(|(key, _, shown)| (*key, *shown)).collect();
            self.fault(at, Problem::Order { values, strict });
        }
    }

    /// Whether the key stands in the file, without counting as known.
    pub(super) fn stands(&self, key: &str) -> bool {
        self.table.as_ref().is_some_and(|t| t.contains_key(key))
    }

    /// A string of the file without judging it, and its line.
    pub(super) fn peek(&self, key: &str) -> Option<(String, usize)> {
        let value = self.table.as_ref()?.get(key)?;
        Some((value.get_ref().as_str()?.to_owned(), self.context.line(value.span().start)))
    }

    /// Something is wrong with this key, present or absent.
    pub(super) fn fault(&self, key: &str, problem: Problem) {
        self.context.faults.borrow_mut().push(self.finding(key, problem));
    }

    /// Something about this key works and should not stay so.
    pub(super) fn warn(&self, key: &str, problem: Problem) {
        self.context.warnings.borrow_mut().push(self.finding(key, problem));
    }

    /// The value is shown, except where it may be or contain a secret (also a mistyped one).
    fn finding(&self, key: &str, problem: Problem) -> Fault {
        let value = self.table.as_ref().and_then(|t| t.get(key));
        let line = value.map_or(self.line, |v| self.context.line(v.span().start));
        let is_hidden = matches!(problem, Problem::UnknownKey { .. }) || key.contains("password") || key == "ca_file";
        let is_hidden = is_hidden || matches!(problem, Problem::Misplaced(_)) && ["url", "token"].contains(&key);
        let shown = value.filter(|v| !is_hidden && !v.get_ref().is_table());
        let shown = shown.and_then(|v| self.context.text.get(v.span())).filter(|text| !text.contains('@'));
        let shown = shown.map(|text| text.chars().take(60).map(|c| if c.is_control() { ' ' } else { c }).collect());
        Fault { line: Some(line), key: joined(&self.path, key), value: shown, problem }
    }

    /// Keys that nobody has read are faults.
    pub(super) fn finish(&self) {
        let mut known = self.known.borrow().clone();
        known.sort_unstable();
        known.dedup();
        for (key, _) in self.table.iter().flat_map(|t| t.iter()) {
            let name: &str = key.get_ref();
            if !known.contains(&name) && !self.misplaced.borrow().contains(name) {
                let nearest = value::nearest(name, &known);
                self.fault(name, Problem::UnknownKey { nearest, known: known.clone() });
            }
        }
    }

    /// A key that people may write here and that can't be here.
    pub(super) fn misplaced(&self, key: &str, why: &'static str) {
        if self.stands(key) {
            self.misplaced.borrow_mut().insert(key.to_owned());
            self.fault(key, Problem::Misplaced(why));
        }
    }

    /// A string.
    pub(super) fn text(&self, key: &'static str) -> Option<String> {
        let value = self.get(key)?.get_ref();
        let text = value.as_str().filter(|text| !text.trim().is_empty());
        if text.is_none() {
            let right = if value.is_str() {
                "a text that is not empty".to_owned()
            } else {
                format!("a string, not {}", an(value))
            };
            self.fault(key, Problem::NotA { right });
        }
        text.map(str::to_owned)
    }

    /// A string that must be there.
    pub(super) fn required_text(&self, key: &'static str, example: &str) -> Option<String> {
        if !self.has(key) {
            self.fault(key, Problem::Missing { right: format!("for example {key} = \"{example}\"") });
        }
        self.text(key)
    }

    /// A string that parses as `T`.
    pub(super) fn parsed<T: FromStr>(&self, key: &'static str, right: &str) -> Option<T> {
        let text = self.text(key)?;
        let parsed = text.parse().ok();
        if parsed.is_none() {
            self.fault(key, Problem::not_a(right));
        }
        parsed
    }

    /// A list of at most `most` different strings that parse as `T`.
    pub(super) fn list<T: FromStr + PartialEq>(&self, key: &'static str, most: usize, what: &str) -> Option<Vec<T>> {
        let value = self.get(key)?.get_ref();
        let mut parsed: Vec<T> = Vec::new();
        let right = match value.as_array() {
            None => Some(format!("a list of {what}")),
            Some(array) if array.len() > most => Some(format!("a list of at most {most} entries, not {}", array.len())),
            Some(array) => array.iter().find_map(|entry| {
                match entry.get_ref().as_str().and_then(|text| text.trim().parse().ok()) {
                    None => {
                        let shown = self.context.text.get(entry.span()).unwrap_or_default();
                        Some(format!("a list of {what}; {shown} is none"))
                    }
                    Some(value) if parsed.contains(&value) => {
                        let shown = self.context.text.get(entry.span()).unwrap_or_default();
                        Some(format!("a list without repetition; {shown} stands there twice"))
                    }
                    Some(value) => {
                        parsed.push(value);
                        None
                    }
                }
            }),
        };
        match right {
            Some(right) => {
                self.fault(key, Problem::NotA { right });
                None
            }
            None => Some(parsed),
        }
    }

    /// One of several words.
    pub(super) fn one_of<T: Copy>(&self, key: &'static str, words: &[(&str, T)]) -> Option<T> {
        let text = self.text(key)?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if found.is_none() {
            let all: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            self.fault(key, Problem::NotA { right: format!("one of: {}", all.join(", ")) });
        }
        found
    }

    /// A shaper rate.
    pub(super) fn rate(&self, key: &'static str) -> Option<Bitrate> {
        self.rate_in(key, LOWEST_RATE..=HIGHEST_RATE)
    }

    /// A rate in bit/s or as a string with k, M or G, within a range.
    pub(super) fn rate_in(&self, key: &'static str, range: RangeInclusive<Bitrate>) -> Option<Bitrate> {
        let value = self.get(key)?.get_ref();
        let rate = match value {
            DeValue::String(text) => value::rate(text),
            DeValue::Integer(digits) => integer(digits).map(Bitrate::from_bps),
            _ => None,
        };
        if rate.is_none() {
            let right = "a rate: bit/s as an integer, or a string such as \"940M\", \"37.5M\", \"800k\"";
            self.fault(key, Problem::not_a(right));
        }
        self.within(key, rate?, &range, Quantity::Rate)
    }

    /// A duration as a string with its unit.
    pub(super) fn duration(&self, key: &'static str) -> Option<Duration> {
        let value = self.get(key)?.get_ref();
        let duration = value.as_str().and_then(value::duration);
        if duration.is_none() {
            self.fault(key, Problem::not_a("a duration with its unit, such as \"50ms\", \"2s\", \"5m\""));
        }
        duration
    }

    /// A duration within a range.
    pub(super) fn duration_in(&self, key: &'static str, range: RangeInclusive<Duration>) -> Option<Duration> {
        let value = self.duration(key)?;
        self.within(key, value, &range, Quantity::Span)
    }

    /// A delay.
    pub(super) fn millis(&self, key: &'static str) -> Option<Millis> {
        let span = self.duration(key)?;
        // Via whole nanoseconds, so that "31ms" is 31 to the last bit.
        #[expect(clippy::cast_precision_loss, reason = "exact up to 104 days; a minute is the limit")]
        let delay = Millis::new(nanos(span) as f64 / 1e6);
        if delay.is_none() {
            self.fault(key, Problem::Range { low: Quantity::Delay(Millis::ZERO), high: Quantity::Delay(Millis::MAX) });
        }
        delay
    }

    /// How long a state must last: a duration, or a number of cycles.
    pub(super) fn streak(&self, key: &'static str, cycle: Duration) -> Option<Duration> {
        match self.get(key)?.get_ref() {
            DeValue::Integer(digits) => {
                let cycles = integer(digits).and_then(|n| u32::try_from(n).ok()).filter(|n| (1..=1200).contains(n));
                if cycles.is_none() {
                    self.fault(key, Problem::not_a("1 to 1200 cycles, or a duration such as \"250ms\""));
                }
                cycles.map(|n| cycle * n)
            }
            _ => self.duration_in(key, Duration::ZERO..=Duration::from_secs(60)),
        }
    }

    /// A number within a range.
    pub(super) fn number_in(&self, key: &'static str, range: RangeInclusive<f64>) -> Option<f64> {
        let number = match self.get(key)?.get_ref() {
            DeValue::Float(digits) => digits.as_str().replace('_', "").parse().ok(),
            DeValue::Integer(digits) => digits.as_str().parse().ok(),
            _ => None,
        };
        let Some(number) = number else {
            self.fault(key, Problem::not_a("a number"));
            return None;
        };
        self.within(key, number, &range, Quantity::Number)
    }

    /// A yes or no.
    pub(super) fn flag(&self, key: &'static str) -> Option<bool> {
        let value = self.get(key)?.get_ref().as_bool();
        if value.is_none() {
            self.fault(key, Problem::not_a("true or false"));
        }
        value
    }

    /// A whole number within a range.
    pub(super) fn count(&self, key: &'static str, range: RangeInclusive<usize>) -> Option<usize> {
        let number = match self.get(key)?.get_ref() {
            DeValue::Integer(digits) => integer(digits).and_then(|n| usize::try_from(n).ok()),
            _ => None,
        };
        let Some(number) = number else {
            self.fault(
                key,
                Problem::NotA { right: format!("a whole number from {} to {}", range.start(), range.end()) },
            );
            return None;
        };
        self.within(key, number, &range, Quantity::Count)
    }

    fn within<T: PartialOrd + Copy>(
        &self,
        key: &str,
        value: T,
        range: &RangeInclusive<T>,
        show: impl Fn(T) -> Quantity,
    ) -> Option<T> {
        if range.contains(&value) {
            return Some(value);
        }
        self.fault(key, Problem::Range { low: show(*range.start()), high: show(*range.end()) });
        None
    }
}

/// A non-negative integer in any of TOML's notations.
fn integer(digits: &toml::de::DeInteger<'_>) -> Option<u64> {
    u64::from_str_radix(&digits.as_str().replace('_', ""), digits.radix()).ok()
}

/// A key behind the path of its table.
fn joined(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// The type of a value with its article.
fn an(value: &DeValue<'_>) -> String {
    let name = value.type_str();
    format!("{} {name}", if name.starts_with(['a', 'i']) { "an" } else { "a" })
}

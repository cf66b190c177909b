//! Reading TOML with its line numbers, collecting faults instead of stopping at the first.

use super::Env;
use super::fault::{Fault, Faults, Warning};
use super::value;
use crate::types::{Bitrate, Duration, Millis};
use std::cell::RefCell;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

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
    faults: RefCell<Vec<Fault>>,
    warnings: RefCell<Vec<Fault>>,
}

impl<'a> Context<'a> {
    pub(super) fn new(text: &'a str, file: &'a str, directory: &'a Path, env: Env<'a>) -> Self {
        Self { text, file, directory, env, faults: RefCell::default(), warnings: RefCell::default() }
    }

    pub(super) fn into_findings(self) -> (Faults, Vec<Warning>) {
        let collect = |mut faults: Vec<Fault>| {
            faults.sort_by_key(|f| f.line);
            Faults { file: self.file.to_owned(), faults }
        };
        let warnings = collect(self.warnings.into_inner());
        let single = |fault| Warning(Faults { file: warnings.file.clone(), faults: vec![fault] });
        let warnings = warnings.faults.clone().into_iter().map(single).collect();
        (collect(self.faults.into_inner()), warnings)
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
        let problem = format!("not TOML: {}", error.message());
        context.faults.borrow_mut().push(Fault { line, key: String::new(), value: None, problem });
    }
    if !errors.is_empty() {
        return None;
    }
    let line = 1;
    Some(Section { context, path: String::new(), line, table: Some(table.into_inner()), known: RefCell::default() })
}

/// A table of the file, or an absent one, which is empty.
pub(super) struct Section<'a, 'c> {
    context: &'c Context<'a>,
    path: String,
    line: usize,
    table: Option<DeTable<'a>>,
    known: RefCell<Vec<&'static str>>,
}

impl<'a, 'c> Section<'a, 'c> {
    fn get(&self, key: &'static str) -> Option<&Spanned<DeValue<'a>>> {
        self.known.borrow_mut().push(key);
        self.table.as_ref()?.get(key)
    }

    /// Whether the key stands in the file.
    pub(super) fn has(&self, key: &'static str) -> bool {
        self.get(key).is_some()
    }

    fn child(&self, path: String, value: &Spanned<DeValue<'a>>) -> Section<'a, 'c> {
        let table = value.get_ref().as_table().cloned();
        Section {
            context: self.context,
            path,
            line: self.context.line(value.span().start),
            table,
            known: RefCell::default(),
        }
    }

    fn key_path(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// A sub-table; absent is empty.
    pub(super) fn section(&self, key: &'static str) -> Section<'a, 'c> {
        let path = self.key_path(key);
        match self.get(key) {
            Some(value) => {
                if !value.get_ref().is_table() {
                    self.fault(key, &format!("must be a table: [{path}]"));
                }
                self.child(path, value)
            }
            None => Section { context: self.context, path, line: self.line, table: None, known: RefCell::default() },
        }
    }

    /// An array of tables. Each is called by its name, where it has one.
    pub(super) fn sections(&self, key: &'static str) -> Vec<Section<'a, 'c>> {
        let Some(value) = self.get(key) else { return Vec::new() };
        let Some(array) = value.get_ref().as_array() else {
            self.fault(key, &format!("must be an array of tables: [[{key}]]"));
            return Vec::new();
        };
        array
            .iter()
            .enumerate()
            .map(|(i, entry)| {
                let name = entry.get_ref().as_table().and_then(|t| t.get("name")).and_then(|v| v.get_ref().as_str());
                let path = name.map_or_else(|| format!("{key}[{i}]"), |name| format!("{key} \"{name}\""));
                self.child(path, entry)
            })
            .collect()
    }

    /// Something is wrong with this key, present or absent.
    pub(super) fn fault(&self, key: &str, problem: &str) {
        self.context.faults.borrow_mut().push(self.finding(key, problem));
    }

    /// Something about this key works and should not stay so.
    pub(super) fn warn(&self, key: &str, problem: &str) {
        self.context.warnings.borrow_mut().push(self.finding(key, problem));
    }

    fn finding(&self, key: &str, problem: &str) -> Fault {
        let value = self.table.as_ref().and_then(|t| t.get(key));
        let line = value.map_or(self.line, |v| self.context.line(v.span().start));
        let shown = value.filter(|v| !v.get_ref().is_table() && !key.contains("password"));
        let shown = shown.and_then(|v| self.context.text.get(v.span())).map(|s| s.chars().take(60).collect());
        Fault { line: Some(line), key: self.key_path(key), value: shown, problem: problem.to_owned() }
    }

    /// Keys that nobody has read are faults.
    pub(super) fn finish(&self) {
        let known = self.known.borrow();
        for (key, _) in self.table.iter().flat_map(|t| t.iter()) {
            let name: &str = key.get_ref();
            if !known.contains(&name) {
                let hint = value::nearest(name, known.iter().copied());
                let hint = hint.map_or_else(
                    || {
                        let mut all = known.clone();
                        all.sort_unstable();
                        all.dedup();
                        format!("known here: {}", all.join(", "))
                    },
                    |near| format!("did you mean \"{near}\"?"),
                );
                self.fault(name, &format!("unknown key; {hint}"));
            }
        }
    }

    /// A string.
    pub(super) fn text(&self, key: &'static str) -> Option<String> {
        let value = self.get(key)?.get_ref();
        match value.as_str() {
            Some(text) if !text.trim().is_empty() => Some(text.to_owned()),
            Some(_) => {
                self.fault(key, "must not be empty");
                None
            }
            None => {
                self.fault(key, &format!("must be a string, not {}", value.type_str()));
                None
            }
        }
    }

    /// A string that must be there.
    pub(super) fn required_text(&self, key: &'static str, example: &str) -> Option<String> {
        if !self.has(key) {
            self.fault(key, &format!("missing; for example {key} = \"{example}\""));
        }
        self.text(key)
    }

    /// A string that parses as `T`.
    pub(super) fn parsed<T: FromStr>(&self, key: &'static str, what: &str) -> Option<T> {
        let text = self.text(key)?;
        let parsed = text.parse().ok();
        if parsed.is_none() {
            self.fault(key, &format!("must be {what}"));
        }
        parsed
    }

    /// A list of strings that parse as `T`.
    pub(super) fn list<T: FromStr>(&self, key: &'static str, most: usize, what: &str) -> Option<Vec<T>> {
        let value = self.get(key)?.get_ref();
        let Some(array) = value.as_array() else {
            self.fault(key, &format!("must be a list of {what}"));
            return None;
        };
        let parsed: Option<Vec<T>> = array.iter().map(|v| v.get_ref().as_str()?.trim().parse().ok()).collect();
        if parsed.is_none() {
            self.fault(key, &format!("must be a list of {what}"));
        } else if array.len() > most {
            self.fault(key, &format!("has {} entries; at most {most}", array.len()));
        }
        parsed.filter(|list| list.len() <= most)
    }

    /// One of several words.
    pub(super) fn one_of<T: Copy>(&self, key: &'static str, words: &[(&str, T)]) -> Option<T> {
        let text = self.text(key)?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if found.is_none() {
            let all: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            self.fault(key, &format!("must be one of: {}", all.join(", ")));
        }
        found
    }

    /// A rate in bit/s or as a string with k, M or G.
    pub(super) fn rate(&self, key: &'static str) -> Option<Bitrate> {
        let value = self.get(key)?.get_ref();
        let rate = match value {
            DeValue::String(text) => value::rate(text),
            DeValue::Integer(digits) => integer(digits).map(Bitrate::from_bps),
            _ => None,
        };
        match rate {
            None => self
                .fault(key, "must be a rate: bit/s as an integer, or a string such as \"940M\", \"37.5M\", \"800k\""),
            Some(rate) if !(LOWEST_RATE..=HIGHEST_RATE).contains(&rate) => {
                self.fault(key, &format!("is {rate}bit/s; it must be between {LOWEST_RATE} and {HIGHEST_RATE}"));
                return None;
            }
            Some(_) => {}
        }
        rate
    }

    /// A duration as a string with its unit.
    pub(super) fn duration(&self, key: &'static str) -> Option<Duration> {
        let value = self.get(key)?.get_ref();
        let duration = value.as_str().and_then(value::duration);
        if duration.is_none() {
            self.fault(key, "must be a duration with its unit, such as \"50ms\", \"2s\", \"5m\"");
        }
        duration
    }

    /// A duration within a range.
    pub(super) fn duration_in(&self, key: &'static str, range: RangeInclusive<Duration>) -> Option<Duration> {
        let value = self.duration(key)?;
        self.within(key, value, &range, |d| format!("{d:?}"))
    }

    /// A delay.
    pub(super) fn millis(&self, key: &'static str) -> Option<Millis> {
        let delay = Millis::try_from(self.duration(key)?).ok();
        if delay.is_none() {
            self.fault(key, "must be at most a minute");
        }
        delay
    }

    /// How long a state must last: a duration, or a number of cycles.
    pub(super) fn streak(&self, key: &'static str, cycle: Duration) -> Option<Duration> {
        match self.get(key)?.get_ref() {
            DeValue::Integer(digits) => {
                let cycles = integer(digits).and_then(|n| u32::try_from(n).ok()).filter(|n| (1..=1200).contains(n));
                if cycles.is_none() {
                    self.fault(key, "must be 1 to 1200 cycles, or a duration such as \"250ms\"");
                }
                cycles.map(|n| cycle * n)
            }
            _ => self.duration(key),
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
            self.fault(key, "must be a number");
            return None;
        };
        self.within(key, number, &range, |n| n.to_string())
    }

    /// A whole number within a range.
    pub(super) fn count(&self, key: &'static str, range: RangeInclusive<usize>) -> Option<usize> {
        let number = match self.get(key)?.get_ref() {
            DeValue::Integer(digits) => integer(digits).and_then(|n| usize::try_from(n).ok()),
            _ => None,
        };
        let Some(number) = number else {
            self.fault(key, &format!("must be a whole number from {} to {}", range.start(), range.end()));
            return None;
        };
        self.within(key, number, &range, |n| n.to_string())
    }

    fn within<T: PartialOrd>(
        &self,
        key: &str,
        value: T,
        range: &RangeInclusive<T>,
        show: impl Fn(&T) -> String,
    ) -> Option<T> {
        if range.contains(&value) {
            return Some(value);
        }
        self.fault(key, &format!("must be between {} and {}", show(range.start()), show(range.end())));
        None
    }
}

/// A non-negative integer in any of TOML's notations.
fn integer(digits: &toml::de::DeInteger<'_>) -> Option<u64> {
    u64::from_str_radix(&digits.as_str().replace('_', ""), digits.radix()).ok()
}

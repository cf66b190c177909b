//! The `log` facade behind which every line goes out: formatted into a fixed buffer, written
//! without waiting.

use core::fmt::Write as _;
use core::sync::atomic::{AtomicU32, Ordering};
use log::{Level, LevelFilter, Log, Metadata, Record};
use std::sync::OnceLock;

/// Longest line; what is beyond is cut off.
const LONGEST: usize = 1024;

/// A line in the making.
pub type Line = heapless::String<LONGEST>;

/// How a line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// `2026-11-23T12:00:00Z INFO cable: …`, for people.
    #[default]
    Text,
    /// One JSON object a line, for machines.
    Json,
}

/// A collector that gets every line as well (RFC 5424).
#[derive(Clone, Debug)]
pub struct Collector {
    /// Sends one datagram; returns whether it left.
    pub send: fn(&[u8]) -> bool,
    /// Name of this machine.
    pub host: String,
}

/// Where lines go, what time it is, and how many lines were lost.
struct Logger {
    format: Format,
    collector: Option<Collector>,
    write: fn(&[u8]) -> bool,
    unix_seconds: fn() -> u64,
    lost: AtomicU32,
}

static LOGGER: OnceLock<Logger> = OnceLock::new();

/// Starts logging (once; later calls only change the level). `write` returns whether the line was
/// taken.
pub fn install(
    level: LevelFilter,
    format: Format,
    collector: Option<Collector>,
    write: fn(&[u8]) -> bool,
    unix_seconds: fn() -> u64,
) {
    let logger = LOGGER.get_or_init(|| Logger { format, collector, write, unix_seconds, lost: AtomicU32::new(0) });
    let _ = log::set_logger(logger); // fails only when it is installed already
    log::set_max_level(level);
}

impl Log for Logger {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let mut line = Line::new();
        let lost = self.lost.load(Ordering::Relaxed);
        let _ = match self.format {
            Format::Text => self.text(&mut line, record, lost),
            Format::Json => self.json(&mut line, record, lost),
        };
        if line.push('\n').is_err() {
            line.pop();
            let _ = line.push('\n');
        }
        if (self.write)(line.as_bytes()) {
            self.lost.fetch_sub(lost, Ordering::Relaxed);
        } else {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(collector) = &self.collector {
            let mut line = Line::new();
            // What is too long is cut off.
            let _ = self.syslog(&mut line, record, &collector.host);
            // Nobody waits for a collector, nor asks whether it has heard: that is what UDP is for.
            let _ = (collector.send)(line.as_bytes());
        }
    }

    fn flush(&self) {}
}

impl Logger {
    fn text(&self, line: &mut Line, record: &Record<'_>, lost: u32) -> core::fmt::Result {
        write_time(line, (self.unix_seconds)())?;
        write!(line, " {:5} ", record.level())?;
        if lost > 0 {
            write!(line, "({lost} lines lost) ")?;
        }
        // One record is one line: what a router says must not be able to forge another.
        write!(Printable(line), "{}", record.args())
    }

    /// RFC 5424, section 6: priority and version, time, host, program, process, no message number, no data.
    fn syslog(&self, line: &mut Line, record: &Record<'_>, host: &str) -> core::fmt::Result {
        const DAEMON: u8 = 3;
        let severity = match record.level() {
            Level::Error => 3,
            Level::Warn => 4,
            Level::Info => 6,
            Level::Debug | Level::Trace => 7,
        };
        write!(line, "<{}>1 ", DAEMON * 8 + severity)?;
        write_time(line, (self.unix_seconds)())?;
        write!(line, " {host} wanctl {} - - ", std::process::id())?;
        write!(Printable(line), "{}", record.args())
    }

    fn json(&self, line: &mut Line, record: &Record<'_>, lost: u32) -> core::fmt::Result {
        line.write_str("{\"time\":\"")?;
        write_time(line, (self.unix_seconds)())?;
        write!(line, "\",\"level\":\"{}\"", record.level())?;
        if lost > 0 {
            write!(line, ",\"lost\":{lost}")?;
        }
        line.write_str(",\"message\":\"")?;
        // Whatever does not fit is cut before the closing quote and brace.
        let mut text: heapless::String<{ LONGEST - 128 }> = heapless::String::new();
        let _ = write!(JsonText(&mut text), "{}", record.args());
        write!(line, "{text}\"}}")
    }
}

/// Control characters become spaces.
struct Printable<'a>(&'a mut Line);

impl core::fmt::Write for Printable<'_> {
    fn write_str(&mut self, s: &str) -> core::fmt::Result {
        s.chars().try_for_each(|c| self.0.push(if c.is_control() { ' ' } else { c }).map_err(|_| core::fmt::Error))
    }
}

/// The inside of a JSON string.
struct JsonText<'a, const N: usize>(&'a mut heapless::String<N>);

impl<const N: usize> core::fmt::Write for JsonText<'_, N> {
    fn write_str(&mut self, s: &str) -> core::fmt::Result {
        s.chars().try_for_each(|c| match c {
            '"' | '\\' => {
                if self.0.capacity() - self.0.len() < 2 {
                    return Err(core::fmt::Error);
                }
                self.0.push('\\').and_then(|()| self.0.push(c)).map_err(|_| core::fmt::Error)
            }
            c => self.0.push(if c.is_control() { ' ' } else { c }).map_err(|_| core::fmt::Error),
        })
    }
}

/// UTC as in RFC 3339, by the civil-from-days algorithm (proleptic Gregorian calendar).
/// # Errors
/// The line is full.
pub fn write_time(line: &mut Line, unix_seconds: u64) -> core::fmt::Result {
    let (days, second) = (unix_seconds / 86_400, unix_seconds % 86_400);
    let shifted = days + 719_468; // days since 0000-03-01
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    write!(line, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(format: Format, text: &str) -> Line {
        let logger = Logger {
            format,
            collector: None,
            write: |_| true,
            unix_seconds: || 1_795_435_200,
            lost: AtomicU32::new(0),
        };
        let mut line = Line::new();
        let args = format_args!("{text}").as_str().map(ToOwned::to_owned).unwrap_or_else(|| text.to_owned());
        let _ = match format {
            Format::Text => logger.text(&mut line, &Record::builder().args(format_args!("{args}")).build(), 0),
            Format::Json => logger.json(&mut line, &Record::builder().args(format_args!("{args}")).build(), 2),
        };
        line
    }

    #[test]
    fn lines_are_dated_and_stay_one_line() {
        assert_eq!(record(Format::Text, "a\nb").as_str(), "2026-11-23T12:00:00Z INFO  a b");
    }

    #[test]
    fn syslog_is_as_the_standard_has_it() {
        let logger = Logger {
            format: Format::Text,
            collector: None,
            write: |_| true,
            unix_seconds: || 1_795_435_200,
            lost: AtomicU32::new(0),
        };
        for (level, priority) in [(Level::Error, 27), (Level::Warn, 28), (Level::Info, 30), (Level::Debug, 31)] {
            let mut line = Line::new();
            let record = Record::builder().level(level).args(format_args!("a\nb")).build();
            logger.syslog(&mut line, &record, "board").unwrap();
            let id = std::process::id();
            assert_eq!(line.as_str(), format!("<{priority}>1 2026-11-23T12:00:00Z board wanctl {id} - - a b"));
        }
    }

    #[test]
    fn json_stays_json_whatever_is_said() {
        for text in ["say \"hi\" \\ \n", &"\"".repeat(2_000), &"ä".repeat(2_000)] {
            let line = record(Format::Json, text);
            let value: serde_json::Value = serde_json::from_str(&line).unwrap();
            assert_eq!(value["lost"], 2);
        }
    }

    #[test]
    fn dates_are_right() {
        let at = |seconds| {
            let mut line = Line::new();
            write_time(&mut line, seconds).unwrap();
            line
        };
        assert_eq!(at(0).as_str(), "1970-01-01T00:00:00Z");
        assert_eq!(at(951_782_399).as_str(), "2000-02-28T23:59:59Z");
        assert_eq!(at(951_782_400).as_str(), "2000-02-29T00:00:00Z");
        assert_eq!(at(4_102_444_799).as_str(), "2099-12-31T23:59:59Z");
    }
}

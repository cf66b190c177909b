//! What can be wrong with a configuration, as data; text is made here, once.

use crate::types::{Bitrate, Duration, Millis};
use std::fmt;
use std::path::{Path, PathBuf};

/// One fault.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    /// Line in the file, from 1; `None` for the file as a whole.
    pub line: Option<usize>,
    /// Path of the key, such as `wan "cable".download.ceiling`.
    pub key: String,
    /// The value as it stands in the file, unless it may hold a secret.
    pub value: Option<String>,
    /// What is wrong, and what would be right.
    pub problem: Problem,
}

/// All faults of a file, never none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Faults {
    /// The file's name.
    pub file: String,
    /// The faults, in the order of the file.
    pub faults: Vec<Fault>,
}

/// Something that works and should not stay so.
#[derive(Clone, Debug, PartialEq)]
pub struct Warning {
    /// The file's name.
    pub file: String,
    /// What it is about.
    pub about: Fault,
}

/// A value with its unit, for messages.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Quantity {
    /// A rate.
    Rate(Bitrate),
    /// A time span.
    Span(Duration),
    /// A delay.
    Delay(Millis),
    /// A plain number.
    Number(f64),
    /// How many.
    Count(usize),
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq)]
pub enum Problem {
    /// The file is not TOML.
    Syntax(String),
    /// A file can't be read.
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's reason; `None` when the file is not text.
        errno: Option<i32>,
    },
    /// Nobody reads this key.
    UnknownKey {
        /// The known key it resembles.
        nearest: Option<&'static str>,
        /// All keys known here.
        known: Vec<&'static str>,
    },
    /// The key must be there.
    Missing {
        /// What would be right.
        right: String,
    },
    /// The value has another type or form.
    NotA {
        /// What would be right.
        right: String,
    },
    /// The value is outside its range.
    Range {
        /// Lowest value.
        low: Quantity,
        /// Highest value.
        high: Quantity,
    },
    /// Values that must not fall do.
    Order {
        /// The keys and their values, in the order they must have.
        values: Vec<(&'static str, Quantity)>,
        /// Whether each must be above the one before, not just equal.
        strict: bool,
    },
    /// Two keys say the same thing.
    Both(&'static str, &'static str),
    /// A name is used already.
    Twin {
        /// What has the name.
        what: &'static str,
        /// The line of its first use.
        line: usize,
    },
    /// The key can't be here; the text says why and what to do.
    Misplaced(&'static str),
    /// https without anything to know the router by.
    NoTrust,
    /// Plain http to an address in the internet.
    PublicHttp,
    /// The password is not in the environment.
    NoPassword(String),
    /// The secret is empty.
    EmptySecret,
    /// The file is no certificate.
    NoCertificate(PathBuf),
    /// Warning: the secret can be read by others.
    Readable {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// Warning: everybody who reaches the address can look in.
    OpenToAll,
    /// Warning: plain http to a private address.
    PlainHttp,
    /// Warning: nothing says through which of several WANs the probes leave.
    NoSource,
    /// Warning: the key has no effect; the text says why.
    NoEffect(&'static str),
}

impl Faults {
    pub(super) fn unreadable(file: &str, path: &Path, error: &std::io::Error) -> Self {
        let problem = Problem::unreadable(path, error);
        let fault = Fault { line: None, key: String::new(), value: None, problem };
        Self { file: file.to_owned(), faults: vec![fault] }
    }

    /// One line for each, without their number.
    pub fn lines(&self) -> impl Iterator<Item = impl fmt::Display> {
        struct Line<'a>(&'a str, &'a Fault);
        impl fmt::Display for Line<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write(f, self.0, self.1)
            }
        }
        self.faults.iter().map(|fault| Line(&self.file, fault))
    }

    /// Whether there are none (only while they are being collected).
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.faults.is_empty()
    }
}

impl Problem {
    pub(super) fn unreadable(path: &Path, error: &std::io::Error) -> Self {
        Self::Unreadable { path: path.to_owned(), errno: error.raw_os_error() }
    }

    pub(super) fn not_a(right: &str) -> Self {
        Self::NotA { right: right.to_owned() }
    }

    pub(super) fn missing(right: &str) -> Self {
        Self::Missing { right: right.to_owned() }
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rate(rate) => write!(f, "{rate}"),
            Self::Span(span) => write!(f, "{span:?}"),
            Self::Delay(delay) => write!(f, "{}ms", delay.get()),
            Self::Number(number) => write!(f, "{number}"),
            Self::Count(count) => write!(f, "{count}"),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax(message) => write!(f, "not TOML: {message}"),
            Self::Unreadable { path, errno: Some(errno) } => {
                write!(f, "{} can't be read: {}", path.display(), std::io::Error::from_raw_os_error(*errno))
            }
            Self::Unreadable { path, errno: None } => write!(f, "{} is not a text in UTF-8", path.display()),
            Self::UnknownKey { nearest: Some(near), .. } => write!(f, "unknown key; did you mean \"{near}\"?"),
            Self::UnknownKey { nearest: None, known } => write!(f, "unknown key; known here: {}", known.join(", ")),
            Self::Missing { right } => write!(f, "missing: {right}"),
            Self::NotA { right } => write!(f, "must be {right}"),
            Self::Range { low, high } => write!(f, "must be between {low} and {high}"),
            Self::Order { values, strict } => {
                f.write_str("out of order: ")?;
                let sign = if *strict { " < " } else { " <= " };
                for (i, (key, value)) in values.iter().enumerate() {
                    write!(f, "{}{key} {value}", if i > 0 { sign } else { "" })?;
                }
                f.write_str(" must hold")
            }
            Self::Both(one, other) => write!(f, "{one} and {other} say the same thing; give one of them"),
            Self::Twin { what, line } => write!(f, "{what} is used already in line {line}; each must have its own"),
            Self::Misplaced(why) | Self::NoEffect(why) => f.write_str(why),
            _ => self.about_the_router(f),
        }
    }
}

impl Problem {
    /// The longer texts, about secrets, certificates and paths.
    fn about_the_router(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoTrust => f.write_str(
                "missing: https needs fingerprint = \"AB:CD:…\" (the SHA-256 of the certificate; for \
                 the router `wanctl trust` prints it), ca_file = \"ca.pem\", or public_ca = true",
            ),
            Self::PublicHttp => f.write_str(
                "plain http sends secrets readable; it is allowed only to a private address given as a literal. \
                 Use https",
            ),
            Self::NoPassword(variable) => write!(
                f,
                "no password: set the environment variable {variable}, or give password_file = \"/etc/wanctl/password\""
            ),
            Self::EmptySecret => f.write_str("the password is empty; give the router user one"),
            Self::NoCertificate(path) => {
                write!(f, "{} holds no certificate (-----BEGIN CERTIFICATE-----)", path.display())
            }
            Self::Readable { path, mode } => {
                write!(f, "{} can be read by others (mode {mode:03o}): chmod 600", path.display())
            }
            Self::PlainHttp => f.write_str(
                "plain http: secrets cross the wire readable; use https unless the other side is directly attached",
            ),
            Self::OpenToAll => f.write_str(
                "everybody who reaches this address can see rates, delays and addresses (nothing can be changed there); \
                 give token_file, or listen on 127.0.0.1",
            ),
            Self::NoSource => f.write_str(
                "there are several WANs, and nothing says how this one's probes leave: they take the default route. \
                 Give source, interface or mark",
            ),
            _ => Ok(()),
        }
    }
}

fn write(f: &mut fmt::Formatter<'_>, file: &str, fault: &Fault) -> fmt::Result {
    f.write_str(file)?;
    if let Some(line) = fault.line {
        write!(f, ":{line}")?;
    }
    f.write_str(": ")?;
    if !fault.key.is_empty() {
        f.write_str(&fault.key)?;
        if let Some(value) = &fault.value {
            write!(f, " = {value}")?;
        }
        f.write_str(": ")?;
    }
    write!(f, "{}", fault.problem)
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in self.lines() {
            writeln!(f, "{line}")?;
        }
        match self.faults.len() {
            1 => f.write_str("1 fault in the configuration"),
            n => write!(f, "{n} faults in the configuration"),
        }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write(f, &self.file, &self.about)
    }
}

//! One rule as it is configured, and why its messages may not arrive.

use super::topic::Topics;
use crate::types::{Duration, Fingerprint, LinkError, TlsFault, WanId};
use core::fmt;

/// The form of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AlertFormat {
    /// An object with everything, for programs.
    #[default]
    Json,
    /// A text with headers, as ntfy takes it.
    Ntfy,
    /// As Discord takes it.
    Discord,
}

impl AlertFormat {
    /// Its name in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Ntfy => "ntfy",
            Self::Discord => "discord",
        }
    }
}

/// One rule, as the configuration has it.
#[derive(Clone)]
pub struct AlertRule {
    /// Its name.
    pub name: String,
    /// Value of the `Host` header.
    pub host: String,
    /// Port of the webhook.
    pub port: u16,
    /// Path and query: secret.
    pub path: String,
    /// Value behind `Authorization: Bearer`: secret.
    pub token: Option<String>,
    /// How messages look.
    pub format: AlertFormat,
    /// What is told.
    pub topics: Topics,
    /// Only of this WAN.
    pub wan: Option<WanId>,
    /// Shortest time between two messages of one kind about one WAN.
    pub cool_down: Duration,
}

/// Why a message was not delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlertError {
    /// The connection.
    Link(LinkError),
    /// No connection, or no answer, in time.
    TimeOut,
    /// The answer is no HTTP.
    NotHttp,
    /// Another status than 2xx.
    Status(u16),
}

impl AlertError {
    /// Whether the same message would be refused again.
    pub(super) const fn is_final(self) -> bool {
        matches!(self, Self::Status(300..=407 | 409..=424 | 426..=428 | 430..=499))
    }
}

impl fmt::Display for AlertError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TimeOut => "no answer in time",
            Self::NotHttp => "the answer is no HTTP",
            Self::Status(status) => {
                let hint = if self.is_final() { "; check its URL, format and token" } else { "" };
                return write!(f, "HTTP status {status}{hint}");
            }
            Self::Link(LinkError::Refused) => "connection refused",
            Self::Link(LinkError::Unreachable) => "no route to it",
            Self::Link(LinkError::Reset) => "connection reset",
            Self::Link(LinkError::Closed) => "closed without an answer",
            Self::Link(LinkError::Unknown) => "its name can't be looked up",
            Self::Link(LinkError::Os(errno)) => {
                return write!(f, "{}", std::io::Error::from_raw_os_error(*errno));
            }
            Self::Link(LinkError::Tls(TlsFault::Fingerprint(_, seen))) => {
                return write!(f, "it shows another certificate than the pinned one: {}", Fingerprint(seen));
            }
            Self::Link(LinkError::Tls(fault)) => match fault {
                TlsFault::UnknownIssuer => "its certificate is not signed by an authority that the rule trusts",
                TlsFault::Expired => "its certificate is expired or not yet valid",
                TlsFault::WrongName => "its certificate is not for this name",
                TlsFault::ClockNotSet => "the clock is not set yet, so its certificate can't be checked",
                TlsFault::NotTls => "it does not speak TLS on this port",
                _ => "TLS handshake failed",
            },
        })
    }
}

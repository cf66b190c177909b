//! `[router]`: where it is, how it proves who it is, who we are, and how to leave it.

use super::fault::Problem;
use super::read::{Context, Section};
use crate::actuate::Exit;
use crate::types::Duration;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use wanctl_hal::{HAS_PUBLIC_AUTHORITIES, LinkTarget, Trust};

/// Where the password is found in the environment when the file names no other place.
pub(super) const PASSWORD_VARIABLE: &str = "WANCTL_ROUTER_PASSWORD";

/// What every certificate in PEM form has.
const PEM: &[u8] = b"-----BEGIN CERTIFICATE-----";

/// A secret; it prints as asterisks wherever it might be printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub(super) fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The secret itself, for the one place that sends it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Where the router's REST API is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    /// Host name or address literal.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Whether TLS is spoken.
    pub tls: bool,
}

impl Url {
    /// `https://host[:port]` or `http://host[:port]`; the scheme is never guessed from the port.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (tls, rest) = match text.split_once("://")? {
            ("https", rest) => (true, rest),
            ("http", rest) => (false, rest),
            _ => return None,
        };
        let authority = rest.trim_end_matches('/');
        let default = if tls { 443 } else { 80 };
        let (host, port) = match authority.strip_prefix('[') {
            Some(v6) => {
                let (host, port) = v6.split_once(']')?;
                host.parse::<Ipv6Addr>().ok()?;
                (host, if port.is_empty() { default } else { port.strip_prefix(':')?.parse().ok()? })
            }
            None => match authority.split_once(':') {
                Some((host, port)) => (host, port.parse().ok()?),
                None => (authority, default),
            },
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
        // What looks like an IPv4 address must be one.
        let numeric = host.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        let good = !host.is_empty() && host.len() <= 253 && host.chars().all(plain) && port > 0;
        (good && (!numeric || host.parse::<Ipv4Addr>().is_ok())).then(|| Self { host: host.to_owned(), port, tls })
    }

    /// The same with a path behind it, which is not empty.
    #[must_use]
    pub fn with_path(text: &str) -> Option<(Self, String)> {
        let start = text.find("://")? + 3;
        let end = text[start..].find('/').map_or(text.len(), |at| start + at);
        let path = if end == text.len() { "/" } else { &text[end..] };
        let good = path.bytes().all(|byte| byte.is_ascii_graphic());
        Self::parse(&text[..end]).filter(|_| good).map(|url| (url, path.to_owned()))
    }

    /// Value of the `Host` header: the host, with the port if it is not the usual one.
    #[must_use]
    pub fn host_header(&self) -> String {
        Authority(self).to_string()
    }

    /// Whether the host is an address that is not routed in the internet.
    fn is_private(&self) -> bool {
        match self.host.parse() {
            Ok(IpAddr::V4(ip)) => ip.is_private() || ip.is_loopback() || ip.is_link_local(),
            Ok(IpAddr::V6(ip)) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
            Err(_) => false,
        }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.tls { "https" } else { "http" }, Authority(self))
    }
}

/// Host and, if it is not the usual one, port.
struct Authority<'a>(&'a Url);

impl fmt::Display for Authority<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Url { host, port, tls } = self.0;
        let (open, close) = if host.contains(':') { ("[", "]") } else { ("", "") };
        write!(f, "{open}{host}{close}")?;
        let usual = if *tls { 443 } else { 80 };
        if *port == usual { Ok(()) } else { write!(f, ":{port}") }
    }
}

/// The router.
#[derive(Clone, Debug, PartialEq)]
pub struct Router {
    /// Where its REST API is.
    pub url: Url,
    /// How it proves who it is.
    pub trust: Trust,
    /// Who we are.
    pub user: String,
    /// How we prove it.
    pub password: Secret,
    /// What to leave behind.
    pub exit: Exit,
    /// Longest time to connect.
    pub connect_timeout: Duration,
    /// Longest time from request to answer.
    pub response_timeout: Duration,
}

impl Router {
    /// Whom to connect to, and how to know that it is the right one.
    #[must_use]
    pub fn target(&self) -> LinkTarget {
        LinkTarget { server_name: self.url.host.clone(), trust: self.trust.clone() }
    }
}

/// The part that says where the router is and how to know it.
pub(super) fn address(context: &Context<'_>, section: &Section<'_, '_>) -> Option<(Url, Option<Trust>)> {
    let url = url(section);
    let trust = trust(context, section, url.as_ref());
    url.map(|url| (url, trust))
}

fn url(section: &Section<'_, '_>) -> Option<Url> {
    let text = section.required_text("url", "https://192.168.88.1")?;
    let url = Url::parse(&text);
    if url.is_none() {
        let right = "https://HOST or http://ADDRESS, with :PORT if unusual; no path, no user in it";
        section.fault("url", Problem::not_a(right));
    }
    url
}

pub(super) fn read(context: &Context<'_>, section: &Section<'_, '_>) -> Option<Router> {
    let address = address(context, section);
    let user = section.required_text("user", "wanctl").filter(|user| {
        let good = user.len() <= 64 && !user.contains(|c: char| c == ':' || c.is_control());
        if !good {
            section.fault("user", Problem::not_a("at most 64 characters, without colon"));
        }
        good
    });
    let password = password(context, section);
    let exit = [("restore", Exit::Restore), ("keep", Exit::Keep), ("rate", Exit::Rate)];
    let exit = section.one_of("exit", &exit).unwrap_or(Exit::Restore);
    let patience = Duration::from_millis(100)..=Duration::from_secs(60);
    let connect_timeout = section.duration_in("connect_timeout", patience.clone()).unwrap_or(Duration::from_secs(3));
    let response_timeout = section.duration_in("response_timeout", patience).unwrap_or(Duration::from_secs(10));
    section.finish();
    let (url, trust) = address?;
    Some(Router { url, trust: trust?, user: user?, password: password?, exit, connect_timeout, response_timeout })
}

/// How the other side of `url` proves who it is.
pub(super) fn trust(context: &Context<'_>, section: &Section<'_, '_>, url: Option<&Url>) -> Option<Trust> {
    let fingerprint = section.text("fingerprint").map(|text| {
        let parsed = parse_fingerprint(&text);
        if parsed.is_none() {
            let right = "the SHA-256 of the certificate: 32 bytes in hexadecimal, as in \"AB:CD:…\"";
            section.fault("fingerprint", Problem::not_a(right));
        }
        parsed
    });
    let authorities = section.text("ca_file").map(|name| match context.authorities {
        Some(pem) => Some(pem.to_vec()),
        None => authorities(section, &context.path(&name)),
    });
    let public = section.flag("public_ca").unwrap_or(false);
    let url = url?;
    let given = [("fingerprint", fingerprint.is_some()), ("ca_file", authorities.is_some()), ("public_ca", public)];
    let mut given = given.into_iter().filter_map(|(key, is_given)| is_given.then_some(key));
    if !url.tls {
        for key in given {
            section.fault(key, Problem::Misplaced("plain http shows no certificate: use https, or leave this out"));
        }
        if url.is_private() {
            section.warn("url", Problem::PlainHttp);
        } else {
            section.fault("url", Problem::PublicHttp);
        }
        return Some(Trust::Plain);
    }
    if let (Some(one), Some(other)) = (given.next(), given.next()) {
        section.fault(one, Problem::Both(one, other));
        return None;
    }
    match (fingerprint, authorities) {
        (Some(pin), _) => pin.map(Trust::Fingerprint),
        (None, Some(pem)) => pem.map(Trust::Authorities),
        (None, None) if public => public_authorities(section, url),
        (None, None) => {
            if !section.has("fingerprint") && !section.has("ca_file") {
                section.fault("fingerprint", Problem::NoTrust);
            }
            None
        }
    }
}

/// The list inside the program, where there is one; it knows names, and no private address.
fn public_authorities(section: &Section<'_, '_>, url: &Url) -> Option<Trust> {
    if !HAS_PUBLIC_AUTHORITIES {
        section.fault("public_ca", Problem::Misplaced(
            "this program was built without the public certificate authorities (`cargo build --features roots`); use \
             fingerprint, or the authority's certificate as ca_file",
        ));
    } else if url.is_private() {
        section.fault("public_ca", Problem::Misplaced(
            "no public authority signs a private address: give the URL the name in the certificate, or use fingerprint",
        ));
    } else {
        return Some(Trust::Public);
    }
    None
}

/// Read now, so that nothing needs to be read when privileges are gone.
fn authorities(section: &Section<'_, '_>, path: &Path) -> Option<Vec<u8>> {
    match std::fs::read(path) {
        Ok(pem) if pem.windows(PEM.len()).any(|w| w == PEM) => return Some(pem),
        Ok(_) => section.fault("ca_file", Problem::NoCertificate(path.to_owned())),
        Err(error) => section.fault("ca_file", Problem::unreadable(path, &error)),
    }
    None
}

/// 32 bytes in hexadecimal, with or without colons.
fn parse_fingerprint(text: &str) -> Option<[u8; 32]> {
    let hex: Vec<u8> = text.trim().bytes().filter(|b| *b != b':').collect();
    if hex.len() != 64 {
        return None;
    }
    let mut out = [0; 32];
    for (byte, pair) in out.iter_mut().zip(hex.chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(out)
}

/// From the usual environment variable, which overrides the file (containers); else from the place
/// the file names.
fn password(context: &Context<'_>, section: &Section<'_, '_>) -> Option<Secret> {
    section.misplaced(
        "password",
        "secrets do not belong into this file: use password_file = \"/etc/wanctl/password\" (mode 0600) or the \
         environment variable WANCTL_ROUTER_PASSWORD",
    );
    let (variable, file) = (section.text("password_env"), section.text("password_file"));
    if section.has("password_env") && section.has("password_file") {
        section.fault("password_env", Problem::Both("password_env", "password_file"));
    }
    let (key, secret) = match (context.env(PASSWORD_VARIABLE).filter(|text| !text.is_empty()), variable, file) {
        (Some(secret), ..) => ("password_env", secret),
        (None, None, Some(name)) => ("password_file", from_file(section, "password_file", &context.path(&name))?),
        (None, variable, _) => {
            let key = if variable.is_some() { "password_env" } else { "password_file" };
            let name = variable.as_deref().unwrap_or(PASSWORD_VARIABLE);
            let secret = context.env(name);
            // One complaint is enough when another key about the password is wrong already.
            let explained = ["password", "password_file"].iter().any(|k| section.peek(k).is_some())
                || (variable.is_none() && section.has("password_env"));
            if secret.is_none() && !explained {
                section.fault(key, Problem::NoPassword(name.to_owned()));
            }
            (key, secret?)
        }
    };
    let secret = secret.trim_end_matches(['\r', '\n']).to_owned();
    if secret.is_empty() {
        section.fault(key, Problem::EmptySecret);
        return None;
    }
    Some(Secret(secret))
}

/// The text of a file with a secret; a warning when others can read it.
pub(super) fn from_file(section: &Section<'_, '_>, key: &'static str, path: &Path) -> Option<String> {
    match std::fs::read_to_string(path) {
        Ok(text) => {
            let mode = std::fs::metadata(path).map_or(0, |m| m.permissions().mode()) & 0o777;
            if mode & 0o077 != 0 {
                section.warn(key, Problem::Readable { path: path.to_owned(), mode });
            }
            Some(text)
        }
        Err(error) => {
            section.fault(key, Problem::unreadable(path, &error));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_explicit() {
        let url = |text| Url::parse(text).map(|u| (u.host, u.port, u.tls));
        assert_eq!(url("https://192.168.88.1"), Some(("192.168.88.1".into(), 443, true)));
        assert_eq!(url("http://10.0.0.1:8080/"), Some(("10.0.0.1".into(), 8080, false)));
        assert_eq!(url("https://[fd00::1]:8443"), Some(("fd00::1".into(), 8443, true)));
        for bad in [
            "192.168.88.1",
            "ftp://x",
            "https://",
            "https://a b",
            "https://x:0",
            "https://x/rest",
            "https://[::1",
            "https://300.1.1.1",
            "https://[zz]",
            "https://a:b@c",
        ] {
            assert_eq!(url(bad), None, "{bad}");
        }
        assert_eq!(Url::parse("https://[fd00::1]:8443").unwrap().host_header(), "[fd00::1]:8443");
    }

    #[test]
    fn fingerprints_with_and_without_colons() {
        let hex = "ab".repeat(32);
        assert_eq!(parse_fingerprint(&hex), Some([0xab; 32]));
        assert_eq!(parse_fingerprint(&vec!["AB"; 32].join(":")), Some([0xab; 32]));
        assert_eq!(parse_fingerprint("ab"), None);
        assert_eq!(parse_fingerprint(&"zz".repeat(32)), None);
    }
}

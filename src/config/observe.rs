//! `[observe]`: who may look in, and what is kept to look at.

use super::fault::Problem;
use super::read::{Context, Section};
use super::router::{Secret, from_file};
use crate::observe::Depth;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Where the endpoint listens unless told otherwise.
const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9178);

/// A token may also come from this environment variable.
const TOKEN_VARIABLE: &str = "WANCTL_OBSERVE_TOKEN";

/// Shortest token.
const TOKEN_LEAST: usize = 16;

/// What can be seen of the daemon, and by whom.
#[derive(Clone, Debug, PartialEq)]
pub struct Observe {
    /// Where the endpoint listens; `None`: nowhere.
    pub listen: Option<SocketAddr>,
    /// What a client has to show, except for `/health` and `/ready`.
    pub token: Option<Secret>,
    /// How much history is kept.
    pub history: Depth,
}

pub(super) fn read(context: &Context<'_>, section: &Section<'_, '_>) -> Observe {
    let right = "an address and a port, such as \"127.0.0.1:9178\" or \"[::1]:9178\", or \"off\"";
    let listen = match section.text("listen") {
        None => Some(LISTEN),
        Some(text) if text == "off" => None,
        Some(text) => {
            let at = text.parse::<SocketAddr>().ok().filter(|at| at.port() > 0);
            if at.is_none() {
                section.fault("listen", Problem::not_a(right));
            }
            at
        }
    };
    section.misplaced(
        "token",
        "secrets do not belong into this file: use token_file = \"/etc/wanctl/token\" (mode 0600) or the environment \
         variable WANCTL_OBSERVE_TOKEN",
    );
    let token = token(context, section);
    if token.is_none() && !section.has("token_file") && listen.is_some_and(|at| !at.ip().is_loopback()) {
        section.warn("listen", Problem::OpenToAll);
    }
    let depths = [("off", Depth::Off), ("small", Depth::Small), ("full", Depth::Full)];
    let history = section.one_of("history", &depths).unwrap_or_default();
    section.finish();
    Observe { listen, token, history }
}

fn token(context: &Context<'_>, section: &Section<'_, '_>) -> Option<Secret> {
    let file = section.text("token_file");
    let text = match (context.env(TOKEN_VARIABLE).filter(|text| !text.is_empty()), file) {
        (Some(text), _) => text,
        // Nobody listens where a recording is replayed.
        (None, Some(_)) if context.authorities.is_some() => return None,
        (None, Some(name)) => from_file(section, "token_file", &context.path(&name))?,
        (None, None) => return None,
    };
    let text = text.trim_end_matches(['\r', '\n']);
    let fine = text.len() >= TOKEN_LEAST && text.bytes().all(|b| b.is_ascii_graphic());
    if !fine {
        section.fault("token_file", Problem::not_a("at least 16 visible ASCII characters (openssl rand -hex 16)"));
    }
    fine.then(|| Secret::new(text))
}

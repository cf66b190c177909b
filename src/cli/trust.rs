//! `wanctl trust`: the router's certificate, how to compare it, and the line that pins it.

use super::machine::Machine;
use super::{Exit, bad_config};
use crate::config::{self, Trust, Url};
use crate::types::Fingerprint;
use std::path::Path;

pub(super) fn main(path: &Path) -> Exit {
    let (url, trust) = match config::load_unknown(path, &|name| std::env::var(name).ok()) {
        Ok(address) => address,
        Err(faults) => return bad_config(&faults),
    };
    if !url.tls {
        eprintln!("error: router.url is {url}: plain http shows no certificate. Use https");
        return Exit::BadConfig;
    }
    let seen = match seen(&url) {
        Ok(seen) => seen,
        Err(exit) => return exit,
    };
    let shown = Fingerprint(&seen);
    match trust {
        Some(Trust::Fingerprint(pinned)) if pinned == seen => {
            eprintln!("{} pins this certificate already:", path.display());
        }
        Some(Trust::Fingerprint(pinned)) => {
            eprintln!("WARNING: {} pins another one: {}.", path.display(), Fingerprint(&pinned));
            eprintln!(
                "If you have not given the router a new certificate, somebody else is answering. If you have, the"
            );
            eprintln!("new line in section [router] is:");
        }
        Some(trusted @ (Trust::Authorities(_) | Trust::Public)) => {
            let whom = if trusted == Trust::Public { "public authorities" } else { "router.ca_file" };
            eprintln!("{} trusts {whom}; to trust this one certificate instead, replace it by:", path.display());
        }
        Some(Trust::Plain) | None => eprintln!("If they are the same, put this line into section [router]:"),
    }
    println!("fingerprint = \"{shown}\"");
    Exit::Ok
}

/// The fingerprint of the certificate at `url`, with what to compare it to on standard error.
pub(super) fn show(url: &Url) -> Result<String, Exit> {
    seen(url).map(|seen| Fingerprint(&seen).to_string())
}

fn seen(url: &Url) -> Result<[u8; 32], Exit> {
    let seen = Machine::certificate(url).map_err(|why| {
        eprintln!("error: {url}: {why}");
        eprintln!(
            "On the router, www-ssl must be enabled and have a certificate: /ip service print detail where name=www-ssl"
        );
        Exit::Failed
    })?;
    let shown = Fingerprint(&seen);
    eprintln!("{url} shows a certificate with this SHA-256 fingerprint:\n\n  {shown}\n");
    eprintln!(
        "Nothing was sent to it, and nothing proves yet that it is your router. On the router's console (Winbox,"
    );
    eprintln!("serial, or from a network you trust) compare it with the fingerprint of the certificate of www-ssl:\n");
    eprintln!("  /certificate print detail where fingerprint=\"{shown}\"");
    eprintln!("  /ip service print detail where name=www-ssl\n");
    Ok(seen)
}

//! `wanctl version`: what this program is and what it was built from.

use super::Exit;
use serde::Serialize;
use std::io::Write as _;

/// What `version --json` prints; part of the interface, so members are only ever added.
#[derive(Serialize)]
struct Version {
    version: &'static str,
    /// The full hash of the commit; none unless built by `make dist`, which alone can vouch for it. It ends in `-dirty`
    /// when there were changes besides.
    commit: Option<&'static str>,
    /// Rust's name of the machine it is for.
    target: &'static str,
    features: &'static [&'static str],
}

const THIS: Version = Version {
    version: env!("CARGO_PKG_VERSION"),
    commit: option_env!("WANCTL_COMMIT"),
    target: env!("WANCTL_TARGET"),
    features: match (cfg!(feature = "sim"), cfg!(feature = "roots")) {
        (true, true) => &["roots", "sim"],
        (true, false) => &["sim"],
        (false, true) => &["roots"],
        (false, false) => &[],
    },
};

pub(super) fn main(json: bool) -> Exit {
    let Version { version, commit, target, features } = THIS;
    let text = if json {
        serde_json::to_string(&THIS).unwrap_or_default()
    } else {
        let commit = commit.unwrap_or("unknown");
        let features = if features.is_empty() { "none".to_owned() } else { features.join(", ") };
        format!("wanctl {version}\ncommit    {commit}\ntarget    {target}\nfeatures  {features}")
    };
    match writeln!(std::io::stdout(), "{text}") {
        Ok(()) => Exit::Ok,
        Err(_) => Exit::Failed,
    }
}

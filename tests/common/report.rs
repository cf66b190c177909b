//! Figures from the report that SIGUSR1 gives.

/// The number that last stands before `what` in the log.
pub fn number_before(log: &str, what: &str) -> Option<u64> {
    let end = log.rfind(what)?;
    log[..end].rsplit(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

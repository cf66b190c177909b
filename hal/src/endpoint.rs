//! What a board knows of its local endpoint, where people and other programs look in.

use core::fmt;

/// Most clients at a time. A further one waits in the kernel until a place is free.
pub const CLIENTS: usize = 8;

/// Why nothing listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenError {
    /// Another program has the port.
    InUse,
    /// The address is not one of this machine's.
    NotOurs,
    /// A port below 1024 needs a right that the program does not have.
    Forbidden,
    /// Anything else, by its number.
    Os(i32),
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse => f.write_str("another program listens there already; choose another port"),
            Self::NotOurs => f.write_str("it is not an address of this machine (see `ip address`)"),
            Self::Forbidden => {
                f.write_str("ports below 1024 need a right that wanctl does not have; choose a higher one")
            }
            Self::Os(errno) => write!(f, "{}", std::io::Error::from_raw_os_error(*errno)),
        }
    }
}

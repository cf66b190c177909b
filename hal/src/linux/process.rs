//! What the process may do, and how urgent it is: another user, real-time priority, memory that
//! stays in memory.

use core::ffi::{c_int, c_ulong};
use core::fmt;
use std::io;

const CAP_NET_ADMIN: u32 = 12;
const CAP_NET_RAW: u32 = 13;

/// The version of the structures below: capabilities of 64 bits in two halves.
const CAPABILITY_VERSION: u32 = 0x2008_0522;

/// A user and its group, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct User {
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
}

impl User {
    /// The user of this name in `/etc/passwd`, or with these numbers (`65534`, `65534:65534`).
    #[must_use]
    pub fn find(text: &str) -> Option<Self> {
        let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        Self::find_in(&passwd, text)
    }

    fn find_in(passwd: &str, text: &str) -> Option<Self> {
        let (first, second) = text.split_once(':').map_or((text, text), |pair| pair);
        if let (Ok(uid), Ok(gid)) = (first.parse(), second.parse()) {
            return Some(Self { uid, gid });
        }
        let mut fields = passwd.lines().map(|line| line.split(':')).find(|f| f.clone().next() == Some(text))?.skip(2);
        Some(Self { uid: fields.next()?.parse().ok()?, gid: fields.next()?.parse().ok()? })
    }
}

/// What could not be done, and why.
#[derive(Debug)]
pub struct Refused {
    what: &'static str,
    error: io::Error,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.error)
    }
}

fn check(what: &'static str, result: libc::c_long) -> Result<(), Refused> {
    if result < 0 { Err(Refused { what, error: io::Error::last_os_error() }) } else { Ok(()) }
}

/// Whether this process is root's.
#[must_use]
pub fn is_root() -> bool {
    // SAFETY: a plain system call without arguments, which can't fail.
    unsafe { libc::geteuid() == 0 }
}

#[repr(C)]
struct CapabilityHeader {
    version: u32,
    pid: c_int,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Capabilities {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// Becomes this user for good, and keeps of root's rights that to open raw sockets (and to mark
/// packets, if `marks`), as far as it was there. For a process with one thread.
///
/// # Errors
/// [`Refused`]; some of it may have been done.
pub fn become_user(user: User, marks: bool) -> Result<(), Refused> {
    let flag = |what, option, value: c_ulong| {
        let zero: c_ulong = 0;
        // SAFETY: these options take plain numbers, and touch this process only.
        check(what, unsafe { libc::prctl(option, value, zero, zero, zero) }.into())
    };
    flag("PR_SET_KEEPCAPS", libc::PR_SET_KEEPCAPS, 1)?;
    // SAFETY: no group is passed, so no pointer is read; then plain numbers.
    unsafe {
        check("setgroups", libc::setgroups(0, core::ptr::null()).into())?;
        check("setgid", libc::setresgid(user.gid, user.gid, user.gid).into())?;
        check("setuid", libc::setresuid(user.uid, user.uid, user.uid).into())?;
    }
    flag("PR_SET_KEEPCAPS", libc::PR_SET_KEEPCAPS, 0)?;
    let mut header = CapabilityHeader { version: CAPABILITY_VERSION, pid: 0 };
    let mut halves = [Capabilities::default(); 2];
    // SAFETY: the header is valid and of a version with two halves, for which there is room.
    check("capget", unsafe { libc::syscall(libc::SYS_capget, &raw mut header, halves.as_mut_ptr()) })?;
    let keep = (1 << CAP_NET_RAW) | if marks { 1 << CAP_NET_ADMIN } else { 0 };
    let left = halves[0].permitted & keep;
    let halves = [Capabilities { effective: left, permitted: left, inheritable: 0 }, Capabilities::default()];
    // SAFETY: as above; nothing is written to the halves.
    check("capset", unsafe { libc::syscall(libc::SYS_capset, &raw mut header, halves.as_ptr()) })?;
    flag("PR_SET_NO_NEW_PRIVS", libc::PR_SET_NO_NEW_PRIVS, 1)
}

/// Goes before everything else on the machine that is not more urgent (`SCHED_FIFO`): priority 1
/// to 99.
///
/// # Errors
/// [`Refused`], above all without `CAP_SYS_NICE` or `LimitRTPRIO`.
pub fn set_realtime(priority: u8) -> Result<(), Refused> {
    let priority = c_int::from(priority);
    // The system call itself, because musl's function does nothing. A child is an ordinary process.
    let policy = libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK;
    // SAFETY: the kernel reads one int, which outlives the call; 0 is this process.
    let result = unsafe { libc::syscall(libc::SYS_sched_setscheduler, 0, policy, &raw const priority) };
    check("sched_setscheduler", result)
}

/// What is in memory now stays there. (What comes later need not: a limit on locked memory would
/// become a limit on memory.)
///
/// # Errors
/// [`Refused`], above all without `CAP_IPC_LOCK` and with a low `LimitMEMLOCK`.
pub fn lock_memory() -> Result<(), Refused> {
    // SAFETY: a plain number.
    check("mlockall", unsafe { libc::mlockall(libc::MCL_CURRENT) }.into())
}

/// Becomes this program anew, with these arguments and the same environment; returns only when that
/// can't be done. (The standard library's way is 40 kB larger.)
pub fn start_anew(arguments: &[&std::ffi::OsStr]) -> io::Error {
    use std::os::unix::ffi::OsStrExt as _;
    let texts = core::iter::once(std::ffi::OsStr::new("wanctl")).chain(arguments.iter().copied());
    let Ok(texts) = texts.map(|text| std::ffi::CString::new(text.as_bytes())).collect::<Result<Vec<_>, _>>() else {
        return io::ErrorKind::InvalidInput.into();
    };
    let pointers: Vec<_> = texts.iter().map(|text| text.as_ptr()).chain([core::ptr::null()]).collect();
    // SAFETY: both are strings that end with a zero; the array ends with a null pointer; all of them live
    // until the call, which does not return unless it fails.
    unsafe { libc::execv(c"/proc/self/exe".as_ptr(), pointers.as_ptr()) };
    io::Error::last_os_error()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_found_by_name_or_number() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:100:n:/:/bin/false\nodd:x:y:z\n";
        let user = |uid, gid| Some(User { uid, gid });
        for (text, found) in [
            ("nobody", user(65_534, 100)),
            ("65534", user(65_534, 65_534)),
            ("1000:7", user(1000, 7)),
            ("odd", None),
            ("nobod", None),
            ("", None),
            ("1000:x", None),
            ("-1", None),
        ] {
            assert_eq!(User::find_in(passwd, text), found, "{text}");
        }
    }
}

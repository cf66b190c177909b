//! Bytes as a script. Inputs are cut at every `0xFF` (which is in no text) into steps of an
//! operation, an argument and a payload, so that a fuzzer that copies, cuts and splices bytes
//! copies, cuts and splices steps, and that a person can write them with `printf`.

use wanctl::types::Duration;

/// Ends a step.
const SEPARATOR: u8 = 0xFF;

/// One step of a script.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    /// What to do.
    pub what: u8,
    /// How.
    pub how: u8,
    /// With what.
    pub payload: &'a [u8],
}

/// The first `most` steps of a script.
pub fn steps(data: &[u8], most: usize) -> impl Iterator<Item = Step<'_>> {
    data.split(|&b| b == SEPARATOR).take(most).map(|piece| Step {
        what: piece.first().copied().unwrap_or(0),
        how: piece.get(1).copied().unwrap_or(0),
        payload: piece.get(2..).unwrap_or(&[]),
    })
}

/// A time span: from a microsecond to some 12 days, each step of `how` a tenth longer.
pub fn span(how: u8) -> Duration {
    Duration::from_secs_f64(1e-6 * 1.115_f64.powi(i32::from(how)))
}

/// `data` in pieces of `1 + how` bytes, or, for an odd `how`, of changing sizes up to that.
pub fn pieces(data: &[u8], how: u8) -> impl Iterator<Item = &[u8]> {
    let most = usize::from(how) + 1;
    let mut rest = data;
    let mut random = u32::from(how);
    core::iter::from_fn(move || {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let size = if how.is_multiple_of(2) { most } else { 1 + (random >> 16) as usize % most };
        let piece = rest.get(..size.min(rest.len())).filter(|p| !p.is_empty())?;
        rest = &rest[piece.len()..];
        Some(piece)
    })
}

/// Up to eight bytes of `payload` from `at` on, as a number; what is missing is zero.
pub fn number(payload: &[u8], at: usize) -> u64 {
    let mut bytes = [0; 8];
    for (to, from) in bytes.iter_mut().zip(payload.iter().skip(at)) {
        *to = *from;
    }
    u64::from_le_bytes(bytes)
}

/// CRC-32 of IEEE 802.3, written a second time.
pub fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { 0xEDB8_8320 ^ (crc >> 1) } else { crc >> 1 };
        }
    }
    !crc
}

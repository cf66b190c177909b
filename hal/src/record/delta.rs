//! Messages that are nearly like earlier ones: the router's statistics differ from the last ones
//! in a few digits. A message is written as pieces copied from an earlier one and pieces of its
//! own. Bounded work, no allocation once the memory has its size.

use super::plain::{Code, Input};

/// How many earlier messages are remembered: requests and answers are of fewer kinds.
const SLOTS: usize = 6;

/// So many equal bytes mean that two messages run in step again.
const IN_STEP: usize = 6;

/// How far is looked for that.
const FAR: usize = 64;

/// After so many pieces the rest is taken as it is: whatever the router says, the work is bounded.
const PIECES: usize = 64;

/// Longest message that is remembered; what is longer is rare.
const LONGEST: usize = 4096;

/// What was written (or read) before.
#[derive(Debug)]
pub(super) struct Memory {
    slots: [Vec<u8>; SLOTS],
    oldest: usize,
}

impl Default for Memory {
    fn default() -> Self {
        Self { slots: core::array::from_fn(|_| Vec::with_capacity(LONGEST)), oldest: 0 }
    }
}

impl Memory {
    /// Which earlier message this one is compared with: the one that begins and ends most like
    /// it; and which one it replaces: the same if it is of the same kind, else the oldest.
    fn choose(&mut self, message: &[u8]) -> (usize, usize) {
        let alike = |old: &Vec<u8>| {
            let ahead = message.iter().zip(old).take_while(|(a, b)| a == b).count();
            ahead + message.iter().rev().zip(old.iter().rev()).take_while(|(a, b)| a == b).count()
        };
        let (from, alike) = self.slots.iter().map(alike).enumerate().max_by_key(|(_, alike)| *alike).unwrap_or((0, 0));
        if alike * 2 >= message.len() {
            return (from, from);
        }
        self.oldest = (self.oldest + 1) % SLOTS;
        (from, self.oldest)
    }

    fn remember(&mut self, slot: usize, message: &[u8]) {
        self.slots[slot].clear();
        self.slots[slot].extend_from_slice(&message[..message.len().min(LONGEST)]);
    }

    pub(super) fn write(&mut self, message: &[u8], out: &mut Vec<u8>) {
        let (from, into) = self.choose(message);
        (message.len(), from + SLOTS * into, ()).put(out);
        let old = &self.slots[from];
        let (mut i, mut j, mut pieces) = (0, 0, 0);
        while i < message.len() {
            let copied = message[i..].iter().zip(&old[j..]).take_while(|(a, b)| a == b).count();
            (i, j) = (i + copied, j + copied);
            pieces += 1;
            let far = if pieces < PIECES { FAR } else { 0 };
            let (own, skipped) = in_step(&message[i..], &old[j..], far);
            (copied, skipped, own).put(out);
            out.extend_from_slice(&message[i..i + own]);
            (i, j) = (i + own, j + skipped);
        }
        self.remember(into, message);
    }

    pub(super) fn read(&mut self, input: &mut Input<'_>) -> Option<Vec<u8>> {
        let (length, slots, ()) = <(usize, usize, ())>::take(input)?;
        let (from, into) = (slots % SLOTS, slots / SLOTS);
        let old = self.slots.get(from).filter(|_| into < SLOTS)?;
        let (mut message, mut j) = (Vec::new(), 0_usize);
        while message.len() < length {
            let (copied, skipped, own) = <(usize, usize, usize)>::take(input)?;
            message.extend_from_slice(old.get(j..j.checked_add(copied)?)?);
            message.extend_from_slice(input.bytes(own)?);
            j = j.checked_add(copied)?.checked_add(skipped)?;
        }
        self.remember(into, &message);
        (message.len() == length).then_some(message)
    }
}

/// How many bytes of the new message, and of the old one, lie before the next place where they
/// run in step: the nearest one. All of the new one when there is none near.
fn in_step(new: &[u8], old: &[u8], far: usize) -> (usize, usize) {
    for distance in 1..far {
        for own in 0..=distance {
            let skipped = distance - own;
            if let (Some(a), Some(b)) = (new.get(own..own + IN_STEP), old.get(skipped..skipped + IN_STEP))
                && a == b
            {
                return (own, skipped);
            }
        }
    }
    (new.len(), 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn there_and_back(messages: &[Vec<u8>]) -> usize {
        let (mut written, mut read, mut bytes) = (Memory::default(), Memory::default(), Vec::new());
        messages.iter().for_each(|message| written.write(message, &mut bytes));
        let mut input = Input::at(&bytes, 0);
        for message in messages {
            assert_eq!(read.read(&mut input).as_deref(), Some(&message[..]));
        }
        assert_eq!(input.position(), bytes.len());
        bytes.len()
    }

    #[test]
    fn statistics_take_a_tenth() {
        let answer = |i: u64| {
            let body = format!(
                "[{{\".id\":\"*1\",\"name\":\"dl\",\"max-limit\":\"30000000\",\"bytes\":\"{}\",\"dropped\":\"{}\"}},\
                 {{\".id\":\"*2\",\"name\":\"ul\",\"max-limit\":\"9000000\",\"bytes\":\"{}\",\"dropped\":\"0\"}}]",
                99_000 + i * 123_456,
                i / 3,
                i * 7_000
            );
            let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Frame-Options: sameorigin\r\n";
            format!("{head}Date: Mon, 23 Nov 2026 00:00:{:02} GMT\r\n\r\n{body}", i % 60).into_bytes()
        };
        let messages: Vec<Vec<u8>> = (0..100).map(answer).collect();
        let plain: usize = messages.iter().map(Vec::len).sum();
        let coded = there_and_back(&messages);
        assert!(coded * 5 < plain, "{coded} of {plain}");
    }

    proptest! {
        #[test]
        fn any_messages_come_back(
            messages in prop::collection::vec(prop::collection::vec(0_u8..4, 0..300), 0..12),
            long in prop::collection::vec(any::<u8>(), 0..6000),
        ) {
            let twice = [messages.clone(), vec![long.clone()], messages, vec![long]].concat();
            there_and_back(&twice);
        }

        #[test]
        fn any_bytes_are_read_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut memory = Memory::default();
            let mut input = Input::at(&bytes, 0);
            while memory.read(&mut input).is_some() {}
        }
    }
}

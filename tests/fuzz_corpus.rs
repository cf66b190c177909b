//! The fuzz targets over every kept input, and over a few thousand mutations of them. What the
//! fuzzer looks for over hours (`make fuzz`), this looks for in seconds, with the same code.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "fuzz/src/lib.rs"]
mod targets;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use targets::TARGETS;
use wanctl_hal::sim::Rng;

/// Mutated inputs per target.
const MUTATIONS: u64 = 2_000;

/// Longest mutated input.
const LONGEST: usize = 8_192;

/// The kept inputs of a target, by name.
fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(target);
    let entries = std::fs::read_dir(&directory).unwrap_or_else(|e| panic!("{}: {e}", directory.display()));
    let mut inputs: Vec<(String, Vec<u8>)> = entries
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap()))
        .collect();
    inputs.sort();
    inputs
}

/// Runs a target over inputs up to the first that breaks a promise, and names that one, so that it
/// can be kept.
fn first_fault(name: &str, run: fn(&[u8]), inputs: impl Iterator<Item = (String, Vec<u8>)>) -> Option<String> {
    inputs
        .map(|(origin, input)| (origin, catch_unwind(AssertUnwindSafe(|| run(&input))), input))
        .find(|(_, result, _)| result.is_err())
        .map(|(origin, _, input)| format!("{name}, {origin}: b\"{}\"", input.escape_ascii()))
}

#[test]
fn every_kept_input_keeps_every_promise() {
    let faults = TARGETS.iter().filter_map(|(name, run)| {
        let inputs = corpus(name);
        assert!(inputs.len() >= 5, "{name} has {} inputs", inputs.len());
        first_fault(name, *run, inputs.into_iter())
    });
    let faults: Vec<String> = faults.collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn so_do_mutations_of_them() {
    let faults = TARGETS.iter().filter_map(|(name, run)| {
        let inputs: Vec<Vec<u8>> = corpus(name).into_iter().map(|(_, input)| input).collect();
        first_fault(name, *run, (0..MUTATIONS).map(|seed| (format!("mutation {seed}"), mutated(&inputs, seed))))
    });
    let faults: Vec<String> = faults.collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

fn below(rng: &mut Rng, bound: usize) -> usize {
    usize::try_from(rng.bits() % bound.max(1) as u64).unwrap()
}

/// One kept input after up to six changes: what a fuzzer does most.
fn mutated(inputs: &[Vec<u8>], seed: u64) -> Vec<u8> {
    let rng = &mut Rng::new(seed);
    let mut data = inputs[below(rng, inputs.len())].clone();
    for _ in 0..=below(rng, 6) {
        let at = below(rng, data.len() + 1);
        let end = (at + below(rng, 32)).min(data.len());
        let other = &inputs[below(rng, inputs.len())];
        match below(rng, 7) {
            0 if at < data.len() => data[at] ^= 1 << below(rng, 8),
            1 if at < data.len() => data[at] = rng.bits().to_le_bytes()[0],
            2 => data.insert(at, rng.bits().to_le_bytes()[0]),
            3 => drop(data.drain(at..end)),
            4 => {
                let piece = data[at..end].to_vec();
                data.splice(at..at, piece);
            }
            5 => {
                let from = below(rng, other.len() + 1);
                data.truncate(at);
                data.extend_from_slice(&other[from..]);
            }
            _ => {
                let script = [&[0xFF], &other[..below(rng, other.len() + 1)]].concat();
                data.splice(at..at, script);
            }
        }
    }
    data.truncate(LONGEST);
    data
}

//! Every seed through its target, as it is and changed at random: what can be had of fuzzing with stable Rust and no C++.
//!
//! `SEED=… CHANGES=… cargo test …` repeats a failure or looks longer.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::{env, fs};

use kora_fuzz::{Check, TARGETS};

#[test]
fn every_seed_passes() {
    for (target, check) in TARGETS {
        for (name, bytes) in seeds(target) {
            passes(check, &bytes, &format!("seeds/{target}/{name}"));
        }
    }
}

#[test]
fn every_seed_with_random_changes_passes() {
    let seed = number_from("SEED", 1);
    let changes = number_from("CHANGES", CHANGES);
    for (target, check) in TARGETS {
        let seeds = seeds(target);
        let mut random = Random(seed.max(1));
        for step in 0..changes {
            let mut bytes = random.of(&seeds).1.clone();
            for _ in 0..=random.below(4) {
                change(&mut bytes, &seeds, &mut random);
            }
            passes(check, &bytes, &format!("target {target}, SEED={seed}, step {step}"));
        }
    }
}

#[test]
fn every_folder_of_seeds_has_its_target() {
    let mut folders: Vec<String> = fs::read_dir(seeds_folder())
        .unwrap()
        .map(|folder| folder.unwrap().file_name().into_string().unwrap())
        .collect();
    folders.sort_unstable();
    assert_eq!(folders, TARGETS.map(|(target, _)| target));
}

fn passes(check: Check, bytes: &[u8], origin: &str) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| check(bytes))) {
        eprintln!("{origin}: b\"{}\"", bytes.escape_ascii());
        resume_unwind(panic);
    }
}

/// One change: a byte, a bit, a piece of another seed, a piece less, a piece twice.
fn change(bytes: &mut Vec<u8>, seeds: &[(String, Vec<u8>)], random: &mut Random) {
    let start = random.below(bytes.len() + 1);
    let end = start + random.below((bytes.len() - start).min(16) + 1);
    match random.below(5) {
        0 if start < bytes.len() => bytes[start] = random.next() as u8,
        1 if start < bytes.len() => bytes[start] ^= 1 << random.below(8),
        2 => {
            let other = &random.of(seeds).1;
            let from = random.below(other.len() + 1);
            let to = from + random.below((other.len() - from).min(16) + 1);
            bytes.splice(start..end, other[from..to].iter().copied());
        }
        3 => drop(bytes.drain(start..end)),
        _ => {
            let piece = bytes[start..end].to_vec();
            bytes.splice(start..start, piece);
        }
    }
    bytes.truncate(BYTES_MAX);
}

fn seeds(target: &str) -> Vec<(String, Vec<u8>)> {
    let mut seeds: Vec<(String, Vec<u8>)> = fs::read_dir(seeds_folder().join(target))
        .unwrap()
        .map(|file| file.unwrap().path())
        .map(|path| {
            (
                path.file_name().unwrap().to_string_lossy().into_owned(),
                fs::read(&path).unwrap(),
            )
        })
        .collect();
    // Folders are listed in any order; a SEED must mean the same everywhere.
    seeds.sort_unstable();
    assert!(!seeds.is_empty(), "seeds/{target} is empty");
    seeds
}

fn seeds_folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/seeds"))
}

fn number_from(name: &str, default: u64) -> u64 {
    env::var(name).map_or(default, |text| {
        text.parse().unwrap_or_else(|_| panic!("{name} is a number"))
    })
}

/// xorshift64: small, and the same on every platform.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn of<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }
}

/// Changed inputs a target: about a second in all.
const CHANGES: u64 = 50_000;

/// An input grows with its changes up to here.
const BYTES_MAX: usize = 4_096;

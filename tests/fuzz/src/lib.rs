//! Fuzz targets: functions which take any bytes and panic if something that must always hold does not.
//!
//! | | needs | what |
//! |---|---|---|
//! | `tests/fuzz/run 8` | Rust, a C++ compiler | 8 seconds of each target with libFuzzer, guided by coverage: a part of `tests/run` |
//! | `tests/fuzz/run 3600 reader` | the same | an hour of one target |
//! | `cargo test --manifest-path tests/fuzz/Cargo.toml --no-default-features` | Rust | every seed, and each with random changes |
//!
//! A failing input is written to `artifacts/<target>/`; `run` prints how to replay it, and once the bug is found it belongs
//! in `seeds/<target>/`. What libFuzzer learns stays in `target/corpus/`, so that a later run goes on from there.
//!
//! A new target is a module here with its line in [`TARGETS`], a file in `fuzz_targets/`, its `[[bin]]` and a folder of
//! seeds.

#![forbid(unsafe_code)]

pub mod acl;
pub mod command;
pub mod config;
pub mod files;
pub mod glob;
pub mod number;
pub mod reader;

/// A function that takes any bytes and panics if it finds a bug.
pub type Check = fn(&[u8]);

/// Every target by the name of its folder of seeds.
pub const TARGETS: [(&str, Check); 7] = [
    ("acl", acl::check),
    ("command", command::check),
    ("config", config::check),
    ("files", files::check),
    ("glob", glob::check),
    ("number", number::check),
    ("reader", reader::check),
];

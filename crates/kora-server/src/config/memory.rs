//! How much of the machine's memory clients may hold, and how much of its replies one of them may leave lying.

use std::fmt;
use std::fs;
use std::str::FromStr;

use rustix::process::{Resource, getrlimit};

use crate::control_group;

use super::error::BadValue;
use super::value::MemorySize;

/// Memory for what clients hold: requests that are not answered, and replies that they have not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientMemory {
    /// A quarter of the machine's memory or 256 MiB, whichever is less.
    Automatic,
    /// So many bytes.
    Bytes(MemorySize<CLIENT_BYTES_MIN, CLIENT_BYTES_MAX>),
    /// A share of the machine's memory. Invariant: 1 to 90.
    Percent(u8),
}

impl ClientMemory {
    /// The bytes that all clients together may hold on this machine.
    pub fn bytes(self) -> u64 {
        let share = |percent: u64| (machine_bytes() / 100 * percent).max(CLIENT_BYTES_MIN);
        match self {
            Self::Automatic => share(25).min(AUTOMATIC_BYTES_MAX),
            Self::Bytes(size) => size.bytes(),
            Self::Percent(percent) => share(u64::from(percent)),
        }
    }
}

impl FromStr for ClientMemory {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        if text.eq_ignore_ascii_case("auto") {
            return Ok(Self::Automatic);
        }
        if let Some(percent) = text.strip_suffix('%') {
            let percent = percent.parse().ok().filter(|percent| (1..=90).contains(percent));
            return percent
                .map(Self::Percent)
                .ok_or_else(|| BadValue::new(text, "auto, 1% to 90%, or an amount of memory"));
        }
        text.parse().map(Self::Bytes)
    }
}

impl fmt::Display for ClientMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Automatic => f.write_str("auto"),
            Self::Bytes(size) => size.fmt(f),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

/// When clients that do not take what they are sent are dropped, in Redis's form: a class, then its limits; classes that
/// are not named keep their defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputLimits {
    /// Of ordinary clients.
    pub normal: OutputLimit,
    /// Of clients that subscribe to something.
    pub pubsub: OutputLimit,
}

impl Default for OutputLimits {
    /// Redis's own.
    fn default() -> Self {
        Self {
            normal: OutputLimit::default(),
            pubsub: OutputLimit {
                hard_bytes: 32 << 20,
                soft_bytes: 8 << 20,
                soft_seconds: 60,
            },
        }
    }
}

/// When a client is dropped that does not take what it is sent: `<hard> <soft> <seconds>`. Zero is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutputLimit {
    /// It is dropped as soon as more bytes than this wait for it.
    pub hard_bytes: u64,
    /// It is dropped when more bytes than this have waited for `soft_seconds`.
    pub soft_bytes: u64,
    /// See `soft_bytes`.
    pub soft_seconds: u64,
}

impl FromStr for OutputLimits {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        let wrong = || {
            BadValue::new(
                text,
                "normal or pubsub with <hard> <soft> <seconds>, each 0 or an amount, as `normal 0 0 0 pubsub 32mb 8mb 60`",
            )
        };
        let size = |word: &str| {
            word.parse::<MemorySize<0, CLIENT_BYTES_MAX>>()
                .map(MemorySize::bytes)
                .map_err(|_| wrong())
        };
        let mut limits = Self::default();
        let words: Vec<&str> = text.split_ascii_whitespace().collect();
        if words.is_empty() {
            return Err(wrong());
        }
        for class in words.chunks(4) {
            let &[name, hard, soft, seconds] = class else {
                return Err(wrong());
            };
            let limit = OutputLimit {
                hard_bytes: size(hard)?,
                soft_bytes: size(soft)?,
                soft_seconds: seconds.parse().map_err(|_| wrong())?,
            };
            match name.to_ascii_lowercase().as_str() {
                "normal" => limits.normal = limit,
                "pubsub" => limits.pubsub = limit,
                _ => return Err(wrong()),
            }
        }
        Ok(limits)
    }
}

impl fmt::Display for OutputLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "normal {} pubsub {}", self.normal, self.pubsub)
    }
}

impl fmt::Display for OutputLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.hard_bytes, self.soft_bytes, self.soft_seconds)
    }
}

/// The memory that this process may use: the machine's, its control group's or its address space, whichever is least.
pub(super) fn machine_bytes() -> u64 {
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let line = text.lines().find(|line| line.starts_with("MemTotal:"))?;
        let kib: u64 = line.split_ascii_whitespace().nth(1)?.parse().ok()?;
        Some(kib * 1024)
    });
    let group = control_group::memory_bytes_max().unwrap_or(u64::MAX);
    let addresses = address_bytes().unwrap_or(u64::MAX);
    machine.unwrap_or(UNKNOWN_MACHINE_BYTES).min(group).min(addresses)
}

/// The limit of this process's address space, if it has one.
pub(super) fn address_bytes() -> Option<u64> {
    getrlimit(Resource::As).current
}

/// Less could not hold one largest argument beside a few ordinary connections.
const CLIENT_BYTES_MIN: u64 = 8 << 20;

/// Beyond any machine we expect to meet.
const CLIENT_BYTES_MAX: u64 = 1 << 40;

/// Enough for deep pipelines on many connections; what is more is better used for data.
const AUTOMATIC_BYTES_MAX: u64 = 256 << 20;

/// Where the kernel does not say: small, so that the budget is on the safe side.
const UNKNOWN_MACHINE_BYTES: u64 = 1 << 30;

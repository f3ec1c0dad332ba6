//! The types of settings. Each reads itself from text, whichever source the text came from, and a refusal says what
//! would be right. Each prints the text that it reads.

use std::fmt;
use std::str::FromStr;

use kora_vector::Storage;

use super::error::BadValue;

/// A whole number from `MIN` to `MAX`, both allowed.
///
/// Invariant: the number is in its range; [`Number::new`] is the only way in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Number<T, const MIN: u64, const MAX: u64>(T);

impl<T: Copy + TryFrom<u64> + TryInto<u64>, const MIN: u64, const MAX: u64> Number<T, MIN, MAX> {
    /// The number, if it is in the range.
    pub fn new(number: T) -> Option<Self> {
        let wide: u64 = number.try_into().ok()?;
        (MIN..=MAX).contains(&wide).then_some(Self(number))
    }

    /// A number of this program's own; a default outside its own range is a bug.
    pub(crate) fn constant(number: T) -> Self {
        Self::new(number).expect("the program's own numbers are in their ranges")
    }

    /// The number.
    pub fn get(self) -> T {
        self.0
    }
}

impl<T: Copy + TryFrom<u64> + TryInto<u64>, const MIN: u64, const MAX: u64> FromStr for Number<T, MIN, MAX> {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        let refusal = || BadValue::new(text, format!("a whole number from {MIN} to {MAX}"));
        let wide: u64 = text.parse().map_err(|_| refusal())?;
        T::try_from(wide).ok().and_then(Self::new).ok_or_else(refusal)
    }
}

impl<T: fmt::Display, const MIN: u64, const MAX: u64> fmt::Display for Number<T, MIN, MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An amount of memory from `MIN` to `MAX` bytes, written with Redis's units: `1k` is 1,000 bytes, `1kb` is 1,024, and
/// so on for m and g.
///
/// Invariant: the number is in its range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemorySize<const MIN: u64, const MAX: u64>(u64);

impl<const MIN: u64, const MAX: u64> MemorySize<MIN, MAX> {
    pub(crate) fn constant(bytes: u64) -> Self {
        assert!(
            (MIN..=MAX).contains(&bytes),
            "the program's own sizes are in their ranges"
        );
        Self(bytes)
    }

    /// The amount in bytes.
    pub fn bytes(self) -> u64 {
        self.0
    }
}

impl<const MIN: u64, const MAX: u64> FromStr for MemorySize<MIN, MAX> {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let factor = MEMORY_UNITS
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(unit))
            .map(|&(_, factor)| factor);
        let bytes = factor.and_then(|factor| number.parse::<u64>().ok()?.checked_mul(factor));
        bytes
            .filter(|bytes| (MIN..=MAX).contains(bytes))
            .map(Self)
            .ok_or_else(|| {
                let (least, most) = (MIN >> 20, MAX >> 20);
                BadValue::new(
                    text,
                    format!(
                        "an amount of memory from {least}mb to {most}mb, in bytes or with b, k, kb, m, mb, g or gb"
                    ),
                )
            })
    }
}

/// Bytes without a unit, as Redis answers CONFIG GET.
impl<const MIN: u64, const MAX: u64> fmt::Display for MemorySize<MIN, MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A password, or none. Kept out of every log: neither `Display` nor `Debug` shows it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Whether there is a password at all.
    pub fn is_set(&self) -> bool {
        !self.0.is_empty()
    }

    /// The password, if one is set.
    pub fn reveal(&self) -> Option<&str> {
        self.is_set().then_some(self.0.as_str())
    }
}

/// Every text is a password: a refusal would print it.
impl FromStr for Secret {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_set() { "***" } else { "" })
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// How the log is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For programs: a JSON object on each line.
    Json,
}

impl FromStr for LogFormat {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        match text.to_ascii_lowercase().as_str() {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(BadValue::new(text, "text or json")),
        }
    }
}

impl fmt::Display for LogFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::Json => "json",
        })
    }
}

/// How much is logged. Redis's words, and tracing's for the same levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// Everything there is.
    Trace,
    /// What a developer wants to see; `verbose` is the same.
    Debug,
    /// What an operator wants to see; `info` is the same.
    Notice,
    /// What should not be; `warn` is the same.
    Warning,
    /// What must not be.
    Error,
}

impl LogLevel {
    /// The level's name in tracing.
    pub fn tracing_name(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Notice => "info",
            Self::Warning => "warn",
            Self::Error => "error",
        }
    }
}

impl FromStr for LogLevel {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        match text.to_ascii_lowercase().as_str() {
            "trace" => Ok(Self::Trace),
            "debug" | "verbose" => Ok(Self::Debug),
            "notice" | "info" => Ok(Self::Notice),
            "warning" | "warn" => Ok(Self::Warning),
            "error" => Ok(Self::Error),
            _ => Err(BadValue::new(
                text,
                "trace, debug, verbose, notice (info), warning (warn) or error",
            )),
        }
    }
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// How often an idle worker looks around before it sleeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdleLaps {
    /// Decided at the start, see [`IdleLaps::count`].
    Automatic,
    /// This often, whatever the machine.
    Laps(u32),
}

impl IdleLaps {
    /// Laps to make when `workers` threads run on `cores` cores. With two workers on one core a lap delays the very
    /// thread that is waited for (measured: 56 µs instead of 6 µs for a round trip), so there are none then. Nor with one
    /// worker, which waits only for its clients: a GET on its own takes a tenth less of the processor then.
    pub fn count(self, workers: usize, cores: usize) -> u32 {
        match self {
            Self::Automatic if 1 < workers && workers <= cores => IDLE_LAPS_OWN_CORE,
            Self::Automatic => 0,
            Self::Laps(laps) => laps,
        }
    }
}

impl FromStr for IdleLaps {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        if text.eq_ignore_ascii_case("auto") {
            return Ok(Self::Automatic);
        }
        let laps = text.parse().ok().filter(|&laps| laps <= IDLE_LAPS_MAX).map(Self::Laps);
        laps.ok_or_else(|| BadValue::new(text, format!("auto, or a whole number from 0 to {IDLE_LAPS_MAX}")))
    }
}

impl fmt::Display for IdleLaps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Automatic => f.write_str("auto"),
            Self::Laps(laps) => laps.fmt(f),
        }
    }
}

/// Whether workers are pinned to cores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PinWorkers {
    /// If the process may use fewer cores than there are: the others were set aside for something else.
    Automatic,
    /// Each to one of the cores that the process may use.
    Yes,
    /// The system places them.
    No,
}

impl PinWorkers {
    /// Whether to pin, where the process may use so many of the machine's cores.
    pub fn applies(self, cores: usize, machine_cores: usize) -> bool {
        match self {
            Self::Automatic => cores < machine_cores,
            Self::Yes => true,
            Self::No => false,
        }
    }
}

impl FromStr for PinWorkers {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        match text.to_ascii_lowercase().as_str() {
            "auto" => Ok(Self::Automatic),
            "yes" => Ok(Self::Yes),
            "no" => Ok(Self::No),
            _ => Err(BadValue::new(text, "auto, yes or no")),
        }
    }
}

impl fmt::Display for PinWorkers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Automatic => "auto",
            Self::Yes => "yes",
            Self::No => "no",
        })
    }
}

/// What "near" means in a collection that a VECSET creates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VectorMetric {
    /// 1 − cosine similarity.
    Cosine,
    /// Euclidean distance.
    L2,
    /// Negative inner product.
    InnerProduct,
}

impl FromStr for VectorMetric {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        match text.to_ascii_lowercase().as_str() {
            "cosine" => Ok(Self::Cosine),
            "l2" => Ok(Self::L2),
            "ip" => Ok(Self::InnerProduct),
            _ => Err(BadValue::new(text, "cosine, l2 or ip")),
        }
    }
}

impl fmt::Display for VectorMetric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cosine => "cosine",
            Self::L2 => "l2",
            Self::InnerProduct => "ip",
        })
    }
}

/// In what form the vectors of a collection that a VECSET creates are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VectorQuant(pub Storage);

impl FromStr for VectorQuant {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        let storage = Storage::parse(text.as_bytes()).map(Self);
        storage.ok_or_else(|| BadValue::new(text, "f32, f16, q16 or q8"))
    }
}

impl fmt::Display for VectorQuant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.name().to_ascii_lowercase())
    }
}

/// Redis's `memtoull`, names in lower case.
const MEMORY_UNITS: [(&str, u64); 8] = [
    ("", 1),
    ("b", 1),
    ("k", 1_000),
    ("kb", 1 << 10),
    ("m", 1_000_000),
    ("mb", 1 << 20),
    ("g", 1_000_000_000),
    ("gb", 1 << 30),
];

/// Enough to meet a peer that answers at once: a round trip between workers takes 0.9 µs then instead of 12.7. A prototype
/// of two workers alone was fastest with 20. A server whose clients use the same cores is not: there a lap takes from
/// whoever is waited for. Measured with two workers, 0, 3, 8 and 20 laps, µs of processor time (and of the clock): a
/// VECQUERY of one client 162, 138, 151, 168 (195, 144, 175, 179), a GET of one client 44, 43, 46, 76 (74, 62, 55, 98); with
/// eight clients all are alike.
const IDLE_LAPS_OWN_CORE: u32 = 4;

/// 10,000 laps are about 4 ms of a core for each nap: beyond that a worker might as well never sleep.
const IDLE_LAPS_MAX: u32 = 10_000;

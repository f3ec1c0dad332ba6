//! When a key or a vector expires, as commands say it.

/// What a write does to the time at which a key expires.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lifetime {
    /// It never expires.
    Forever,
    /// As before.
    Keep,
    /// It expires then.
    Until(Deadline),
}

/// A point in time, as a client says it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Deadline {
    /// So many milliseconds from when the command is executed.
    In(i64),
    /// Milliseconds of Unix time.
    At(i64),
}

impl Deadline {
    /// In milliseconds of Unix time; what lies before it is at 0.
    pub fn at_ms(self, now_ms: u64) -> u64 {
        let at = match self {
            Deadline::At(at) => at,
            Deadline::In(ms) => i64::try_from(now_ms).unwrap_or(i64::MAX).saturating_add(ms),
        };
        u64::try_from(at).unwrap_or(0)
    }
}

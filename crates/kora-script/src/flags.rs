//! What scripts and functions say of themselves.

/// A set of flags, one bit each.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Flags(u8);

impl Flags {
    /// It writes nothing.
    pub const NO_WRITES: Flags = Flags(1);
    /// It may run when memory is short. A call that needs memory is refused all the same.
    pub const ALLOW_OOM: Flags = Flags(2);
    /// It may run on a replica that is behind.
    pub const ALLOW_STALE: Flags = Flags(4);
    /// It may not run in a cluster.
    pub const NO_CLUSTER: Flags = Flags(8);
    /// Its keys may have several slots.
    pub const ALLOW_CROSS_SLOT_KEYS: Flags = Flags(16);

    /// The flags of these bits; bits without a meaning are left out.
    pub fn from_bits(bits: u8) -> Flags {
        Flags(bits & 31)
    }

    /// Its bits.
    pub fn bits(self) -> u8 {
        self.0
    }

    /// The flag of this name, in any case of letters.
    pub fn named(name: &str) -> Option<Flags> {
        let mut known = NAMES.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        known.next().map(|(_, flag)| *flag)
    }

    /// Names of all that it has, in Redis's order.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        NAMES
            .iter()
            .filter(move |(_, flag)| self.has(*flag))
            .map(|(name, _)| *name)
    }

    /// True if it has all of these.
    pub fn has(self, flags: Flags) -> bool {
        self.0 & flags.0 == flags.0
    }

    /// All flags of both.
    #[must_use]
    pub fn with(self, flags: Flags) -> Flags {
        Flags(self.0 | flags.0)
    }
}

const NAMES: [(&str, Flags); 5] = [
    ("no-writes", Flags::NO_WRITES),
    ("allow-oom", Flags::ALLOW_OOM),
    ("allow-stale", Flags::ALLOW_STALE),
    ("no-cluster", Flags::NO_CLUSTER),
    ("allow-cross-slot-keys", Flags::ALLOW_CROSS_SLOT_KEYS),
];

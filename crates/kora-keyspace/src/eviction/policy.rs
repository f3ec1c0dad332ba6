//! Which entries an eviction may take, and in which order.

/// `maxmemory-policy`.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum EvictionPolicy {
    /// Nothing is evicted: commands that need memory are refused.
    #[default]
    NoEviction,
    /// Among all, the least recently used.
    AllKeysLru,
    /// Among all, the least frequently used.
    AllKeysLfu,
    /// Any entry.
    AllKeysRandom,
    /// Among those that expire, the least recently used.
    VolatileLru,
    /// Among those that expire, the least frequently used.
    VolatileLfu,
    /// Any of those that expire.
    VolatileRandom,
    /// The one that expires first.
    VolatileTtl,
}

impl EvictionPolicy {
    /// All of them, in the order in which Redis names them.
    pub const ALL: [EvictionPolicy; 8] = [
        EvictionPolicy::VolatileLru,
        EvictionPolicy::VolatileLfu,
        EvictionPolicy::VolatileRandom,
        EvictionPolicy::VolatileTtl,
        EvictionPolicy::AllKeysLru,
        EvictionPolicy::AllKeysLfu,
        EvictionPolicy::AllKeysRandom,
        EvictionPolicy::NoEviction,
    ];

    /// Redis's name.
    pub fn name(self) -> &'static str {
        match self {
            EvictionPolicy::NoEviction => "noeviction",
            EvictionPolicy::AllKeysLru => "allkeys-lru",
            EvictionPolicy::AllKeysLfu => "allkeys-lfu",
            EvictionPolicy::AllKeysRandom => "allkeys-random",
            EvictionPolicy::VolatileLru => "volatile-lru",
            EvictionPolicy::VolatileLfu => "volatile-lfu",
            EvictionPolicy::VolatileRandom => "volatile-random",
            EvictionPolicy::VolatileTtl => "volatile-ttl",
        }
    }

    /// The policy of a name, in any case of letters.
    pub fn parse(text: &str) -> Option<EvictionPolicy> {
        let all = EvictionPolicy::ALL.into_iter();
        all.into_iter().find(|policy| policy.name().eq_ignore_ascii_case(text))
    }

    /// True if something may be evicted.
    pub fn evicts(self) -> bool {
        self != EvictionPolicy::NoEviction
    }

    /// True if only what expires may be evicted.
    pub fn is_volatile(self) -> bool {
        matches!(
            self,
            EvictionPolicy::VolatileLru
                | EvictionPolicy::VolatileLfu
                | EvictionPolicy::VolatileRandom
                | EvictionPolicy::VolatileTtl
        )
    }

    /// True if it is counted how often entries are used, and not noted when.
    pub fn counts_uses(self) -> bool {
        matches!(self, EvictionPolicy::AllKeysLfu | EvictionPolicy::VolatileLfu)
    }

    /// True if any entry is as good a victim as another.
    pub fn is_random(self) -> bool {
        matches!(self, EvictionPolicy::AllKeysRandom | EvictionPolicy::VolatileRandom)
    }
}

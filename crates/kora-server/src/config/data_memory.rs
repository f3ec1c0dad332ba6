//! The types of the settings about the memory that data may take.

use std::fmt;
use std::str::FromStr;

use kora_engine::EvictionPolicy;

use super::error::BadValue;
use super::memory::{address_bytes, machine_bytes};
use super::value::MemorySize;

/// Memory that data may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataMemoryLimit {
    /// So many bytes; 0 is no limit.
    Bytes(MemorySize<0, DATA_BYTES_MAX>),
    /// A share of the memory that the process may use. Invariant: 1 to 100.
    Percent(u8),
}

impl DataMemoryLimit {
    /// The bytes that data may take on this machine, if there is a limit. Where the address space is limited there is one, for
    /// an allocation that fails ends the process.
    pub fn bytes(self) -> Option<u64> {
        let said = match self {
            Self::Bytes(size) => Some(size.bytes()).filter(|bytes| *bytes > 0),
            Self::Percent(percent) => Some(machine_bytes() / 100 * u64::from(percent)),
        };
        let bearable = address_bytes().map(|bytes| bytes / DATA_OF_ADDRESSES_ONE_IN);
        said.into_iter().chain(bearable).min()
    }
}

impl Default for DataMemoryLimit {
    fn default() -> Self {
        Self::Bytes(MemorySize::constant(0))
    }
}

impl FromStr for DataMemoryLimit {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        let Some(percent) = text.strip_suffix('%') else {
            return text.parse().map(Self::Bytes);
        };
        let percent = percent.parse().ok().filter(|percent| (1..=100).contains(percent));
        percent
            .map(Self::Percent)
            .ok_or_else(|| BadValue::new(text, "0 for no limit, an amount of memory, or 1% to 100%"))
    }
}

impl fmt::Display for DataMemoryLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(size) => size.fmt(f),
            Self::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

/// What is evicted when data takes too much memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MaxmemoryPolicy(pub EvictionPolicy);

impl FromStr for MaxmemoryPolicy {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        let policy = EvictionPolicy::parse(text).map(Self);
        policy.ok_or_else(|| {
            let names = EvictionPolicy::ALL.map(EvictionPolicy::name).join(", ");
            BadValue::new(text, format!("one of {names}"))
        })
    }
}

impl fmt::Display for MaxmemoryPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name())
    }
}

/// Of an address space of 1.5 GB data took nearly all when it held 1.05 GB: the rest lay between blocks of other sizes. And
/// clients hold up to a quarter.
const DATA_OF_ADDRESSES_ONE_IN: u64 = 2;

/// Beyond any machine we expect to meet.
const DATA_BYTES_MAX: u64 = 1 << 50;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_an_amount_or_a_share_of_the_memory() {
        let bytes = |text: &str| text.parse::<DataMemoryLimit>().map(DataMemoryLimit::bytes);
        assert_eq!(bytes("0"), Ok(None));
        assert_eq!(bytes("100k"), Ok(Some(100_000)));
        assert_eq!(bytes("2gb"), Ok(Some(2 << 30)));
        let half = bytes("50%").expect("a share").expect("a limit");
        assert_eq!(half, machine_bytes() / 100 * 50);
        for wrong in ["", "-1", "x", "0%", "101%", "1.5gb", "%"] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
        assert_eq!(
            "75%".parse::<DataMemoryLimit>().map(|limit| limit.to_string()),
            Ok("75%".to_owned())
        );
    }

    #[test]
    fn a_policy_has_redis_name_in_any_case_of_letters() {
        for policy in EvictionPolicy::ALL {
            assert_eq!(policy.name().to_uppercase().parse(), Ok(MaxmemoryPolicy(policy)));
        }
        assert!("allkeys".parse::<MaxmemoryPolicy>().is_err());
    }
}

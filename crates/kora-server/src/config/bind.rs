//! Where the server listens.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use super::error::BadValue;

/// The setting `bind`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bind {
    /// Loopback only without a password, every interface with one.
    Automatic,
    /// These addresses. Invariant: between 1 and [`ADDRESSES_MAX`].
    Addresses(Vec<ListenAddress>),
}

impl Bind {
    /// Loopback only, with a password or without.
    pub(super) fn loopback() -> Bind {
        Bind::Addresses(loopback())
    }

    pub(super) fn addresses(&self, password_is_set: bool) -> Vec<ListenAddress> {
        match self {
            Self::Automatic if password_is_set => vec![
                ListenAddress {
                    ip: Ipv4Addr::UNSPECIFIED.into(),
                    necessity: Necessity::Required,
                },
                ListenAddress {
                    ip: Ipv6Addr::UNSPECIFIED.into(),
                    necessity: Necessity::IfAvailable,
                },
            ],
            Self::Automatic => loopback(),
            Self::Addresses(addresses) => addresses.clone(),
        }
    }
}

impl FromStr for Bind {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        if text.eq_ignore_ascii_case("auto") {
            return Ok(Self::Automatic);
        }
        let words = text.split([' ', ',']).filter(|word| !word.is_empty());
        let addresses = words.map(str::parse).collect::<Result<Vec<ListenAddress>, _>>()?;
        if addresses.is_empty() || addresses.len() > ADDRESSES_MAX {
            return Err(BadValue::new(
                text,
                format!("auto, or 1 to {ADDRESSES_MAX} addresses separated by spaces"),
            ));
        }
        Ok(Self::Addresses(addresses))
    }
}

impl fmt::Display for Bind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Automatic => f.write_str("auto"),
            Self::Addresses(addresses) => f.write_str(&to_text(addresses)),
        }
    }
}

/// One address, written as Redis writes it: `-` first if the server may start without it, `*` and `::*` for every
/// interface of IPv4 and IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenAddress {
    /// The address.
    pub ip: IpAddr,
    /// Whether the start fails without it.
    pub necessity: Necessity,
}

/// Whether a start without this address is a start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Necessity {
    /// The start fails when the address can't be had.
    Required,
    /// The server goes without when this machine does not have the address.
    IfAvailable,
}

impl FromStr for ListenAddress {
    type Err = BadValue;

    fn from_str(word: &str) -> Result<Self, BadValue> {
        let (necessity, address) = match word.strip_prefix('-') {
            Some(address) => (Necessity::IfAvailable, address),
            None => (Necessity::Required, word),
        };
        let ip = match address {
            "*" => Ok(Ipv4Addr::UNSPECIFIED.into()),
            "::*" => Ok(Ipv6Addr::UNSPECIFIED.into()),
            _ => address.parse(),
        };
        let ip =
            ip.map_err(|_| BadValue::new(word, "an IP address (such as 127.0.0.1, ::1, or * for every interface)"))?;
        Ok(Self { ip, necessity })
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = match self.necessity {
            Necessity::Required => "",
            Necessity::IfAvailable => "-",
        };
        write!(f, "{mark}{}", self.ip)
    }
}

fn loopback() -> Vec<ListenAddress> {
    vec![
        ListenAddress {
            ip: Ipv4Addr::LOCALHOST.into(),
            necessity: Necessity::Required,
        },
        ListenAddress {
            ip: Ipv6Addr::LOCALHOST.into(),
            necessity: Necessity::IfAvailable,
        },
    ]
}

pub(super) fn to_text(addresses: &[ListenAddress]) -> String {
    addresses
        .iter()
        .map(ListenAddress::to_string)
        .collect::<Vec<_>>()
        .join(" ")
}

/// Redis's own limit (CONFIG_BINDADDR_MAX).
const ADDRESSES_MAX: usize = 16;

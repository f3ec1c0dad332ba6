//! The types of the settings about encrypted connections.

use std::fmt;
use std::str::FromStr;

use super::error::BadValue;

/// Whether clients of the TLS port show a certificate; Redis's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsAuthClients {
    /// Each must, of an authority in `tls-ca-cert-file`.
    Yes,
    /// None is asked.
    No,
    /// One that shows a certificate shows a good one.
    Optional,
}

impl FromStr for TlsAuthClients {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        match text.to_ascii_lowercase().as_str() {
            "yes" => Ok(Self::Yes),
            "no" => Ok(Self::No),
            "optional" => Ok(Self::Optional),
            _ => Err(BadValue::new(text, "yes, no or optional".to_owned())),
        }
    }
}

impl fmt::Display for TlsAuthClients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Yes => "yes",
            Self::No => "no",
            Self::Optional => "optional",
        })
    }
}

/// Versions of TLS that are spoken. Invariant: at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TlsProtocols {
    /// TLS 1.2.
    pub tls_1_2: bool,
    /// TLS 1.3.
    pub tls_1_3: bool,
}

impl Default for TlsProtocols {
    /// Both: older versions are not spoken at all.
    fn default() -> Self {
        Self {
            tls_1_2: true,
            tls_1_3: true,
        }
    }
}

impl FromStr for TlsProtocols {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        let wrong = || BadValue::new(text, "TLSv1.2, TLSv1.3 or both, separated by a space".to_owned());
        let mut protocols = Self {
            tls_1_2: false,
            tls_1_3: false,
        };
        for word in text.split_ascii_whitespace() {
            match word.to_ascii_lowercase().as_str() {
                "tlsv1.2" => protocols.tls_1_2 = true,
                "tlsv1.3" => protocols.tls_1_3 = true,
                _ => return Err(wrong()),
            }
        }
        match protocols.tls_1_2 || protocols.tls_1_3 {
            true => Ok(protocols),
            false => Err(wrong()),
        }
    }
}

impl fmt::Display for TlsProtocols {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.tls_1_2, self.tls_1_3) {
            (true, true) => "TLSv1.2 TLSv1.3",
            (true, false) => "TLSv1.2",
            (false, _) => "TLSv1.3",
        })
    }
}

//! Settings about users.

use std::fmt;
use std::str::FromStr;

use super::error::BadValue;

/// The setting `acl-pubsub-default`: which channels a new user may hear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AclPubsubDefault {
    /// None, until rules say so.
    ResetChannels,
    /// All.
    AllChannels,
}

impl FromStr for AclPubsubDefault {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<Self, BadValue> {
        match text.to_ascii_lowercase().as_str() {
            "resetchannels" => Ok(Self::ResetChannels),
            "allchannels" => Ok(Self::AllChannels),
            _ => Err(BadValue::new(text, "resetchannels or allchannels")),
        }
    }
}

impl fmt::Display for AclPubsubDefault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ResetChannels => "resetchannels",
            Self::AllChannels => "allchannels",
        })
    }
}

//! Settings about what is told of commands and keys.

use std::fmt;
use std::str::FromStr;

use kora_engine::command::EventClasses;

use super::error::BadValue;

/// A whole number up to 4,294,967,295, or -1 for none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OptionalNumber(Option<u64>);

impl OptionalNumber {
    pub(crate) fn of(number: u32) -> OptionalNumber {
        OptionalNumber(Some(number.into()))
    }

    /// The number, if there is one.
    pub fn get(self) -> Option<u64> {
        self.0
    }
}

impl FromStr for OptionalNumber {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<OptionalNumber, BadValue> {
        let refusal = || BadValue::new(text, "-1 or a whole number from 0 to 4294967295".to_owned());
        match text {
            "-1" => Ok(OptionalNumber(None)),
            _ => text.parse().map(OptionalNumber::of).map_err(|_| refusal()),
        }
    }
}

impl fmt::Display for OptionalNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("-1"),
            Some(number) => number.fmt(f),
        }
    }
}

/// `notify-keyspace-events`.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct NotifiedEvents(pub(crate) EventClasses);

impl FromStr for NotifiedEvents {
    type Err = BadValue;

    fn from_str(text: &str) -> Result<NotifiedEvents, BadValue> {
        let refusal = |_| BadValue::new(text, "letters of Ag$lshzxeKEtmdnoc, or nothing".to_owned());
        text.parse().map(NotifiedEvents).map_err(refusal)
    }
}

impl fmt::Display for NotifiedEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

//! Which events of keys are told: the setting `notify-keyspace-events`.

use std::fmt;
use std::str::FromStr;

/// Classes of events, as letters of Redis's. Those of types that do not exist here may be set and never happen.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct EventClasses(u64);

/// One class, by its letter, and what belongs to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EventClass(u64);

impl EventClass {
    /// `K`: events are told to `__keyspace@0__:<key>`.
    pub const KEYSPACE: EventClass = EventClass::of(b'K');
    /// `E`: events are told to `__keyevent@0__:<event>`.
    pub const KEYEVENT: EventClass = EventClass::of(b'E');
    /// `g`: commands on keys of any type.
    pub const GENERIC: EventClass = EventClass::of(b'g');
    /// `$`: commands on strings.
    pub const STRING: EventClass = EventClass::of(b'$');
    /// `h`: commands on hashes.
    pub const HASH: EventClass = EventClass::of(b'h');
    /// `x`: a key has expired.
    pub const EXPIRED: EventClass = EventClass::of(b'x');
    /// `e`: a key was evicted.
    pub const EVICTED: EventClass = EventClass::of(b'e');
    /// `d`: what Redis has in modules; here, commands on vectors.
    pub const VECTOR: EventClass = EventClass::of(b'd');
    /// `m`: a key was read that is not there.
    pub const MISS: EventClass = EventClass::of(b'm');
    /// `n`: a key was made.
    pub const NEW: EventClass = EventClass::of(b'n');
    /// `o`: a key was given another value.
    pub const OVERWRITTEN: EventClass = EventClass::of(b'o');
    /// `c`: a key was given a value of another type.
    pub const TYPE_CHANGED: EventClass = EventClass::of(b'c');

    const fn of(letter: u8) -> EventClass {
        let mut index = 0;
        while LETTERS[index] != letter {
            index += 1;
        }
        EventClass(1 << index)
    }
}

impl EventClasses {
    /// No events are told.
    pub const NONE: EventClasses = EventClasses(0);

    /// As a number, for workers to read.
    pub fn bits(self) -> u64 {
        self.0
    }

    /// Back from the number.
    pub fn from_bits(bits: u64) -> EventClasses {
        EventClasses(bits)
    }

    /// True if events of this class are told.
    pub fn has(self, class: EventClass) -> bool {
        self.0 & class.0 != 0
    }

    /// True if an event would be told at all: on one sort of channels at least.
    pub fn are_told(self) -> bool {
        self.has(EventClass::KEYSPACE) || self.has(EventClass::KEYEVENT)
    }
}

impl FromStr for EventClasses {
    type Err = String;

    fn from_str(text: &str) -> Result<EventClasses, String> {
        let mut bits = 0;
        for letter in text.bytes() {
            bits |= match LETTERS.iter().position(|known| *known == letter) {
                Some(index) => 1 << index,
                None if letter == b'A' => ALL,
                None => return Err("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.".to_owned()),
            };
        }
        Ok(EventClasses(bits))
    }
}

/// As Redis shows them: beside `A` it leaves out `n`, `o` and `c`.
impl fmt::Display for EventClasses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_set = |index: &usize| self.0 & (1 << index) != 0;
        let shown = |range: std::ops::Range<usize>| range.filter(is_set).map(|index| char::from(LETTERS[index]));
        match self.0 & ALL == ALL {
            true => f.write_str("A")?,
            false => shown(0..CHANNELS_AT).try_for_each(|letter| write!(f, "{letter}"))?,
        }
        shown(CHANNELS_AT..LETTERS.len()).try_for_each(|letter| write!(f, "{letter}"))
    }
}

/// In the order in which Redis shows them. `A` stands for the first ten.
const LETTERS: [u8; 16] = *b"g$lshzxetdnocKEm";
const ALL: u64 = (1 << 10) - 1;

/// Where those stand that are shown beside `A`, too.
const CHANNELS_AT: usize = 13;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_read_and_shown_as_by_redis() {
        let shown = |text: &str| text.parse::<EventClasses>().map(|classes| classes.to_string());
        for (given, told) in [
            ("", ""),
            ("KEA", "AKE"),
            ("Kg$", "g$K"),
            ("mnKEocA", "AKEm"),
            ("mn$hE", "$hnEm"),
            ("g$lshzxet", "g$lshzxet"),
            ("g$lshzxetdKmo", "AKm"),
            ("docn", "dnoc"),
        ] {
            assert_eq!(shown(given).as_deref(), Ok(told), "{given}");
        }
        assert!(shown("gq").is_err());
        let classes: EventClasses = "Ex".parse().unwrap();
        assert!(classes.are_told() && classes.has(EventClass::EXPIRED) && !classes.has(EventClass::KEYSPACE));
        assert_eq!(EventClasses::from_bits(classes.bits()), classes);
    }
}

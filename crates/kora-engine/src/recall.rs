//! How many of the true neighbours samples have found.

use kora_resp::Reply;

/// What samples have found.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Found {
    /// True neighbours that were found.
    pub found: u64,
    /// True neighbours.
    pub wanted: u64,
    /// Samples.
    pub samples: u64,
}

impl Found {
    /// Both together.
    pub(crate) fn plus(self, other: Found) -> Found {
        Found {
            found: self.found + other.found,
            wanted: self.wanted + other.wanted,
            samples: self.samples + other.samples,
        }
    }

    /// The same with half the weight.
    pub(crate) fn half(self) -> Found {
        Found {
            found: self.found / 2,
            wanted: self.wanted / 2,
            samples: self.samples / 2,
        }
    }

    /// The share of the true neighbours that were found, if there were any.
    pub(crate) fn recall(self) -> Option<f64> {
        (self.wanted > 0).then(|| self.found as f64 / self.wanted as f64)
    }

    /// What the reply to `Recalling::sample` says.
    pub(crate) fn of_numbers(reply: &Reply) -> Found {
        let number = |reply: &Reply| match reply {
            Reply::Integer(number) => u64::try_from(*number).unwrap_or(0),
            _ => 0,
        };
        match reply {
            Reply::Array(numbers) if numbers.len() == 3 => Found {
                found: number(&numbers[0]),
                wanted: number(&numbers[1]),
                samples: number(&numbers[2]),
            },
            _ => Found::default(),
        }
    }
}

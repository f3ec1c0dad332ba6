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
    /// Samples by how many of their neighbours they found, in whole tenths: those that found all stand last.
    pub by_tenths: [u64; TENTHS + 1],
    /// Stored vectors that were sought.
    pub sought: u64,
    /// Those of them that a query for themselves did not find.
    pub lost: u64,
}

impl Found {
    /// Of one sample: so many of its true neighbours were found.
    pub(crate) fn of_sample(found: u64, wanted: u64) -> Found {
        let mut by_tenths = [0; TENTHS + 1];
        by_tenths[(found * TENTHS as u64 / wanted.max(1)).min(TENTHS as u64) as usize] = 1;
        Found {
            found,
            wanted,
            samples: 1,
            by_tenths,
            ..Found::default()
        }
    }

    /// Of one stored vector that was sought.
    pub(crate) fn of_sought(is_found: bool) -> Found {
        Found {
            sought: 1,
            lost: u64::from(!is_found),
            ..Found::default()
        }
    }

    /// Both together.
    pub(crate) fn plus(self, other: Found) -> Found {
        let (one, other) = (self.numbers(), other.numbers());
        Found::from_numbers(std::array::from_fn(|place| one[place] + other[place]))
    }

    /// The same with half the weight.
    pub(crate) fn half(self) -> Found {
        Found::from_numbers(self.numbers().map(|number| number / 2))
    }

    /// The share of the true neighbours that were found, if there were any.
    pub(crate) fn recall(self) -> Option<f64> {
        (self.wanted > 0).then(|| self.found as f64 / self.wanted as f64)
    }

    /// The same of the worst tenth of the samples, in whole tenths of a sample's neighbours.
    pub(crate) fn worst_decile(self) -> Option<f64> {
        let wanted = self.samples.div_ceil(10);
        let (mut left, mut tenths) = (wanted, 0);
        for (tenth, &samples) in self.by_tenths.iter().enumerate() {
            let taken = samples.min(left);
            left -= taken;
            tenths += taken * tenth as u64;
        }
        let counted = wanted - left;
        (counted > 0).then(|| tenths as f64 / (counted * TENTHS as u64) as f64)
    }

    /// The share of the stored vectors that a query for themselves did not find, if any was sought.
    pub(crate) fn lost_share(self) -> Option<f64> {
        (self.sought > 0).then(|| self.lost as f64 / self.sought as f64)
    }

    /// The reply to `Recalling::sample`.
    pub(crate) fn reply(self) -> Reply {
        let numbers = self
            .numbers()
            .map(|number| Reply::Integer(crate::counts::integer(number)));
        Reply::Array(numbers.into())
    }

    /// What that reply says.
    pub(crate) fn of_reply(reply: &Reply) -> Found {
        let mut numbers = [0; NUMBERS];
        if let Reply::Array(replies) = reply {
            for (number, reply) in numbers.iter_mut().zip(replies.iter()) {
                if let Reply::Integer(told) = reply {
                    *number = u64::try_from(*told).unwrap_or(0);
                }
            }
        }
        Found::from_numbers(numbers)
    }

    fn numbers(self) -> [u64; NUMBERS] {
        let mut numbers = [0; NUMBERS];
        numbers[..5].copy_from_slice(&[self.found, self.wanted, self.samples, self.sought, self.lost]);
        numbers[5..].copy_from_slice(&self.by_tenths);
        numbers
    }

    fn from_numbers(numbers: [u64; NUMBERS]) -> Found {
        let [found, wanted, samples, sought, lost, by_tenths @ ..] = numbers;
        Found {
            found,
            wanted,
            samples,
            by_tenths,
            sought,
            lost,
        }
    }
}

/// Recall is told in so many parts where samples are put in order.
const TENTHS: usize = 10;

/// The counts of [`Found`].
const NUMBERS: usize = 5 + TENTHS + 1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_decile_is_that_of_the_samples_that_found_least() {
        let mut all = Found::default();
        assert_eq!((all.recall(), all.worst_decile(), all.lost_share()), (None, None, None));
        for _ in 0..18 {
            all = all.plus(Found::of_sample(10, 10)).plus(Found::of_sought(true));
        }
        all = all.plus(Found::of_sample(0, 10)).plus(Found::of_sample(5, 10));
        all = all.plus(Found::of_sought(false)).plus(Found::of_sought(true));
        assert_eq!(all.recall(), Some(0.925));
        assert_eq!(all.worst_decile(), Some(0.25));
        assert_eq!(all.lost_share(), Some(0.05));
        assert_eq!(Found::of_reply(&all.reply()), all);
        assert_eq!(all.half().samples, 10);
    }

    #[test]
    fn fewer_neighbours_than_ten_count_as_well() {
        let all = Found::of_sample(2, 3).plus(Found::of_sample(1, 1));
        assert_eq!(all.worst_decile(), Some(0.6));
        assert_eq!(Found::of_sample(1, 0).worst_decile(), Some(1.0));
    }
}

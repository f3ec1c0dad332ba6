//! Fields drawn from a hash, each at most once, in steps.

use super::{Field, FormRef, HashRef};
use crate::segment_table::{Hashed, SegmentTable};

/// Draws so many different fields from a hash, every choice of them as likely as any other (HRANDFIELD with a positive
/// count).
///
/// Few of many are picked at random until enough differ; of a larger part every field is looked at once, and taken with
/// the probability that it takes to have enough at the end (Knuth's algorithm S).
#[derive(Debug)]
pub struct Sample {
    /// How many are still wanted.
    wanted: usize,
    way: Way,
}

#[derive(Debug)]
enum Way {
    /// The hashes of what was picked. Two fields that hash alike are never both picked; among 2³² that is nothing.
    Pick(SegmentTable<FieldHash>),
    /// Where to go on, and how many fields come from there on.
    Walk { from: u64, coming: usize },
}

impl Sample {
    /// A sample of `count` fields, or of all if there are fewer.
    pub fn new(hash: HashRef<'_>, count: usize) -> Sample {
        let is_few = count < hash.len() / PICKED_PART;
        Sample {
            wanted: count.min(hash.len()),
            way: match hash.form {
                FormRef::Large(_) if is_few => Way::Pick(SegmentTable::new()),
                _ => Way::Walk {
                    from: 0,
                    coming: hash.len(),
                },
            },
        }
    }

    /// How many fields are still to be drawn.
    pub fn left(&self) -> usize {
        self.wanted
    }

    /// One step: looks at about `most` fields and returns which of them were drawn; a small hash is looked at as a whole.
    /// To be called until none are [`left`](Sample::left), with the same hash. `random` gives 64 random bits at each call.
    pub fn draw<'hash>(
        &mut self,
        hash: HashRef<'hash>,
        most: usize,
        mut random: impl FnMut() -> u64,
    ) -> Vec<Field<'hash>> {
        match &mut self.way {
            Way::Pick(picked) => {
                let mut fields = Vec::new();
                for _ in 0..most.max(1) {
                    // Should the hash have become smaller meanwhile, there may not be enough.
                    if picked.len() >= hash.len() {
                        self.wanted = 0;
                    }
                    let (FormRef::Large(large), Some(field), 1..) = (hash.form, hash.random(&mut random), self.wanted)
                    else {
                        return fields;
                    };
                    let hash = large.hash(field.0);
                    if picked.find(hash, |other| other.0 == hash).is_none() {
                        picked.insert_new(FieldHash(hash));
                        fields.push(field);
                        self.wanted -= 1;
                    }
                }
                fields
            }
            Way::Walk { from, coming } => {
                let (mut fields, next) = hash.scan(*from, most);
                fields.retain(|_| {
                    // Taken with probability wanted/coming.
                    let place = (u128::from(random()) * (*coming).max(1) as u128) >> 64;
                    let is_drawn = place < self.wanted as u128;
                    *coming = coming.saturating_sub(1);
                    self.wanted -= usize::from(is_drawn);
                    is_drawn
                });
                match next {
                    Some(next) => *from = next,
                    None => self.wanted = 0,
                }
                fields
            }
        }
    }
}

/// What a field's name hashes to.
#[derive(Debug)]
struct FieldHash(u32);

impl Hashed for FieldHash {
    fn hash(&self) -> u32 {
        self.0
    }
}

/// Up to a third is picked, as Redis does: then fewer than one pick in three is of what was picked before.
const PICKED_PART: usize = 3;

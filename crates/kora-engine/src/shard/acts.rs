//! Commands of one pipeline, each on one key of this shard, that came as one ask.

use std::vec::IntoIter;

use kora_resp::Reply;

use super::{Origin, Shard, Unfinished};
use crate::limits::ACTS_BYTES_PER_SLICE;
use crate::mail::{Act, Part};

/// Such commands between two slices. Others may come in between, but in the middle of one.
pub(crate) struct Acts {
    acts: IntoIter<(u32, Act)>,
    /// What it was in the middle of.
    current: Option<(u32, Box<Unfinished>)>,
    replies: Vec<(u32, Reply)>,
    now_ms: u64,
}

impl Acts {
    fn new(acts: Vec<(u32, Act)>, now_ms: u64) -> Acts {
        Acts {
            replies: Vec::with_capacity(acts.len()),
            acts: acts.into_iter(),
            current: None,
            now_ms,
        }
    }

    pub(super) fn is_exclusive(&self) -> bool {
        let current = self.current.as_ref();
        current.is_some_and(|(_, unfinished)| unfinished.is_exclusive())
    }
}

impl Shard {
    pub(super) fn begin_acts(
        &mut self,
        acts: Vec<(u32, Act)>,
        origin: Origin,
        now_ms: u64,
    ) -> Result<Part, Box<Unfinished>> {
        self.look_for_keys(acts.iter().map(|(_, act)| act.key.as_ref()));
        self.do_acts(Acts::new(acts, now_ms), origin)
    }

    /// Looks for keys of this shard that will be asked for in a moment.
    pub(crate) fn look_for_keys<'k>(&self, keys: impl Iterator<Item = &'k [u8]>) {
        self.keys.look_for(keys);
    }

    /// Goes on for a slice.
    pub(super) fn do_acts(&mut self, mut acts: Acts, origin: Origin) -> Result<Part, Box<Unfinished>> {
        let mut bytes = 0;
        while bytes < ACTS_BYTES_PER_SLICE {
            let (sequence, outcome) = match acts.current.take() {
                Some((sequence, unfinished)) => (sequence, self.resume(*unfinished, origin).map(whole)),
                None => match acts.acts.next() {
                    Some((sequence, act)) => {
                        bytes += act.action.bytes_held();
                        (sequence, self.act(&act.key, act.action, acts.now_ms))
                    }
                    None => return Ok(Part::Acted(acts.replies)),
                },
            };
            match outcome {
                Ok(reply) => {
                    bytes += reply.bytes_hint();
                    acts.replies.push((sequence, reply));
                }
                Err(unfinished) => {
                    acts.current = Some((sequence, unfinished));
                    break;
                }
            }
        }
        Err(Box::new(Unfinished::Acts(Box::new(acts))))
    }
}

fn whole(part: Part) -> Reply {
    match part {
        Part::Reply(reply) => reply,
        _ => unreachable!("what is done to one key answers a whole reply"),
    }
}

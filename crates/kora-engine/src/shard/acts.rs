//! Commands of one pipeline that came as one ask: each on one key of this shard, or this shard's part of one on several.

use std::vec::IntoIter;

use kora_keyspace::keys::LOOKED_FOR_MAX;
use kora_resp::Reply;

use super::several::Several;
use super::{Origin, Shard, Unfinished};
use crate::limits::{ACTS_BYTES_PER_SLICE, KEYS_PER_SLICE};
use crate::mail::{Part, Step};

/// Such commands between two slices. Others may come in between, but in the middle of one.
pub(crate) struct Acts {
    steps: IntoIter<(u32, Step)>,
    /// Of how many keys it is known where they are: those that come next.
    near: usize,
    /// What it was in the middle of.
    current: Option<(u32, Box<Unfinished>)>,
    replies: Vec<(u32, Reply)>,
    parts: Vec<(u32, Part)>,
    now_ms: u64,
}

impl Acts {
    fn new(steps: Vec<(u32, Step)>, now_ms: u64) -> Acts {
        let whole = steps.iter().filter(|(_, step)| matches!(step, Step::Act(_))).count();
        Acts {
            replies: Vec::with_capacity(whole),
            parts: Vec::with_capacity(steps.len() - whole),
            steps: steps.into_iter(),
            near: 0,
            current: None,
            now_ms,
        }
    }

    pub(super) fn is_exclusive(&self) -> bool {
        let current = self.current.as_ref();
        current.is_some_and(|(_, unfinished)| unfinished.is_exclusive())
    }

    fn keep(&mut self, sequence: u32, part: Part) {
        match part {
            Part::Reply(reply) => self.replies.push((sequence, reply)),
            part => self.parts.push((sequence, part)),
        }
    }
}

impl Shard {
    pub(super) fn begin_acts(
        &mut self,
        steps: Vec<(u32, Step)>,
        origin: Origin,
        now_ms: u64,
    ) -> Result<Part, Box<Unfinished>> {
        self.do_acts(Acts::new(steps, now_ms), origin)
    }

    /// Looks for keys of this shard that will be asked for in a moment. Whoever calls this bounds their number.
    pub(crate) fn look_for_keys<'k>(&self, keys: impl Iterator<Item = &'k [u8]>) {
        self.keyspace.look_for(keys);
    }

    /// Goes on for a slice.
    pub(super) fn do_acts(&mut self, mut acts: Acts, origin: Origin) -> Result<Part, Box<Unfinished>> {
        let mut bytes = 0;
        while bytes < ACTS_BYTES_PER_SLICE {
            if acts.near == 0 {
                let keys = acts.steps.as_slice().iter().flat_map(|(_, step)| step.keys());
                self.look_for_keys(keys.take(LOOKED_FOR_MAX));
                acts.near = LOOKED_FOR_MAX;
            }
            let (sequence, outcome) = match acts.current.take() {
                Some((sequence, unfinished)) => (sequence, self.resume(*unfinished, origin)),
                None => match acts.steps.next() {
                    Some((sequence, Step::Act(act))) => {
                        bytes += act.action.bytes_held();
                        acts.near -= 1;
                        (sequence, self.act(&act.key, act.action, acts.now_ms).map(Part::Reply))
                    }
                    Some((sequence, Step::Several(ask))) => {
                        let several = Several::new(ask, acts.now_ms, acts.near);
                        bytes += several.work() * BYTES_PER_KEY;
                        acts.near = acts.near.saturating_sub(several.len());
                        (sequence, self.do_several(several))
                    }
                    None => return Ok(Part::Acted(acts.replies, acts.parts)),
                },
            };
            match outcome {
                Ok(part) => {
                    bytes += part.bytes_hint();
                    acts.keep(sequence, part);
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

/// To look at one of several keys counts like so many bytes.
const BYTES_PER_KEY: usize = ACTS_BYTES_PER_SLICE / KEYS_PER_SLICE;

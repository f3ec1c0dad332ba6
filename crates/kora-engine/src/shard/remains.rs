//! What a collection leaves behind when it is dropped or has lost its last vector: freed a little at a time.

use std::sync::Arc;

use kora_vector::{Index, Step, Work};

use super::collection::key_of;
use super::elements::Elements;
use super::key_table::KeyTable;
use crate::catalog::Schema;

/// What a collection leaves behind, to be freed a little at a time.
pub(crate) struct Remains {
    schema: Arc<Schema>,
    index: Index,
    elements: Elements,
    /// From where on, in the order of a scan, its vectors may still stand among the keys that expire; none if none does.
    expiries_from: Option<u32>,
}

impl Remains {
    pub(super) fn new(schema: Arc<Schema>, index: Index, elements: Elements) -> Remains {
        Remains {
            schema,
            index,
            elements,
            expiries_from: Some(0),
        }
    }

    /// The same where none of its vectors stands among the shard's keys any more.
    pub(super) fn without_keys(self) -> Remains {
        Remains {
            expiries_from: None,
            ..self
        }
    }

    /// Frees a few chunks; and before them what stands among the shard's keys because a vector would have expired.
    pub(crate) fn dismantle(&mut self, keys: &mut KeyTable, work: &mut Work) -> Step<()> {
        if let Step::More = self.forget_expiries(keys, work) {
            return Step::More;
        }
        if let Step::More = self.index.dismantle_step(work) {
            return Step::More;
        }
        while self.elements.dismantle() {
            work.spend(CHUNK_FREE_WORK);
            if work.is_spent() {
                return Step::More;
            }
        }
        Step::Done(())
    }

    fn forget_expiries(&mut self, keys: &mut KeyTable, work: &mut Work) -> Step<()> {
        while let Some(from) = self.expiries_from.filter(|_| keys.has_vectors()) {
            if work.is_spent() {
                return Step::More;
            }
            let (slots, next) = self.elements.scan(from, NAMES_AT_ONCE);
            for slot in slots {
                keys.forget_vector(&key_of(&self.schema, self.elements.name(slot)), self.schema.generation);
                work.spend(EXPIRY_FREE_WORK);
            }
            self.expiries_from = next;
        }
        Step::Done(())
    }
}

/// Giving a chunk back costs about as much as reading some thousand components.
const CHUNK_FREE_WORK: u64 = 4096;

/// Names of a dropped collection that are looked for among the keys between two looks at the work.
const NAMES_AT_ONCE: usize = 64;

/// To look for a key that nobody has asked for, and to give it back: a few places all over memory.
const EXPIRY_FREE_WORK: u64 = 1024;

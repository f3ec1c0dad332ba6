//! A shard's part of a collection in a snapshot: its index as it was at one moment, then names, deadlines and attributes.
//!
//! A part that has a graph is written in pieces, one kind after the other. Each begins with a byte that says which kind it is:
//!
//! | byte | piece | holds |
//! |---|---|---|
//! | 1 | head | generation u64, length of the collection's name u32, the name, then the head of the index |
//! | 2 | nodes | nodes of the index: see `kora_vector` |
//! | 3 | rows | rows of the index |
//! | 4 | names | any number of: slot u32, deadline in milliseconds of Unix time u64 or all ones, length of the name u32, the name, length of the attributes u32, the attributes |
//! | 5 | end | nothing |
//! | 6 | abandoned | nothing: the part was dropped while it was written |
//!
//! Names, deadlines and attributes are read later than the index is cut. That is exact all the same: what has changed since is in
//! the log, and is made true again upon what is read.

use std::sync::Arc;

use kora_filter::limits::ATTRIBUTES_BYTES_MAX;
use kora_vector::{IndexCapture, IndexLoading, LoadFault, Step, Work};

use super::collection::{Collection, parameters_of};
use crate::catalog::{Generation, Schema};
use crate::changes::Observer;
use crate::eviction::UseRule;
use crate::keyspace::Keyspace;
use crate::limits::KEY_BYTES_MAX;

/// A part that is being written down.
#[derive(Debug)]
pub struct PartCapture {
    schema: Arc<Schema>,
    index: IndexCapture,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Head(Vec<u8>),
    Nodes,
    Rows,
    /// The slot of the next name.
    Names(usize),
    End,
}

impl<O: Observer> Keyspace<O> {
    /// Begins to write down what this shard holds of a collection. None if nothing is held, or the vectors are best written one
    /// by one. It may take a while; until [`Keyspace::end_part_capture`] the collection's index is not consolidated.
    pub fn begin_part_capture(&mut self, schema: &Schema, work: &mut Work) -> Step<Option<PartCapture>> {
        let Some(part) = self.part_of_mut(schema) else {
            return Step::Done(None);
        };
        let step = part.begin_capture(work);
        self.count_part(schema);
        step
    }

    /// Writes the next piece of it, of about so many bytes. Done when that was the last.
    pub fn capture_part(&mut self, capture: &mut PartCapture, bytes: usize, out: &mut Vec<u8>) -> Step<()> {
        let schema = Arc::clone(&capture.schema);
        match self.part_of_mut(&schema) {
            Some(part) => {
                let step = part.capture(capture, bytes, out);
                self.count_part(&schema);
                step
            }
            None => {
                out.push(ABANDONED);
                Step::Done(())
            }
        }
    }

    /// It is written down, or no more of it is to be; with no capture, if none was begun.
    pub fn end_part_capture(&mut self, schema: &Schema, capture: Option<PartCapture>) {
        if let Some(part) = self.part_of_mut(schema) {
            part.end_capture(capture);
            self.note_search_ended(schema);
        }
    }

    /// Lets this shard hold a part that was read. What is held of an earlier collection of that name goes.
    ///
    /// # Errors
    /// If it is not whole, or something is held already.
    pub fn put_part(&mut self, loading: PartLoading) -> Result<(), LoadFault> {
        let part = loading.finish()?;
        let schema = Arc::clone(part.schema());
        let held = self.collections.get(&schema.name).map(|part| part.schema().generation);
        if held >= Some(schema.generation) {
            return Err(LoadFault {
                what: "a part of a collection is there twice",
            });
        }
        self.hold_part(part);
        let mut from = Some(0);
        while let Some(at) = from {
            from = self.tell_vectors(&schema, at, NAMES_AT_ONCE);
        }
        self.note_upkeep(&schema.name, schema.generation);
        Ok(())
    }
}

impl Collection {
    fn begin_capture(&mut self, work: &mut Work) -> Step<Option<PartCapture>> {
        let step = self.index_mut().prepare_capture(work);
        self.follow_moves();
        match step {
            Step::More => Step::More,
            Step::Done(false) => Step::Done(None),
            Step::Done(true) => {
                let mut head = vec![HEAD];
                head.extend_from_slice(&self.schema().generation.0.to_le_bytes());
                head.extend_from_slice(&(self.schema().name.len() as u32).to_le_bytes());
                head.extend_from_slice(&self.schema().name);
                let index = self.index_mut().begin_capture(&mut head);
                // Names stay as long as something is suspended.
                self.suspend();
                Step::Done(Some(PartCapture {
                    schema: Arc::clone(self.schema()),
                    index,
                    stage: Stage::Head(head),
                }))
            }
        }
    }

    fn capture(&mut self, capture: &mut PartCapture, bytes: usize, out: &mut Vec<u8>) -> Step<()> {
        let PartCapture { index, stage, .. } = capture;
        match stage {
            Stage::Head(head) => {
                out.append(head);
                *stage = Stage::Nodes;
            }
            Stage::Nodes => {
                out.push(NODES);
                if self.index_mut().capture_links(index, bytes, out) == Step::Done(()) {
                    *stage = Stage::Rows;
                }
            }
            Stage::Rows => {
                out.push(ROWS);
                if self.index_mut().capture_rows(index, bytes, out) == Step::Done(()) {
                    *stage = Stage::Names(0);
                }
            }
            Stage::Names(from) => {
                out.push(NAMES);
                match self.capture_names(index, *from, out.len() + bytes, out) {
                    Some(next) => *from = next,
                    None => *stage = Stage::End,
                }
            }
            Stage::End => {
                out.push(END);
                return Step::Done(());
            }
        }
        Step::More
    }

    /// Writes names of slots from one on; the slot to go on from, if there are more.
    fn capture_names(&self, index: &IndexCapture, from: usize, bytes_max: usize, out: &mut Vec<u8>) -> Option<usize> {
        for slot in index.live_from(from) {
            if out.len() >= bytes_max {
                return Some(slot.index());
            }
            let name = self.name(slot);
            out.extend_from_slice(&(slot.index() as u32).to_le_bytes());
            out.extend_from_slice(&self.deadline_of(slot).to_le_bytes());
            out.extend_from_slice(&(name.len() as u32).to_le_bytes());
            out.extend_from_slice(name);
            // Of whatever vector has the name by now: attributes go over to one that takes another's place.
            let text = self.attributes_of(name).unwrap_or_default();
            out.extend_from_slice(&(text.len() as u32).to_le_bytes());
            out.extend_from_slice(text);
        }
        None
    }

    fn end_capture(&mut self, capture: Option<PartCapture>) {
        self.index_mut().end_capture();
        if capture.is_some() {
            self.resume();
        }
    }
}

/// A part that is being read.
pub struct PartLoading {
    index: IndexLoading,
    /// All of the part but its index.
    part: Collection,
    /// What is noted of the use of its vectors.
    used: u32,
    /// Slots below this are named, if they are.
    next_named: usize,
    is_whole: bool,
}

/// What a piece says of the part that it belongs to.
pub enum PartPiece<'a> {
    /// A part of the collection of this name and generation begins.
    Head {
        /// The generation.
        generation: Generation,
        /// The name.
        name: &'a [u8],
        /// The head of the index.
        index: &'a [u8],
    },
    /// The same part goes on.
    More(MorePiece<'a>),
    /// It is whole.
    End,
    /// It was dropped before it was whole.
    Abandoned,
}

/// A piece of a part that has begun.
pub enum MorePiece<'a> {
    /// Nodes of the index.
    Nodes(&'a [u8]),
    /// Rows of the index.
    Rows(&'a [u8]),
    /// Names.
    Names(&'a [u8]),
}

impl<'a> PartPiece<'a> {
    /// Reads what a piece says.
    ///
    /// # Errors
    /// If it is none.
    pub fn read(bytes: &'a [u8]) -> Result<PartPiece<'a>, LoadFault> {
        let (&kind, mut rest) = bytes.split_first().ok_or(ENDS_TOO_SOON)?;
        Ok(match kind {
            HEAD => {
                let generation = Generation(take_u64(&mut rest)?);
                let name = take_text(&mut rest)?;
                PartPiece::Head {
                    generation,
                    name,
                    index: rest,
                }
            }
            NODES => PartPiece::More(MorePiece::Nodes(rest)),
            ROWS => PartPiece::More(MorePiece::Rows(rest)),
            NAMES => PartPiece::More(MorePiece::Names(rest)),
            END if rest.is_empty() => PartPiece::End,
            ABANDONED if rest.is_empty() => PartPiece::Abandoned,
            _ => {
                return Err(LoadFault {
                    what: "a piece of a collection that this version does not know",
                });
            }
        })
    }
}

impl PartLoading {
    /// Begins with the head of the index of a collection's part, whose pieces together are not longer than `bytes_max`.
    ///
    /// # Errors
    /// If it is none.
    pub fn begin(
        schema: &Arc<Schema>,
        head: &[u8],
        hash_seed: u64,
        bytes_max: u64,
        now_ms: u64,
    ) -> Result<PartLoading, LoadFault> {
        Ok(PartLoading {
            index: IndexLoading::begin(parameters_of(schema), schema.graph.graph_min, head, bytes_max)?,
            part: Collection::new(Arc::clone(schema), hash_seed),
            used: UseRule::default().fresh(now_ms),
            next_named: 0,
            is_whole: false,
        })
    }

    /// Its collection.
    pub fn schema(&self) -> &Arc<Schema> {
        self.part.schema()
    }

    /// Reads a piece; of a vector's name it is asked whether it belongs to this shard.
    ///
    /// # Errors
    /// If it is none of this part.
    pub fn piece(&mut self, piece: MorePiece<'_>, belongs: impl Fn(&[u8]) -> bool) -> Result<(), LoadFault> {
        match piece {
            MorePiece::Nodes(bytes) => self.index.nodes(bytes),
            MorePiece::Rows(bytes) => self.index.rows(bytes),
            MorePiece::Names(bytes) => self.names(bytes, belongs),
        }
    }

    /// All pieces were read.
    pub fn end(&mut self) {
        self.is_whole = true;
    }

    fn names(&mut self, mut bytes: &[u8], belongs: impl Fn(&[u8]) -> bool) -> Result<(), LoadFault> {
        while !bytes.is_empty() {
            let slot = self.index.live_slot(take_u32(&mut bytes)?)?;
            let deadline_ms = take_u64(&mut bytes)?;
            let name = take_text(&mut bytes)?;
            fault_unless(slot.index() >= self.next_named, "names are not in the order of slots")?;
            self.next_named = slot.index() + 1;
            let key_bytes = self.schema().name.len() + 1 + name.len();
            fault_unless(key_bytes <= KEY_BYTES_MAX, "a key is longer than the limit")?;
            fault_unless(belongs(name), "a vector of another shard")?;
            fault_unless(
                self.part.name_slot(slot, name, self.used),
                "a vector's name is there twice",
            )?;
            self.part.set_deadline(slot, deadline_ms);
            let text = take_text(&mut bytes)?;
            // A vector set takes any bytes.
            let is_any = text.is_empty() || self.schema().set_form().is_some();
            fault_unless(
                text.len() <= ATTRIBUTES_BYTES_MAX && (is_any || kora_filter::check(text).is_ok()),
                "attributes that are no JSON object",
            )?;
            self.part.put_attributes(slot, text);
        }
        Ok(())
    }

    fn finish(self) -> Result<Collection, LoadFault> {
        let PartLoading { index, mut part, .. } = self;
        fault_unless(
            self.is_whole && part.live() == index.live(),
            "a part of a collection is not whole",
        )?;
        part.set_index(index.end()?);
        Ok(part)
    }
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Result<&'a [u8], LoadFault> {
    let (taken, rest) = bytes.split_at_checked(count).ok_or(ENDS_TOO_SOON)?;
    *bytes = rest;
    Ok(taken)
}

fn take_u32(bytes: &mut &[u8]) -> Result<u32, LoadFault> {
    let mut word = [0; 4];
    word.copy_from_slice(take(bytes, 4)?);
    Ok(u32::from_le_bytes(word))
}

fn take_u64(bytes: &mut &[u8]) -> Result<u64, LoadFault> {
    let mut word = [0; 8];
    word.copy_from_slice(take(bytes, 8)?);
    Ok(u64::from_le_bytes(word))
}

fn take_text<'a>(bytes: &mut &'a [u8]) -> Result<&'a [u8], LoadFault> {
    let length = take_u32(bytes)?;
    take(bytes, length as usize)
}

fn fault_unless(holds: bool, what: &'static str) -> Result<(), LoadFault> {
    if holds { Ok(()) } else { Err(LoadFault { what }) }
}

const ENDS_TOO_SOON: LoadFault = LoadFault {
    what: "a piece of a collection ends too soon",
};

/// Vectors looked at in one step when a part is put.
const NAMES_AT_ONCE: usize = 512;

const HEAD: u8 = 1;
const NODES: u8 = 2;
const ROWS: u8 = 3;
const NAMES: u8 = 4;
const END: u8 = 5;
const ABANDONED: u8 = 6;

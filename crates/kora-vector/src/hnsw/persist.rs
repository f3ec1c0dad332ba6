//! An index in a snapshot: written down some at a time while it changes, exactly as it was at one moment, and read back without
//! computing a distance.
//!
//! The links come first, and while they are written down nothing is consolidated and what an insertion changes is put aside as it
//! was (see `graph::persist`). The rows of that moment can be read long after it: the capture is a reader, so that no slot is
//! given to another vector. The format stands in `persist`.

use super::{Index, Slot, Urgency};
use crate::bits::{Bits, Words, each};
use crate::consolidate::Reader;
use crate::graph::GraphLoading;
use crate::graph_parts::GraphParts;
use crate::hnsw::Parameters;
use crate::limits::{LAYER_MAX, SLOTS_MAX};
use crate::persist::{LoadFault, Numbering, Source, fault_unless};
use crate::slot_states::SlotStates;
use crate::stop_rule::Growth;
use crate::work::{Step, Work};

/// An index that is being written down, as it was when that began.
#[derive(Debug)]
pub struct IndexCapture {
    slots: u32,
    /// Slots that were live, 64 in a word.
    live: Vec<u64>,
    /// Nodes that were linked, once all links are written.
    linked: Option<Bits>,
    /// The slot of the next row.
    next_row: u32,
    /// Lets no slot be given to another vector.
    _reader: Reader,
}

impl IndexCapture {
    /// The slots from one on that were live, ascending.
    pub fn live_from(&self, slot: usize) -> impl Iterator<Item = Slot> + '_ {
        each(Words::Many(&self.live), Words::One(0), slot).map(Slot)
    }

    /// How many slots there were.
    pub fn slots(&self) -> usize {
        self.slots as usize
    }
}

impl Index {
    /// Comes to a state that can be written down: what was begun is brought to its end, and nothing else is begun until the links
    /// are written or [`Index::end_capture`]. Done says whether there is a graph to be written; without one vectors are best
    /// written one by one.
    pub fn prepare_capture(&mut self, work: &mut Work) -> Step<bool> {
        if self.built.is_none() || self.live() == 0 {
            self.consolidation.hold(false);
            return Step::Done(false);
        }
        while self.has_unlinked() {
            if self.link_unlinked(work) == Step::More || work.is_spent() {
                return Step::More;
            }
        }
        self.consolidation.hold(true);
        while !self.consolidation.is_at_rest() {
            // Done: readers have to be waited for.
            if self.consolidate(Urgency::Idle, work) == Step::Done(()) || work.is_spent() {
                return Step::More;
            }
        }
        Step::Done(true)
    }

    /// Begins to write the index down as it is now; writes its head.
    ///
    /// # Panics
    /// If it was not prepared a moment ago.
    pub fn begin_capture(&mut self, out: &mut Vec<u8>) -> IndexCapture {
        assert!(
            !self.has_unlinked() && self.consolidation.is_at_rest(),
            "an index is prepared first"
        );
        let slots = self.states.slots();
        let [live, vacant] = self.states.copy_sets();
        let built = self.built.as_mut().expect("an index without a graph is not captured");
        let (half_dimension, seen) = built.growth.parts();
        let root = built.graph.root().expect("a live vector is linked");
        out.extend_from_slice(&[
            VERSION,
            self.space.code_bits(),
            u8::from(self.space.is_tiny()),
            built.graph.height() as u8,
        ]);
        out.extend_from_slice(&(slots as u32).to_le_bytes());
        out.extend_from_slice(&root.to_le_bytes());
        for number in [built.graph.crowd() as u64, built.levels.state(), built.insert_work] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&half_dimension.to_le_bytes());
        out.extend_from_slice(&seen.to_le_bytes());
        for word in live.iter().chain(&vacant) {
            out.extend_from_slice(&word.to_le_bytes());
        }
        built.graph.begin_capture(slots);
        IndexCapture {
            slots: slots as u32,
            live,
            linked: None,
            next_row: 0,
            _reader: self.consolidation.reader(),
        }
    }

    /// Writes about so many more bytes of nodes. Done when all are written: then consolidation begins again.
    pub fn capture_links(&mut self, capture: &mut IndexCapture, bytes: usize, out: &mut Vec<u8>) -> Step<()> {
        let built = self.built.as_mut().expect("an index keeps its graph");
        let Step::Done(linked) = built.graph.capture_links(bytes, out) else {
            return Step::More;
        };
        capture.linked = Some(linked);
        self.consolidation.hold(false);
        Step::Done(())
    }

    /// Writes about so many more bytes of rows, once all links are written. Done when all are.
    pub fn capture_rows(&self, capture: &mut IndexCapture, bytes: usize, out: &mut Vec<u8>) -> Step<()> {
        let Some(linked) = &capture.linked else {
            return Step::Done(());
        };
        let bytes_max = out.len() + bytes;
        for slot in each(linked.words(), Words::One(0), capture.next_row as usize) {
            if out.len() >= bytes_max {
                return Step::More;
            }
            out.extend_from_slice(&slot.to_le_bytes());
            self.space.put_stored(slot, out);
            capture.next_row = slot + 1;
        }
        Step::Done(())
    }

    /// The index is written down, or no more of it is to be. The capture is to be dropped then.
    pub fn end_capture(&mut self) {
        if let Some(built) = &mut self.built {
            built.graph.end_capture();
        }
        self.consolidation.hold(false);
    }
}

/// An index that is being read.
pub struct IndexLoading {
    index: Index,
    graph: GraphLoading,
    numbering: Numbering,
    live: Bits,
    /// Slots whose row was read.
    rows: Bits,
    levels_state: u64,
    growth: Growth,
    insert_work: u64,
    buffer: Vec<f32>,
}

impl IndexLoading {
    /// Begins with the head. All pieces together are not longer than `bytes_max`: so much memory, about, is taken at once.
    ///
    /// # Errors
    /// If it is none that an index of these parameters writes.
    pub fn begin(
        parameters: Parameters,
        graph_min: usize,
        head: &[u8],
        bytes_max: u64,
    ) -> Result<IndexLoading, LoadFault> {
        let mut index = Index::with_graph_from(parameters, graph_min);
        let mut source = Source::new(head);
        let [version, code_bits, tiny, height] = [source.u8()?, source.u8()?, source.u8()?, source.u8()?];
        fault_unless(
            version == VERSION,
            "an index of a version that this server does not read",
        )?;
        fault_unless(
            tiny <= 1 && usize::from(height) <= LAYER_MAX,
            "an index with a head that is none",
        )?;
        let (slots, root) = (source.u32()?, source.u32()?);
        fault_unless(
            (1..=SLOTS_MAX).contains(&(slots as usize)),
            "an index with too many slots",
        )?;
        let (crowd, levels_state, insert_work) = (source.u64()?, source.u64()?, source.u64()?);
        fault_unless(
            crowd <= 2 * SLOTS_MAX as u64 && levels_state != 0 && insert_work <= INSERT_WORK_MAX,
            "an index with a head that is none",
        )?;
        let growth = Growth::of_parts(source.f32()?, source.u32()?).ok_or(LoadFault {
            what: "an index that has learned what none does",
        })?;
        let live = read_bits(&mut source, slots)?;
        let vacant = read_bits(&mut source, slots)?;
        fault_unless(source.is_empty(), "an index with a head that is too long")?;
        let numbering = Numbering::new(slots, &vacant);
        index.space.begin_restoring(code_bits, tiny == 1)?;
        let row_bytes = (index.space.stored_bytes() + NODE_BYTES_MIN) as u64;
        let rows_max = bytes_max / row_bytes + UNLINKED_MAX;
        fault_unless(
            numbering.taken() as u64 <= rows_max,
            "an index of more vectors than there are bytes",
        )?;
        let taken = numbering.taken();
        let mut live_here = Bits::with_room(taken);
        for slot in each(Words::Many(&live), Words::One(0), 0) {
            live_here.set(numbering.of(slot)?);
        }
        let root = numbering.of(root)?;
        Ok(IndexLoading {
            graph: GraphLoading::new(parameters.m, taken, (root, usize::from(height)), crowd as usize),
            index,
            numbering,
            live: live_here,
            rows: Bits::with_room(taken),
            levels_state,
            growth,
            insert_work,
            buffer: Vec::new(),
        })
    }

    /// Reads some nodes.
    ///
    /// # Errors
    /// If they are none of this index.
    pub fn nodes(&mut self, bytes: &[u8]) -> Result<(), LoadFault> {
        self.graph.nodes(&self.numbering, &mut Source::new(bytes))
    }

    /// Reads some rows.
    ///
    /// # Errors
    /// If they are none of this index.
    pub fn rows(&mut self, bytes: &[u8]) -> Result<(), LoadFault> {
        let mut source = Source::new(bytes);
        while !source.is_empty() {
            let slot = self.numbering.of(source.u32()?)?;
            let space = &mut self.index.space;
            fault_unless(slot as usize >= space.len(), "the rows of an index are not in order")?;
            while space.len() < slot as usize {
                space.skip_row();
            }
            space.restore(&mut source, &mut self.buffer)?;
            self.rows.set(slot);
        }
        Ok(())
    }

    /// The slot that the live vector of a slot of the index that was written has here.
    ///
    /// # Errors
    /// If it was not live.
    pub fn live_slot(&self, slot: u32) -> Result<Slot, LoadFault> {
        let slot = self.numbering.of(slot)?;
        fault_unless(self.live.holds(slot), "a slot that is not live")?;
        Ok(Slot(slot))
    }

    /// How many vectors are live.
    pub fn live(&self) -> usize {
        self.live.count()
    }

    /// All was read: the index, checked as a whole.
    ///
    /// # Errors
    /// If it is not one that could have been written.
    pub fn end(self) -> Result<Index, LoadFault> {
        let IndexLoading {
            mut index,
            graph,
            numbering,
            live,
            rows,
            ..
        } = self;
        fault_unless(live.count() > 0, "an index without a live vector")?;
        let (graph, linked) = graph.end(&live)?;
        let have_rows =
            rows.count() == linked.count() && each(rows.words(), Words::One(0), 0).all(|slot| linked.holds(slot));
        fault_unless(have_rows, "an index whose rows are not those of its nodes")?;
        while index.space.len() < numbering.taken() {
            index.space.skip_row();
        }
        let mut built = GraphParts::new(usize::from(index.m), index.seed);
        fault_unless(built.levels.go_on_from(self.levels_state), "a level generator at 0")?;
        (built.graph, built.growth, built.insert_work) = (graph, self.growth, self.insert_work);
        index.states = SlotStates::of(numbering.taken(), &live, &linked);
        index.built = Some(Box::new(built));
        Ok(index)
    }
}

/// 64 slots in a word.
fn read_bits(source: &mut Source<'_>, slots: u32) -> Result<Vec<u64>, LoadFault> {
    let words = (slots as usize).div_ceil(64);
    let bytes = source.take(8 * words)?;
    let mut source = Source::new(bytes);
    let bits: Vec<u64> = (0..words).map(|_| source.u64()).collect::<Result<_, _>>()?;
    let behind = match slots % 64 {
        0 => 0,
        rest => u64::MAX << rest,
    };
    let is_within = bits.last().is_none_or(|last| last & behind == 0);
    fault_unless(is_within, "a slot behind the last")?;
    Ok(bits)
}

/// The version of the format.
const VERSION: u8 = 1;

/// What a node takes, at least: slot, level, and host and number of links on the base layer. And the slot before its row.
const NODE_BYTES_MIN: usize = 4 + 1 + 4 + 2 + 4;

/// Slots that insertions under way may have had: they have no row. Far more than there are clients.
const UNLINKED_MAX: u64 = 65_536;

/// More work than any insertion takes, in units.
const INSERT_WORK_MAX: u64 = 1 << 40;

#[cfg(test)]
mod tests;

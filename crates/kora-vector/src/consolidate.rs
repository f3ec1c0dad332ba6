//! Consolidation: the dead leave the graph, their slots are taken again, and the memory of what is no longer needed is
//! given back. All of it in steps, between which anything else may run.
//!
//! # Which way, and why
//!
//! The dead are gathered into a batch and leave together, as in FreshDiskANN (Singh and others, 2021): one sweep over all
//! lists finds every link to them, which costs no memory for links back and, for a tenth of the nodes at once, hardly
//! any time. What takes a lost neighbour's place comes from that neighbour's own list, as there; but a list is not
//! pruned as a whole: the links that stay, stay, and only as many come beside them as went (IP-DiskANN, Xu and others,
//! 2025, replaces in-place with a few for each as well), most of them without being measured (see `repair_links`). MN-RU (Xiao
//! and others, 2024) repairs links at the moment of a replacement with the vector that comes. That would tie two vectors together
//! which have nothing to do with each other, unless they are near: then it is done (see `replace`), and little is left to repair.
//!
//! # A batch of the dead
//!
//! 1. Another node becomes the root, if that one is dead. All that are dead are *retired*: from now on no new link leads
//!    to one of them.
//! 2. *Detach*: one after the other leaves the tree of pinned links (see `tree`), so that nothing hangs on it, and its
//!    neighbours are tied to each other.
//! 3. *Sweep*: each list that names a retired node is repaired (see `repair_links`). Then nothing leads to them any more.
//! 4. *Wait*: searches and insertions that began before hold their place and may know them still.
//! 5. *Free*: their slots are vacant, and taken by the next insertions.
//! 6. *Reselect*: if half were removed since links were selected, the remaining nodes select others (see `reselect_links`).
//!
//! # A batch of moves
//!
//! When a good part of the slots is vacant, the vectors in the highest slots are copied into the lowest vacant ones, each
//! in one step with its links, its level and its place in the tree; the old slots are retired, with a note of where their
//! vector went, and links to them are followed there. The same sweep then lets all links lead to the new ones, the same
//! wait follows, and the end of every table is given back. Vectors in the highest slots and not those in the sparsest
//! chunks: so the tables of all widths, whose chunks hold different slots, end at the same place.

use std::sync::{Arc, OnceLock, Weak};

use crate::graph::{Census, Graph};
use crate::hnsw::Slot;
use crate::reconnect::reconnect;
use crate::repair_links::{arrange, repair_links};
use crate::reselect_links::reselect_links;
use crate::scratch::Scratch;
use crate::slot_states::SlotStates;
use crate::space::Space;
use crate::tree::{detach_step, move_root};
use crate::work::{FREED_BYTES_PER_UNIT, Step, Work};

/// Consolidation of one index.
#[derive(Debug, Default)]
pub(crate) struct Consolidation {
    /// What readers that begin now hold, once there was one: see [`Reader`].
    epoch: OnceLock<Arc<Epoch>>,
    /// None at rest: most collections are small and lose nothing.
    batch: Option<Box<Batch>>,
    /// No batch begins: see [`Consolidation::hold`].
    is_held: bool,
}

/// What is under way.
#[derive(Debug, Default)]
struct Batch {
    kind: Kind,
    stage: ConsolidationStage,
    /// How far it is, in slots that were dealt with, and of how many.
    progress: (usize, usize),
    /// So many nodes are removed by the end of it that the remaining ones have lost most of their neighbours.
    is_thinning: bool,
    /// Vectors that have moved since the last request for moves: from where, to where.
    moves: Vec<(Slot, Slot)>,
}

/// Held by an operation that remembers slots between two slices: none of them is reused meanwhile.
#[derive(Clone, Debug)]
pub(crate) struct Reader {
    _epoch: Arc<Epoch>,
}

#[derive(Debug, Default)]
struct Epoch;

#[derive(Debug, Default)]
enum ConsolidationStage {
    /// The batch is done. It is forgotten when its moves have been asked for.
    #[default]
    Done,
    /// The retired slot that is leaving the tree, the layer, and where the last step was.
    Detach {
        slot: u32,
        layer: usize,
        at: u32,
    },
    /// Live vectors move to lower slots.
    Move,
    /// Lists are repaired; the next one's slot.
    Sweep {
        next: u32,
    },
    /// No link leads to retired slots any more; current readers are waited for.
    Gather,
    Wait {
        readers: Weak<Epoch>,
    },
    Free,
    /// The remaining nodes select other links; the next one's slot.
    Reselect {
        next: u32,
    },
    /// Towers are brought together; the next one's slot.
    Rebuild {
        next: u32,
    },
    /// The chunks behind the last slot are freed.
    Shrink,
}

/// The parts of an index that change.
pub(crate) struct IndexParts<'a> {
    pub(crate) space: &'a mut Space,
    pub(crate) graph: Option<&'a mut Graph>,
    pub(crate) states: &'a mut SlotStates,
    pub(crate) scratch: &'a mut Scratch,
}

/// When a batch begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Urgency {
    /// During inserts: not before it is worth it.
    Insert,
    /// There is nothing else to do.
    Idle,
}

impl Consolidation {
    /// A reader that begins now.
    pub(crate) fn reader(&self) -> Reader {
        Reader {
            _epoch: Arc::clone(self.epoch.get_or_init(Arc::default)),
        }
    }

    /// Whether a step would find something to do.
    pub(crate) fn has_work(&self, states: &SlotStates, graph: Option<&Graph>, urgency: Urgency) -> bool {
        match self.stage() {
            ConsolidationStage::Done => !self.is_held && begins(states, graph, urgency).is_some(),
            ConsolidationStage::Wait { readers } => readers.strong_count() == 0,
            _ => true,
        }
    }

    /// Slots dealt with by the batch under way, and of how many.
    pub(crate) fn progress(&self) -> Option<(usize, usize)> {
        let batch = self.batch.as_ref()?;
        (!matches!(batch.stage, ConsolidationStage::Done)).then_some(batch.progress)
    }

    /// From now on no batch begins, or batches begin again. One that is under way goes on.
    pub(crate) fn hold(&mut self, is_held: bool) {
        self.is_held = is_held;
    }

    /// Whether no batch is under way.
    pub(crate) fn is_at_rest(&self) -> bool {
        matches!(self.stage(), ConsolidationStage::Done)
    }

    pub(crate) fn census(&self) -> Census {
        Census {
            unlinked: 0..0,
            swept: matches!(
                self.stage(),
                ConsolidationStage::Gather | ConsolidationStage::Wait { .. } | ConsolidationStage::Free
            ),
        }
    }

    /// Vectors that have moved since this was asked last: from where, to where.
    pub(crate) fn take_moves(&mut self) -> Vec<(Slot, Slot)> {
        let Some(batch) = &mut self.batch else {
            return Vec::new();
        };
        let moves = std::mem::take(&mut batch.moves);
        if matches!(batch.stage, ConsolidationStage::Done) {
            self.batch = None;
        }
        moves
    }

    /// Takes one step. Done when there is nothing to do, or nothing before readers have gone.
    pub(crate) fn step(&mut self, mut parts: IndexParts<'_>, urgency: Urgency, work: &mut Work) -> Step<()> {
        let kind = match self.stage() {
            ConsolidationStage::Done if !self.is_held => begins(parts.states, parts.graph.as_deref(), urgency),
            _ => None,
        };
        let batch = match (&mut self.batch, kind) {
            (batch, Some(kind)) => {
                batch.get_or_insert_default().begin(kind, &mut parts, work);
                return Step::More;
            }
            (None, None) => return Step::Done(()),
            (Some(batch), None) => batch,
        };
        match &batch.stage {
            ConsolidationStage::Done => return Step::Done(()),
            ConsolidationStage::Detach { slot, layer, at } => batch.detach((*slot, *layer, *at), &mut parts, work),
            ConsolidationStage::Move => batch.move_one(&mut parts, work),
            ConsolidationStage::Sweep { next } => batch.sweep(*next, &mut parts, work),
            ConsolidationStage::Gather => {
                // Those who read now are waited for.
                let readers = self.epoch.take().map_or_else(Weak::new, |epoch| Arc::downgrade(&epoch));
                batch.stage = ConsolidationStage::Wait { readers };
            }
            ConsolidationStage::Wait { readers } => {
                if readers.strong_count() > 0 {
                    return Step::Done(());
                }
                batch.stage = ConsolidationStage::Free;
            }
            ConsolidationStage::Free => batch.free(&mut parts, work),
            ConsolidationStage::Reselect { next } => batch.reselect_links(*next, &mut parts, work),
            ConsolidationStage::Rebuild { next } => batch.rebuild(*next, &mut parts, work),
            ConsolidationStage::Shrink => batch.shrink(&mut parts, work),
        }
        if matches!(batch.stage, ConsolidationStage::Done) && batch.moves.is_empty() {
            self.batch = None;
        }
        Step::More
    }

    fn stage(&self) -> &ConsolidationStage {
        self.batch
            .as_ref()
            .map_or(&ConsolidationStage::Done, |batch| &batch.stage)
    }
}

impl Batch {
    fn begin(&mut self, kind: Kind, parts: &mut IndexParts<'_>, work: &mut Work) {
        let slots = parts.states.slots();
        self.kind = kind;
        self.is_thinning = false;
        if kind == Kind::Moves {
            let moves = slots - parts.states.live_count();
            self.progress = (0, moves + slots + moves);
            self.stage = ConsolidationStage::Move;
            return;
        }
        let retired = parts.states.dead_count();
        let Some(graph) = parts.graph.as_deref_mut() else {
            parts.states.retire_dead();
            self.progress = (0, retired);
            self.stage = ConsolidationStage::Gather;
            return;
        };
        if let Some(root) = graph.root().filter(|&root| parts.states.is_leaving(root)) {
            let heir = heir(graph, parts.states, root).expect("a batch begins while some are live");
            move_root(parts.space, graph, heir, &mut parts.scratch.bench, work);
        }
        parts.states.retire_dead();
        self.is_thinning = graph.is_thinned(parts.states.live_count(), retired);
        let rechosen = if self.is_thinning { slots } else { 0 };
        self.progress = (0, 2 * retired + slots + rechosen);
        self.next_to_detach(0, parts);
    }

    fn next_to_detach(&mut self, from: u32, parts: &mut IndexParts<'_>) {
        self.stage = match parts.states.next_retired(from) {
            Some(slot) => ConsolidationStage::Detach {
                slot,
                layer: 0,
                at: slot,
            },
            None => ConsolidationStage::Sweep { next: 0 },
        };
    }

    fn detach(&mut self, (slot, layer, at): (u32, usize, u32), parts: &mut IndexParts<'_>, work: &mut Work) {
        let graph = parts.graph.as_deref_mut().expect("only nodes are detached");
        if graph.host(layer, slot).is_some() {
            let bench = &mut parts.scratch.bench;
            let next = detach_step(parts.space, graph, parts.states, (layer, slot), at, bench, work);
            if let Some(at) = next {
                self.stage = ConsolidationStage::Detach { slot, layer, at };
                return;
            }
        }
        let bench = &mut parts.scratch.bench;
        reconnect(parts.space, graph, parts.states, (layer, slot), bench, work);
        if layer == 0 {
            arrange(parts.space, graph, slot, bench, work);
        }
        if layer < graph.level(slot) {
            self.stage = ConsolidationStage::Detach {
                slot,
                layer: layer + 1,
                at: slot,
            };
            return;
        }
        self.progress.0 += 1;
        self.next_to_detach(slot + 1, parts);
    }

    fn move_one(&mut self, parts: &mut IndexParts<'_>, work: &mut Work) {
        let graph = parts
            .graph
            .as_deref_mut()
            .expect("only an index with a graph moves its vectors");
        let Some((from, to)) = parts.states.next_move() else {
            self.stage = ConsolidationStage::Sweep { next: 0 };
            return;
        };
        parts.space.copy(from, to);
        graph.move_node(from, to);
        parts.states.note_move(from, to);
        self.moves
            .push((Slot::from_index(from as usize), Slot::from_index(to as usize)));
        self.progress.0 += 1;
        work.spend(MOVE_WORK + parts.space.dimension() as u64);
    }

    fn sweep(&mut self, next: u32, parts: &mut IndexParts<'_>, work: &mut Work) {
        let graph = parts.graph.as_deref_mut().expect("only lists are swept");
        let end = (next + SWEPT_AT_ONCE).min(parts.states.slots() as u32);
        let mut slot = next;
        while slot < end && (slot == next || !work.is_spent()) {
            if graph.is_linked(slot) && !parts.states.is_retired(slot) {
                for layer in 0..=graph.level(slot) {
                    repair_links(parts.space, graph, parts.states, (layer, slot), parts.scratch, work);
                }
            }
            work.spend(VISIT_WORK);
            slot += 1;
        }
        self.progress.0 += (slot - next) as usize;
        self.stage = ConsolidationStage::Sweep { next: slot };
        if slot as usize == parts.states.slots() {
            graph.dismiss_detached();
            self.stage = ConsolidationStage::Gather;
        }
    }

    fn free(&mut self, parts: &mut IndexParts<'_>, work: &mut Work) {
        for _ in 0..FREED_AT_ONCE {
            let Some(slot) = parts.states.first_retired() else {
                self.end(parts);
                return;
            };
            if let Some(graph) = parts.graph.as_deref_mut() {
                graph.close(slot);
            }
            parts.states.vacate(slot);
            self.progress.0 += 1;
            work.spend(FREE_WORK);
        }
    }

    /// All are vacant.
    fn end(&mut self, parts: &mut IndexParts<'_>) {
        self.stage = match self.is_thinning {
            true => ConsolidationStage::Reselect { next: 0 },
            false => ConsolidationStage::Done,
        };
        // Also if no vector had to move: all vacant slots may have been at the end.
        if let Some(graph) = parts.graph.as_deref_mut()
            && self.kind == Kind::Moves
        {
            parts.states.truncate();
            parts.space.truncate(parts.states.slots());
            graph.truncate(parts.states.slots());
            graph.begin_rebuilding();
            self.stage = ConsolidationStage::Rebuild { next: 0 };
        }
        parts.states.forget_moves();
    }

    fn reselect_links(&mut self, next: u32, parts: &mut IndexParts<'_>, work: &mut Work) {
        let graph = parts.graph.as_deref_mut().expect("only links are chosen");
        if next as usize == parts.states.slots() {
            self.stage = ConsolidationStage::Done;
            return;
        }
        if parts.states.is_live(next) && graph.is_linked(next) {
            reselect_links(parts.space, graph, parts.states, next, parts.scratch, work);
        }
        work.spend(VISIT_WORK);
        self.progress.0 += 1;
        self.stage = ConsolidationStage::Reselect { next: next + 1 };
    }

    fn rebuild(&mut self, next: u32, parts: &mut IndexParts<'_>, work: &mut Work) {
        let graph = parts.graph.as_deref_mut().expect("only a graph has towers");
        let end = (next + REBUILT_AT_ONCE).min(parts.states.slots() as u32);
        (next..end).for_each(|slot| graph.rebuild_tower(slot));
        work.spend(u64::from(end - next) * REBUILD_WORK);
        self.stage = ConsolidationStage::Rebuild { next: end };
        if end as usize == parts.states.slots() {
            graph.end_rebuilding();
            self.stage = ConsolidationStage::Shrink;
        }
    }

    fn shrink(&mut self, parts: &mut IndexParts<'_>, work: &mut Work) {
        let links = || parts.graph.as_deref_mut()?.release_spare();
        match parts.space.release_spare().or_else(links) {
            Some(bytes) => work.spend(bytes as u64 / FREED_BYTES_PER_UNIT),
            None => self.stage = ConsolidationStage::Done,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Kind {
    #[default]
    Dead,
    Moves,
}

/// What kind of batch begins now, if any.
fn begins(states: &SlotStates, graph: Option<&Graph>, urgency: Urgency) -> Option<Kind> {
    let (dead, live, vacant) = (states.dead_count(), states.live_count(), states.vacant_count());
    let (dead_one_in, vacant_one_in) = match (urgency, graph) {
        (Urgency::Insert, Some(_)) => (DEAD_ONE_IN, VACANT_ONE_IN),
        (Urgency::Idle, Some(_)) => (DEAD_ONE_IN_IDLE, VACANT_ONE_IN_IDLE),
        (_, None) => (DEAD_ONE_IN_SMALL, VACANT_ONE_IN),
    };
    // Nobody live: nobody could be the root. Such an index is of no use to anybody, and best replaced.
    if live > 0 && dead > 0 && dead * dead_one_in >= live {
        return Some(Kind::Dead);
    }
    let is_sparse = vacant * vacant_one_in >= states.slots() && vacant >= VACANT_MIN;
    if graph.is_none() || live == 0 || !is_sparse {
        return None;
    }
    match states.can_shrink() {
        true => Some(Kind::Moves),
        // The dead in the highest slots, however few, hold what is vacant below them.
        false => (dead > 0).then_some(Kind::Dead),
    }
}

/// Who shall be the root: a neighbour of the old one, of as high a layer as there is one, or else anybody live.
fn heir(graph: &Graph, states: &SlotStates, root: u32) -> Option<u32> {
    let stays = |slot: &u32| states.is_live(*slot) && graph.is_linked(*slot);
    let near = (0..=graph.height())
        .rev()
        .find_map(|layer| graph.links(layer, root).map(|link| link.slot()).find(stays));
    near.or_else(|| states.live_from(0).find(stays))
}

/// Under load a batch begins when the dead are one for twenty live. Until it ends about a third as many more have died, one for
/// each inserted: so a walk expands up to a fifteenth more nodes, and so many more slots are taken.
const DEAD_ONE_IN: usize = 20;

/// With nothing else to do, a batch is worth a sweep when the dead are one in 64: that costs a look at each list, and for
/// the lists that are repaired less than inserting one in a hundred of the vectors again.
const DEAD_ONE_IN_IDLE: usize = 64;

/// Without a graph there is nothing to sweep.
const DEAD_ONE_IN_SMALL: usize = 16;

/// Under load vectors move when a quarter of the slots is vacant. Steady replacement leaves a fifteenth of them vacant, which
/// the next insertions take: those are not to be moved for.
const VACANT_ONE_IN: usize = 4;

/// With nothing else to do, they move when one in 24 is: so an index at rest holds at most that much more than a fresh one,
/// where a quarter would be left to it for good. A move costs some microseconds, where inserting again took a hundred.
const VACANT_ONE_IN_IDLE: usize = 24;

/// Fewer slots than this are not worth a look at every list.
const VACANT_MIN: usize = 16;

/// Lists swept in a step.
const SWEPT_AT_ONCE: u32 = 16;

/// Slots freed in a step.
const FREED_AT_ONCE: usize = 16;

/// Towers looked at in a step.
const REBUILT_AT_ONCE: u32 = 256;

/// A node's rows are read and written, from memory: about eight cache misses. And the owner of the index gives its name to the
/// new slot, which is as many.
const MOVE_WORK: u64 = 4_096;

/// A slot's list is cleared: 0.13 µs.
const FREE_WORK: u64 = 384;

/// A look at whether a slot has something to be done about: a cache miss, once for sixteen of them, and a step of its own at
/// worst. Where nine in ten have gone it is most of what there is to do.
const VISIT_WORK: u64 = 128;

/// A look at a slot's tower.
const REBUILD_WORK: u64 = 16;

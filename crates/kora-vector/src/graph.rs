//! The links of the graph, layer by layer, and the written definition of a sound graph.
//!
//! A node's list is a run of link words of fixed length; a word of all ones ends it early. On the base layer lists lie
//! side by side, one per slot (2M words: whole cache lines at M 16). A node of a higher level has a *tower*: one row of
//! M words per layer above the base, in an arena of their own, since only one node in M has one.
//!
//! # Every node stays reachable
//!
//! The paper cuts a full list to the best, and the link that is cut may have been the last that led to its target. Here
//! each node except the root has on each of its layers one *pinned* link leading to it, set when the node is linked,
//! from a node that was linked before, and never cut. The pinned links of a layer form a tree under the root, so
//! everything is reachable however the other links change. It costs one bit of a word that was read anyway; counting
//! the links to a node instead, or keeping all links in pairs, needs memory and does not prevent two nodes holding on
//! to each other only.
//!
//! The tree would be lost if the root moved, so it does not: the first node linked is the entry for good, and stands on
//! the highest layer there is. So that a node keeps room for links of its own choice, at most half its list is pinned.

use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use crate::arena::Rows;
use crate::roll::Roll;

/// The links, and how many nodes are linked.
pub(crate) struct Graph {
    /// Links on an upper layer; the base layer holds twice as many.
    m: usize,
    /// Per slot: 2M link words.
    base: Rows,
    /// Per slot: the first row of its tower, or `NONE`.
    towers: Rows,
    /// Per layer of a tower: its height (in the first row only), then M link words.
    upper: Rows,
    /// The first node that was linked. Invariant: stands on every layer, is never unlinked.
    root: Option<u32>,
    /// The highest layer.
    height: usize,
    linked_count: usize,
}

/// One entry of a list: a slot, and whether the link is pinned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Link(u32);

impl Link {
    pub(crate) fn new(slot: u32, pinned: bool) -> Link {
        Link(slot | if pinned { PINNED } else { 0 })
    }

    #[inline(always)]
    pub(crate) fn slot(self) -> u32 {
        self.0 & !PINNED
    }

    pub(crate) fn is_pinned(self) -> bool {
        self.0 & PINNED != 0
    }
}

/// A way in which a graph is not sound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What is wrong, with the layer and the slots.
    pub what: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for Fault {}

impl Graph {
    pub(crate) fn new(m: usize) -> Graph {
        Graph {
            m,
            base: Rows::new(2 * m),
            towers: Rows::new(1),
            upper: Rows::new(m + 1),
            root: None,
            height: 0,
            linked_count: 0,
        }
    }

    pub(crate) fn root(&self) -> Option<u32> {
        self.root
    }

    pub(crate) fn height(&self) -> usize {
        self.height
    }

    /// Nodes that are walked, live or not.
    pub(crate) fn linked_count(&self) -> usize {
        self.linked_count
    }

    /// Whether the node is walked.
    pub(crate) fn is_linked(&self, slot: u32) -> bool {
        self.root == Some(slot) || self.links(0, slot).next().is_some()
    }

    /// Makes room for one more slot, on layers 0 to `level`; nothing leads to it yet.
    pub(crate) fn push(&mut self, level: usize) -> u32 {
        let slot = self.base.push();
        self.base.words(slot).iter().for_each(|word| word.store(NONE, Relaxed));
        assert_eq!(self.towers.push(), slot, "every slot has an entry in both tables");
        let tower = self.build_tower(level);
        self.towers.words(slot)[0].store(tower, Relaxed);
        slot
    }

    /// The highest layer the node stands on.
    pub(crate) fn level(&self, slot: u32) -> usize {
        match self.towers.words(slot)[0].load(Relaxed) {
            NONE => 0,
            tower => self.upper.words(tower)[0].load(Relaxed) as usize,
        }
    }

    /// Makes the first node the entry.
    pub(crate) fn plant(&mut self, slot: u32) {
        assert!(self.root.is_none(), "a graph has one root");
        self.root = Some(slot);
        self.height = self.level(slot);
        self.linked_count += 1;
    }

    /// Counts a node whose first link is about to be set, and lifts the root to its level.
    pub(crate) fn admit(&mut self, slot: u32) {
        self.linked_count += 1;
        let level = self.level(slot);
        if level <= self.height {
            return;
        }
        let root = self.root.expect("only the first node is linked without a root");
        // The old tower is left behind: it happens at most LAYER_MAX times in the life of a graph.
        let tower = self.build_tower(level);
        for layer in 1..=self.height {
            let links: Vec<Link> = self.links(layer, root).collect();
            self.write(self.upper.words(tower + layer as u32 - 1)[1..].iter(), &links);
        }
        self.towers.words(root)[0].store(tower, Relaxed);
        self.height = level;
    }

    /// How many links a list on this layer holds.
    #[inline]
    pub(crate) fn capacity(&self, layer: usize) -> usize {
        if layer == 0 { 2 * self.m } else { self.m }
    }

    /// How many of them may be pinned: half, and at least two, so that the tree of pinned links branches.
    pub(crate) fn pinned_max(&self, layer: usize) -> usize {
        (self.capacity(layer) / 2).max(2)
    }

    /// The links of a node on a layer it stands on.
    #[inline]
    pub(crate) fn links(&self, layer: usize, slot: u32) -> impl Iterator<Item = Link> + '_ {
        self.list(layer, slot)
            .iter()
            .map(|word| word.load(Relaxed))
            .take_while(|&word| word != NONE)
            .map(Link)
    }

    /// Where the list of a node on the base layer begins, for the caches' sake.
    #[inline]
    pub(crate) fn base_address(&self, slot: u32) -> *const u8 {
        self.base.address(slot).cast()
    }

    /// Replaces the links of a node.
    pub(crate) fn set_links(&mut self, layer: usize, slot: u32, links: &[Link]) {
        self.write(self.list(layer, slot).iter(), links);
    }

    /// Adds a link to a list that has room.
    pub(crate) fn add_link(&mut self, layer: usize, slot: u32, link: Link) {
        let free = self.list(layer, slot).iter().find(|word| word.load(Relaxed) == NONE);
        free.expect("the caller counted the links").store(link.0, Relaxed);
    }

    /// Bytes of the links and of what is kept per slot beside the vector.
    pub(crate) fn bytes(&self) -> usize {
        let tables = self.base.allocated_bytes() + self.towers.allocated_bytes() + self.upper.allocated_bytes();
        tables + size_of::<Graph>()
    }

    pub(crate) fn release_chunk(&mut self) -> Option<usize> {
        self.root = None;
        self.base
            .release_chunk()
            .or_else(|| self.upper.release_chunk())
            .or_else(|| self.towers.release_chunk())
    }

    #[inline]
    fn list(&self, layer: usize, slot: u32) -> &[AtomicU32] {
        if layer == 0 {
            return self.base.words(slot);
        }
        let tower = self.towers.words(slot)[0].load(Relaxed);
        debug_assert!(
            tower != NONE && layer <= self.level(slot),
            "slot {slot} does not stand on layer {layer}"
        );
        &self.upper.words(tower + layer as u32 - 1)[1..]
    }

    fn write<'a>(&self, list: impl ExactSizeIterator<Item = &'a AtomicU32>, links: &[Link]) {
        assert!(links.len() <= list.len(), "a list holds at most its capacity");
        for (place, word) in list.enumerate() {
            word.store(links.get(place).map_or(NONE, |link| link.0), Relaxed);
        }
    }

    /// Rows for the layers 1 to `level`; the first of them, or `NONE` for a node of the base layer only.
    fn build_tower(&mut self, level: usize) -> u32 {
        if level == 0 {
            return NONE;
        }
        let tower = self.upper.len() as u32;
        for _ in 0..level {
            let row = self.upper.push();
            self.upper.words(row)[1..]
                .iter()
                .for_each(|word| word.store(NONE, Relaxed));
        }
        self.upper.words(tower)[0].store(level as u32, Relaxed);
        tower
    }
}

/// The definition of a sound graph, and its test. Slow: it reads every link.
///
/// 1. Every link names a slot that exists, not its own, and none twice; the target stands on the layer of the link.
/// 2. At most half of a list is pinned, and exactly one pinned link leads to each node on each of its layers, none to
///    the root.
/// 3. Walking from the root down, through all links of each layer, reaches every linked node, and every live one that is not
///    loose on each layer it stands on.
impl Graph {
    /// `loose` are the slots that are not linked yet and may be live all the same.
    pub(crate) fn check(&self, roll: &Roll, loose: Range<u32>) -> Result<(), Fault> {
        let slots = self.base.len();
        let mut linked = vec![false; slots];
        for layer in (0..=self.height).rev() {
            let mut pinned_to = vec![0u32; slots];
            let mut reached = vec![false; slots];
            // Whoever was reached above is where the walk on this layer may begin.
            let mut open: Vec<u32> = (0..slots as u32).filter(|&slot| linked[slot as usize]).collect();
            open.extend(self.root.filter(|&root| !linked[root as usize]));
            open.iter().for_each(|&slot| reached[slot as usize] = true);
            while let Some(slot) = open.pop() {
                linked[slot as usize] = true;
                self.check_list(layer, slot, &mut pinned_to)?;
                for link in self.links(layer, slot) {
                    if !std::mem::replace(&mut reached[link.slot() as usize], true) {
                        open.push(link.slot());
                    }
                }
            }
            let settled = |&slot: &u32| !loose.contains(&slot) && self.level(slot) >= layer;
            for slot in roll.live_from(0).filter(settled) {
                fault_unless(reached[slot as usize], || {
                    format!("live slot {slot} is not reachable on layer {layer}")
                })?;
            }
            for slot in 0..slots {
                let wanted = u32::from(reached[slot] && Some(slot as u32) != self.root);
                fault_unless(pinned_to[slot] == wanted, || {
                    format!(
                        "layer {layer}: {} pinned links lead to {slot}, not {wanted}",
                        pinned_to[slot]
                    )
                })?;
            }
        }
        let reached = linked.iter().filter(|&&linked| linked).count();
        fault_unless(reached == self.linked_count, || {
            format!("{reached} nodes reached of {}", self.linked_count)
        })?;
        let live = roll.live_from(0).count();
        fault_unless(live == roll.live_count(), || {
            format!("{live} live nodes, {} counted", roll.live_count())
        })
    }

    fn check_list(&self, layer: usize, slot: u32, pinned_to: &mut [u32]) -> Result<(), Fault> {
        let links: Vec<Link> = self.links(layer, slot).collect();
        let pinned = links.iter().filter(|link| link.is_pinned()).count();
        fault_unless(pinned <= self.pinned_max(layer), || {
            format!("layer {layer}: {slot} has {pinned} pinned links")
        })?;
        for (place, link) in links.iter().enumerate() {
            let target = link.slot();
            let name = || format!("layer {layer}: link {slot} to {target}");
            fault_unless((target as usize) < self.base.len(), || name() + " leads out of range")?;
            fault_unless(target != slot, || name() + " leads to itself")?;
            fault_unless(self.level(target) >= layer, || {
                name() + " leads to a node of a lower level"
            })?;
            fault_unless(links[..place].iter().all(|l| l.slot() != target), || {
                name() + " is there twice"
            })?;
            pinned_to[target as usize] += u32::from(link.is_pinned());
        }
        Ok(())
    }
}

fn fault_unless(sound: bool, what: impl FnOnce() -> String) -> Result<(), Fault> {
    if sound { Ok(()) } else { Err(Fault { what: what() }) }
}

/// Ends a list that is not full, and is the tower of a node that has none.
const NONE: u32 = u32::MAX;

/// The mark of a pinned link.
const PINNED: u32 = 1 << 31;

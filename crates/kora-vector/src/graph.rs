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
//! and never cut. The pinned links of a layer form a tree under the root, so everything is reachable however the other
//! links change. It costs one bit of a word that was read anyway, and four bytes for a node to know its *host*, who
//! holds that link: so a tree can be repaired where nodes are removed (see `tree`). Counting the links to a node instead, or
//! keeping all links in pairs, needs memory and does not prevent two nodes holding on to each other only.
//!
//! The root stands on the highest layer there is; another takes its place before it goes. So that a node keeps room for
//! links of its own choice, at most half its list is pinned.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use crate::arena::{LinkRows, Reading};

mod check;
mod persist;

pub(crate) use self::check::Census;
pub use self::check::Fault;
pub(crate) use self::persist::GraphLoading;
use self::persist::LinkCapture;

/// The links, and how many nodes are linked.
pub(crate) struct Graph {
    /// Links on an upper layer; the base layer holds twice as many.
    m: usize,
    /// Per slot: 2M link words.
    base: LinkRows,
    /// Per slot: the first row of its tower or `NONE`, and the host on the base layer or `NONE`.
    slots: LinkRows,
    /// Per layer of a tower: its height (in the first row only), the host on that layer or `NONE`, then M link words.
    /// Towers stand in one table, until they are brought to the other one because many have gone: see
    /// [`Graph::rebuild_tower`].
    upper: [LinkRows; 2],
    /// Which of the two new towers are built in: 0 or 1.
    upper_now: usize,
    /// Towers that are not used, by their height, in the table that is used now.
    vacant_towers: Vec<Vec<u32>>,
    /// Where every walk begins. Invariant: stands on every layer, is not retired.
    root: Option<u32>,
    /// The highest layer.
    height: usize,
    /// Nodes that are walked.
    linked_count: usize,
    /// Those of them that have left the tree.
    detached_count: usize,
    /// How many vectors there were, at most, since links were chosen for as few as there are now.
    crowd: usize,
    /// While the links are written down for a snapshot: see [`Graph::begin_capture`].
    capture: Option<Box<LinkCapture>>,
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

impl Graph {
    pub(crate) fn new(m: usize) -> Graph {
        Graph {
            m,
            base: LinkRows::new(2 * m, Reading::AtRandom),
            slots: LinkRows::new(2, Reading::Otherwise),
            upper: [(); 2].map(|()| LinkRows::new(m + TOWER_HEAD, Reading::Otherwise)),
            upper_now: 0,
            vacant_towers: Vec::new(),
            root: None,
            height: 0,
            linked_count: 0,
            detached_count: 0,
            crowd: 0,
            capture: None,
        }
    }

    pub(crate) fn root(&self) -> Option<u32> {
        self.root
    }

    pub(crate) fn height(&self) -> usize {
        self.height
    }

    /// So many vectors stay when so many more have left. True if links were chosen for so many more than stay that it is time
    /// to choose them anew; it is taken for done then.
    pub(crate) fn is_thinned(&mut self, staying: usize, leaving: usize) -> bool {
        self.crowd = self.crowd.max(staying + leaving);
        let is_thinned = staying * THINNED_ONE_IN <= self.crowd;
        if is_thinned {
            self.crowd = staying;
        }
        is_thinned
    }

    /// Nodes that are walked, live or not.
    pub(crate) fn linked_count(&self) -> usize {
        self.linked_count
    }

    /// Whether the node is walked, and not about to be forgotten.
    pub(crate) fn is_linked(&self, slot: u32) -> bool {
        self.root == Some(slot) || self.host(0, slot).is_some()
    }

    /// Makes room for a slot, new or vacant, on layers 0 to `level`; nothing leads to it yet.
    pub(crate) fn open(&mut self, slot: u32, level: usize) {
        self.preserve(slot);
        self.base.reach(slot);
        self.slots.reach(slot);
        self.base.words(slot).iter().for_each(|word| word.store(NONE, Relaxed));
        let tower = self.build_tower(level);
        self.set_tower(slot, tower);
        self.slots.words(slot)[1].store(NONE, Relaxed);
    }

    /// Forgets the links of a node that nothing leads to.
    pub(crate) fn close(&mut self, slot: u32) {
        self.preserve(slot);
        let level = self.level(slot);
        if level > 0 {
            self.give_up_tower(self.tower(slot), level);
            self.set_tower(slot, NONE);
        }
        self.base.words(slot).iter().for_each(|word| word.store(NONE, Relaxed));
    }

    /// The highest layer the node stands on.
    pub(crate) fn level(&self, slot: u32) -> usize {
        match self.tower(slot) {
            NONE => 0,
            tower => self.tower_row(tower, 1)[0].load(Relaxed) as usize,
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
        if level > self.height {
            self.lift(self.root.expect("only the first node is linked without a root"), level);
            self.height = level;
        }
    }

    /// Takes a node that nothing is pinned by out of the tree of a layer.
    pub(crate) fn leave_tree(&mut self, layer: usize, slot: u32) {
        debug_assert_eq!(self.pinned_count(layer, slot), 0, "nobody hangs on it");
        self.unpin(layer, slot);
        self.detached_count += usize::from(layer == 0);
    }

    /// Those that have left the tree are not walked any more.
    pub(crate) fn dismiss_detached(&mut self) {
        self.linked_count -= std::mem::take(&mut self.detached_count);
    }

    /// Makes another node the entry; it has no host on any layer.
    pub(crate) fn set_root(&mut self, slot: u32) {
        assert_eq!(self.level(slot), self.height, "the root stands on every layer");
        self.root = Some(slot);
    }

    /// Lets a node stand on more layers, where its list is empty.
    pub(crate) fn lift(&mut self, slot: u32, level: usize) {
        self.preserve(slot);
        let before = self.level(slot);
        if level <= before {
            return;
        }
        let (old, tower) = (self.tower(slot), self.build_tower(level));
        for layer in 1..=before {
            let (from, to) = (self.tower_row(old, layer), self.tower_row(tower, layer));
            from[1..]
                .iter()
                .zip(&to[1..])
                .for_each(|(word, place)| place.store(word.load(Relaxed), Relaxed));
        }
        self.set_tower(slot, tower);
        if before > 0 {
            self.give_up_tower(old, before);
        }
    }

    /// The node that holds the pinned link to this one on a layer; none for the root, and for one that is not linked
    /// there.
    pub(crate) fn host(&self, layer: usize, slot: u32) -> Option<u32> {
        let host = self.host_word(layer, slot).load(Relaxed);
        (host != NONE).then_some(host)
    }

    /// Pins a link that is there. Nothing is pinned to its target yet.
    pub(crate) fn pin(&mut self, layer: usize, host: u32, slot: u32) {
        debug_assert!(self.host(layer, slot).is_none(), "one pinned link leads to a node");
        self.mark(layer, host, slot, true);
        self.note_host(layer, host, slot);
    }

    /// Notes that the pinned link to a node is this one's.
    pub(crate) fn note_host(&mut self, layer: usize, host: u32, slot: u32) {
        self.preserve(slot);
        self.host_word(layer, slot).store(host, Relaxed);
    }

    /// Makes the pinned link to a node an ordinary one.
    pub(crate) fn unpin(&mut self, layer: usize, slot: u32) {
        self.preserve(slot);
        let host = self.host(layer, slot).expect("a pinned link leads to it");
        self.mark(layer, host, slot, false);
        self.host_word(layer, slot).store(NONE, Relaxed);
    }

    /// How many of a node's links are pinned.
    pub(crate) fn pinned_count(&self, layer: usize, slot: u32) -> usize {
        self.links(layer, slot).filter(|link| link.is_pinned()).count()
    }

    /// Whether a list has room for one more pinned link, perhaps in the place of another.
    pub(crate) fn has_pinned_room(&self, layer: usize, slot: u32) -> bool {
        self.pinned_count(layer, slot) < self.pinned_max(layer)
    }

    /// Puts a node's lists and place in the tree where another slot is, which is open and has no tower.
    pub(crate) fn move_node(&mut self, from: u32, to: u32) {
        self.preserve(from);
        self.preserve(to);
        let level = self.level(from);
        self.base.copy(from, to);
        self.slots.copy(from, to);
        if level > 0 {
            // The old tower stays with the old slot, whose readers go on.
            let tower = self.build_tower(level);
            for layer in 1..=level {
                let (old, new) = (self.tower_row(self.tower(from), layer), self.tower_row(tower, layer));
                old.iter()
                    .zip(new)
                    .for_each(|(word, place)| place.store(word.load(Relaxed), Relaxed));
            }
            self.set_tower(to, tower);
        }
        for layer in 0..=level {
            let children: Vec<u32> = self
                .links(layer, to)
                .filter(|link| link.is_pinned())
                .map(Link::slot)
                .collect();
            children.into_iter().for_each(|child| self.note_host(layer, to, child));
            if let Some(host) = self.host(layer, to) {
                self.redirect(layer, host, from, to);
                self.host_word(layer, from).store(NONE, Relaxed);
            }
            // What the old node still leads to is not its own any more.
            self.list(layer, from)
                .iter()
                .filter(|word| word.load(Relaxed) != NONE)
                .for_each(|word| word.store(word.load(Relaxed) & !PINNED, Relaxed));
        }
        if self.root == Some(from) {
            self.root = Some(to);
        }
    }

    /// Lets a link lead to another slot.
    pub(crate) fn redirect(&mut self, layer: usize, slot: u32, from: u32, to: u32) {
        self.preserve(slot);
        let word = self.word_of(layer, slot, from);
        word.store(to | word.load(Relaxed) & PINNED, Relaxed);
    }

    /// Forgets the slots from `len` on, which are closed.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.base.truncate(len);
        self.slots.truncate(len);
    }

    /// Frees a chunk that no slot needs; the bytes freed, or none if there is none.
    pub(crate) fn release_spare(&mut self) -> Option<usize> {
        let unused = &mut self.upper[1 - self.upper_now];
        let tables = [&mut self.base, &mut self.slots, unused];
        tables.into_iter().find_map(LinkRows::release_spare)
    }

    /// Begins to bring all towers together, each with [`Graph::rebuild_tower`].
    pub(crate) fn begin_rebuilding(&mut self) {
        self.upper_now = 1 - self.upper_now;
        self.vacant_towers.clear();
    }

    /// Brings one node's tower to the table that is used now.
    pub(crate) fn rebuild_tower(&mut self, slot: u32) {
        self.preserve(slot);
        let (old, level) = (self.tower(slot), self.level(slot));
        if level == 0 || table_of(old) == self.upper_now {
            return;
        }
        let tower = self.build_tower(level);
        for layer in 1..=level {
            let (from, to) = (self.tower_row(old, layer), self.tower_row(tower, layer));
            from.iter()
                .zip(to)
                .for_each(|(word, place)| place.store(word.load(Relaxed), Relaxed));
        }
        self.set_tower(slot, tower);
    }

    /// All towers were rebuilt.
    pub(crate) fn end_rebuilding(&mut self) {
        self.upper[1 - self.upper_now].truncate(0);
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
        self.preserve(slot);
        self.write(self.list(layer, slot).iter(), links);
    }

    /// Adds a link to a list that has room.
    pub(crate) fn add_link(&mut self, layer: usize, slot: u32, link: Link) {
        self.preserve(slot);
        let free = self.list(layer, slot).iter().find(|word| word.load(Relaxed) == NONE);
        free.expect("the caller counted the links").store(link.0, Relaxed);
    }

    /// Bytes of the links and of what is kept per slot beside the vector.
    pub(crate) fn bytes(&self) -> usize {
        let [one, other] = &self.upper;
        let tables = [&self.base, &self.slots, one, other].map(LinkRows::allocated_bytes);
        tables.iter().sum::<usize>() + size_of::<Graph>()
    }

    /// Bytes of a slot on the base layer. Few have a tower.
    pub(crate) fn slot_bytes(&self) -> usize {
        self.base.row_bytes() + self.slots.row_bytes()
    }

    /// Bytes that the base layer grows by for one more slot.
    pub(crate) fn growth_bytes(&self) -> usize {
        self.base.growth_bytes() + self.slots.growth_bytes()
    }

    pub(crate) fn chunk_count(&self) -> usize {
        let [one, other] = &self.upper;
        [&self.base, &self.slots, one, other]
            .map(LinkRows::chunk_count)
            .iter()
            .sum()
    }

    pub(crate) fn release_chunk(&mut self) -> Option<usize> {
        self.root = None;
        self.base
            .release_chunk()
            .or_else(|| self.upper.iter_mut().find_map(LinkRows::release_chunk))
            .or_else(|| self.slots.release_chunk())
    }

    #[inline]
    fn list(&self, layer: usize, slot: u32) -> &[AtomicU32] {
        if layer == 0 {
            return self.base.words(slot);
        }
        debug_assert!(layer <= self.level(slot), "slot {slot} does not stand on layer {layer}");
        &self.tower_row(self.tower(slot), layer)[TOWER_HEAD..]
    }

    fn tower(&self, slot: u32) -> u32 {
        self.slots.words(slot)[0].load(Relaxed)
    }

    fn set_tower(&mut self, slot: u32, tower: u32) {
        self.slots.words(slot)[0].store(tower, Relaxed);
    }

    /// What a tower has on a layer, its head included.
    #[inline]
    fn tower_row(&self, tower: u32, layer: usize) -> &[AtomicU32] {
        self.upper[table_of(tower)].words((tower & !OTHER_TABLE) + layer as u32 - 1)
    }

    fn host_word(&self, layer: usize, slot: u32) -> &AtomicU32 {
        match layer {
            0 => &self.slots.words(slot)[1],
            _ => &self.tower_row(self.tower(slot), layer)[1],
        }
    }

    /// The word of a link that is there.
    fn word_of(&self, layer: usize, slot: u32, target: u32) -> &AtomicU32 {
        let leads = |word: &&AtomicU32| word.load(Relaxed) & !PINNED == target;
        let found = self.list(layer, slot).iter().find(leads);
        found.unwrap_or_else(|| panic!("layer {layer}: {slot} has a link to {target}"))
    }

    fn mark(&mut self, layer: usize, slot: u32, target: u32, pinned: bool) {
        self.preserve(slot);
        self.word_of(layer, slot, target)
            .store(Link::new(target, pinned).0, Relaxed);
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
        let tower = self.vacant_towers.get_mut(level).and_then(Vec::pop).unwrap_or_else(|| {
            let table = &mut self.upper[self.upper_now];
            let first = table.len() as u32;
            for _ in 0..level {
                table.push();
            }
            first | if self.upper_now == 1 { OTHER_TABLE } else { 0 }
        });
        for layer in 1..=level {
            self.tower_row(tower, layer)
                .iter()
                .for_each(|word| word.store(NONE, Relaxed));
        }
        self.tower_row(tower, 1)[0].store(level as u32, Relaxed);
        tower
    }

    /// Keeps a tower for the next node of its level.
    fn give_up_tower(&mut self, tower: u32, level: usize) {
        if table_of(tower) != self.upper_now {
            return;
        }
        if self.vacant_towers.len() <= level {
            self.vacant_towers.resize(level + 1, Vec::new());
        }
        self.vacant_towers[level].push(tower);
    }
}

fn table_of(tower: u32) -> usize {
    usize::from(tower & OTHER_TABLE != 0)
}

/// Ends a list that is not full, and is the tower of a node that has none.
const NONE: u32 = u32::MAX;

/// The mark of a pinned link.
const PINNED: u32 = 1 << 31;

/// The mark of a tower in the second of the two tables.
const OTHER_TABLE: u32 = 1 << 31;

/// Links are chosen anew when one of so many is left. It takes 20 µs for each of those, at 50 dimensions: as much for each of
/// the dead, at most.
const THINNED_ONE_IN: usize = 2;

/// Words of a tower's row before its links: its height, and the host.
const TOWER_HEAD: usize = 2;

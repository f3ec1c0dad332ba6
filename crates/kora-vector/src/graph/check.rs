//! What a sound graph is, and whether one is.

use std::fmt;
use std::ops::Range;

use super::Graph;
use super::Link;
use crate::slot_states::SlotStates;

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

/// What a check has to know beside the graph.
#[derive(Clone, Debug, Default)]
pub(crate) struct Census {
    /// Slots that are not linked yet and may be live all the same.
    pub(crate) unlinked: Range<u32>,
    /// Whether no link of a node that stays leads to a retired one any more.
    pub(crate) swept: bool,
}

/// The definition of a sound graph, and its test. Slow: it reads every link.
///
/// 1. Every link of a node that is reached names a slot that exists, not its own, and none twice; the target stands on
///    the layer of the link.
/// 2. At most half of a list is pinned. The pinned links of a layer are a tree under the root, and each node of it knows
///    its host.
/// 3. Every node that walking from the root down reaches is in the tree, on every layer it stands on, unless it is retired:
///    then no pinned link leads to it or from it any more, or it is in the tree as well.
/// 4. Every live node that is not loose is in the tree, on each layer it stands on.
impl Graph {
    pub(crate) fn check(&self, states: &SlotStates, census: &Census) -> Result<(), Fault> {
        let slots = self.base.len();
        let mut linked = vec![false; slots];
        for layer in (0..=self.height).rev() {
            let in_tree = self.check_tree(layer)?;
            let mut reached = in_tree.clone();
            // The nodes reached above are where the walk on this layer may begin.
            let mut open: Vec<u32> = (0..slots as u32).filter(|&slot| linked[slot as usize]).collect();
            open.extend(self.root.filter(|&root| !linked[root as usize]));
            open.extend((0..slots as u32).filter(|&slot| in_tree[slot as usize] && !linked[slot as usize]));
            open.iter().for_each(|&slot| reached[slot as usize] = true);
            while let Some(slot) = open.pop() {
                linked[slot as usize] = true;
                self.check_list(layer, slot)?;
                for link in self.links(layer, slot) {
                    if !std::mem::replace(&mut reached[link.slot() as usize], true) {
                        open.push(link.slot());
                    }
                }
            }
            for slot in (0..slots as u32).filter(|&slot| reached[slot as usize] && !in_tree[slot as usize]) {
                fault_unless(states.is_retired(slot) && !census.swept, || {
                    format!("layer {layer}: {slot} is reached and not in the tree")
                })?;
                fault_unless(
                    self.host(layer, slot).is_none() && self.pinned_count(layer, slot) == 0,
                    || format!("layer {layer}: {slot} left the tree and still has its place there"),
                )?;
            }
            let settled = |&slot: &u32| !census.unlinked.contains(&slot) && self.level(slot) >= layer;
            for slot in states.live_from(0).filter(settled) {
                fault_unless(in_tree[slot as usize], || {
                    format!("live slot {slot} is not in the tree of layer {layer}")
                })?;
            }
        }
        let in_tree = self.check_tree(0)?.into_iter().filter(|&in_tree| in_tree).count();
        fault_unless(in_tree + self.detached_count == self.linked_count, || {
            let left = self.detached_count;
            format!(
                "{in_tree} nodes in the tree and {left} that left it, of {}",
                self.linked_count
            )
        })?;
        let live = states.live_from(0).count();
        fault_unless(live == states.live_count(), || {
            format!("{live} live nodes, {} counted", states.live_count())
        })
    }

    /// Whom the pinned links of a layer lead to, from the root.
    fn check_tree(&self, layer: usize) -> Result<Vec<bool>, Fault> {
        let mut in_tree = vec![false; self.base.len()];
        let mut open: Vec<u32> = self.root.into_iter().collect();
        open.iter().for_each(|&root| in_tree[root as usize] = true);
        while let Some(slot) = open.pop() {
            for link in self.links(layer, slot).filter(|link| link.is_pinned()) {
                let twice = std::mem::replace(&mut in_tree[link.slot() as usize], true);
                fault_unless(!twice, || {
                    format!("layer {layer}: two pinned links lead to {}", link.slot())
                })?;
                fault_unless(self.host(layer, link.slot()) == Some(slot), || {
                    format!("layer {layer}: {} does not know its host {slot}", link.slot())
                })?;
                open.push(link.slot());
            }
        }
        Ok(in_tree)
    }

    fn check_list(&self, layer: usize, slot: u32) -> Result<(), Fault> {
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
        }
        Ok(())
    }
}

fn fault_unless(sound: bool, what: impl FnOnce() -> String) -> Result<(), Fault> {
    if sound { Ok(()) } else { Err(Fault { what: what() }) }
}

//! The names of a collection's vectors: from a name to its slot, and back.
//!
//! Most collections are small where every user has one. So a few names stand one after the other in one piece of memory,
//! which is looked through from its beginning; many stand in a table, and apart from it in the order of their slots.

use kora_mesh::UseTable;
use kora_values::segment_table::hash;
use kora_vector::Slot;

use super::element_table::ElementTable;
use super::few_elements::FewElements;
use super::slot_names::SlotNames;

/// The names of slots, and which of them lead there.
pub(crate) struct Elements {
    /// Keys the hash: random in a server, so that no client can choose names that collide.
    hash_seed: u64,
    kept: Kept,
    /// What is noted of the use of each slot's vector: see [`UseRule`](crate::UseRule).
    uses: UseTable,
}

enum Kept {
    Few(FewElements),
    Many(Box<Many>),
}

struct Many {
    /// Invariant: each of its slots has a name in `names`.
    table: ElementTable,
    names: SlotNames,
    stale: Vec<Slot>,
}

impl Elements {
    pub(crate) fn new(hash_seed: u64) -> Elements {
        Elements {
            hash_seed,
            kept: Kept::Few(FewElements::default()),
            uses: UseTable::default(),
        }
    }

    /// Makes it empty; returns it as it was.
    pub(crate) fn renew(&mut self) -> Elements {
        let empty = Elements::new(self.hash_seed);
        std::mem::replace(self, empty)
    }

    /// None, for the same kind of names.
    pub(crate) fn empty_like(&self) -> Elements {
        Elements::new(self.hash_seed)
    }

    /// How many names lead to a slot.
    pub(crate) fn len(&self) -> usize {
        match &self.kept {
            Kept::Few(few) => few.len(),
            Kept::Many(many) => many.table.len(),
        }
    }

    /// Names a slot, whatever its name was. The name does not lead there yet.
    pub(crate) fn set_name(&mut self, slot: Slot, name: &[u8]) {
        self.uses.reach(slot.index());
        if let Kept::Few(few) = &mut self.kept {
            if few.set_name(slot, name) {
                return;
            }
            self.kept = Kept::Many(Box::new(Many::of(few, self.hash_seed)));
        }
        if let Kept::Many(many) = &mut self.kept {
            many.names.set(slot, name);
        }
    }

    /// A slot's name. Empty if it has none.
    pub(crate) fn name(&self, slot: Slot) -> &[u8] {
        match &self.kept {
            Kept::Few(few) => few.name(slot),
            Kept::Many(many) => many.names.name(slot),
        }
    }

    /// Forgets the name of a slot to which it does not lead.
    pub(crate) fn forget_name(&mut self, slot: Slot) {
        match &mut self.kept {
            Kept::Few(few) => few.forget_name(slot),
            Kept::Many(many) => many.names.forget(slot),
        }
    }

    /// Lets the name of a slot to which it does not lead be forgotten later.
    pub(crate) fn retire(&mut self, slot: Slot) {
        match &mut self.kept {
            Kept::Few(few) => few.retire(slot),
            Kept::Many(many) => many.stale.push(slot),
        }
    }

    /// A slot that was retired, once. It may have been taken again.
    pub(crate) fn take_retired(&mut self) -> Option<Slot> {
        match &mut self.kept {
            Kept::Few(few) => few.take_retired(),
            Kept::Many(many) => many.stale.pop(),
        }
    }

    /// True if something is held for slots from `slots` on.
    pub(crate) fn reaches_beyond(&self, slots: usize) -> bool {
        match &self.kept {
            Kept::Few(_) => false,
            Kept::Many(many) => many.names.reaches_beyond(slots),
        }
    }

    /// Gives back some of what is held for the slots from `slots` on, which have gone.
    pub(crate) fn truncate(&mut self, slots: usize) {
        self.uses.truncate(slots);
        if let Kept::Many(many) = &mut self.kept {
            many.names.truncate(slots);
        }
    }

    /// The slot to which a name leads.
    pub(crate) fn find(&self, name: &[u8]) -> Option<Slot> {
        match &self.kept {
            Kept::Few(few) => few.find(name),
            Kept::Many(many) => many.table.find(name, &many.names),
        }
    }

    /// What is noted of the use of a slot's vector.
    pub(crate) fn used(&self, slot: Slot) -> u32 {
        self.uses.get(slot.index())
    }

    /// Notes something else. Readers on other threads may do that too.
    pub(crate) fn note_use(&self, slot: Slot, used: u32) {
        self.uses.set(slot.index(), used);
    }

    /// Lets a slot's name lead to it; returns the slot to which that name led before.
    pub(crate) fn insert(&mut self, slot: Slot) -> Option<Slot> {
        match &mut self.kept {
            Kept::Few(few) => few.insert(slot),
            Kept::Many(many) => many.table.insert(slot, &many.names),
        }
    }

    /// The vector of `from` is in `to` from now on, which gets its name.
    pub(crate) fn redirect(&mut self, from: Slot, to: Slot) {
        let name = self.name(from).to_vec();
        self.set_name(to, &name);
        self.note_use(to, self.used(from));
        match &mut self.kept {
            Kept::Few(few) => few.redirect(from, to),
            Kept::Many(many) => many.table.redirect(from, to, &many.names),
        }
    }

    /// Lets a name lead nowhere; returns the slot to which it led. That keeps its name.
    pub(crate) fn remove(&mut self, name: &[u8]) -> Option<Slot> {
        match &mut self.kept {
            Kept::Few(few) => few.remove(name),
            Kept::Many(many) => many.table.remove(name, &many.names),
        }
    }

    /// The slots of the names whose hash has a prefix from `from` on: see [`ElementTable::scan`].
    pub(crate) fn scan(&self, from: u32, wanted: usize) -> (Vec<Slot>, Option<u32>) {
        match &self.kept {
            Kept::Few(few) => few.scan(from, wanted, |name| hash(self.hash_seed, name)),
            Kept::Many(many) => many.table.scan(from, wanted),
        }
    }

    /// Bytes held beside its own.
    pub(crate) fn bytes(&self) -> usize {
        let names = match &self.kept {
            Kept::Few(few) => few.bytes(),
            Kept::Many(many) => many.table.bytes() + many.names.bytes() + size_of::<Many>(),
        };
        names + self.uses.bytes()
    }

    /// Frees some; false when there is nothing left. For names that are no longer used.
    pub(crate) fn dismantle(&mut self) -> bool {
        match &mut self.kept {
            Kept::Few(_) => false,
            Kept::Many(many) => many.table.dismantle() || many.names.dismantle() || self.uses.dismantle(),
        }
    }
}

impl Many {
    fn of(few: &FewElements, hash_seed: u64) -> Many {
        let mut many = Many {
            table: ElementTable::new(hash_seed),
            names: SlotNames::new(),
            stale: Vec::new(),
        };
        for element in few.iter() {
            many.names.set(element.slot, element.name);
            if element.leads {
                let before = many.table.insert(element.slot, &many.names);
                debug_assert_eq!(before, None, "a name leads to one slot");
            }
            if element.is_stale {
                many.stale.push(element.slot);
            }
        }
        many
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Copy, Debug)]
    enum Operation {
        /// A vector of this name gets its slot, and is found from then on.
        Set(u8),
        Remove(u8),
        Touch(u8),
    }

    fn operation() -> impl Strategy<Value = Operation> {
        prop_oneof![
            3 => (0u8..60).prop_map(Operation::Set),
            2 => (0u8..60).prop_map(Operation::Remove),
            1 => (0u8..60).prop_map(Operation::Touch),
        ]
    }

    /// Names of all lengths, the longest beyond what a few may have.
    fn name_of(number: u8) -> Vec<u8> {
        let length = if number == 59 { 300 } else { usize::from(number % 40) };
        let mut name = vec![b'x'; length];
        name.push(number);
        name
    }

    proptest! {
        #[test]
        fn few_or_many_names_lead_where_they_should(operations in prop::collection::vec(operation(), 0..80)) {
            let mut elements = Elements::new(7);
            let mut twin: HashMap<u8, (Slot, u32)> = HashMap::new();
            let mut slots = 0;
            for (time, operation) in operations.into_iter().enumerate() {
                let time = time as u32;
                match operation {
                    Operation::Set(number) => {
                        // The slots of those that have gone are taken again.
                        let taken: Vec<usize> = twin.values().map(|(slot, _)| slot.index()).collect();
                        let free = (0..slots).find(|slot| !taken.contains(slot)).unwrap_or(slots);
                        slots = slots.max(free + 1);
                        let slot = Slot::from_index(free);
                        elements.set_name(slot, &name_of(number));
                        let before = twin.insert(number, (slot, time)).map(|(slot, _)| slot);
                        prop_assert_eq!(elements.insert(slot), before);
                        elements.note_use(slot, time);
                        if let Some(before) = before {
                            elements.retire(before);
                            prop_assert_eq!(elements.name(before), &name_of(number)[..]);
                            prop_assert_eq!(elements.take_retired(), Some(before));
                            elements.forget_name(before);
                            prop_assert!(elements.name(before).is_empty());
                        }
                    }
                    Operation::Remove(number) => {
                        let gone = elements.remove(&name_of(number));
                        prop_assert_eq!(gone, twin.remove(&number).map(|(slot, _)| slot));
                        if let Some(slot) = gone {
                            prop_assert_eq!(elements.name(slot), &name_of(number)[..]);
                            elements.forget_name(slot);
                        }
                    }
                    Operation::Touch(number) => {
                        let entry = twin.get_mut(&number);
                        let slot = entry.map(|entry| { entry.1 = time; entry.0 });
                        prop_assert_eq!(elements.find(&name_of(number)), slot);
                        slot.into_iter().for_each(|slot| elements.note_use(slot, time));
                    }
                }
                prop_assert_eq!(elements.len(), twin.len());
            }
            for (number, (slot, used_s)) in &twin {
                prop_assert_eq!(elements.find(&name_of(*number)), Some(*slot));
                prop_assert_eq!(elements.used(*slot), *used_s);
                prop_assert_eq!(elements.name(*slot), &name_of(*number)[..]);
            }
            let mut want: Vec<Slot> = twin.values().map(|(slot, _)| *slot).collect();
            want.sort_unstable();
            let (mut met, mut next) = (Vec::new(), Some(0));
            while let Some(from) = next {
                let (some, after) = elements.scan(from, 3);
                prop_assert!(after.is_none_or(|after| after > from));
                met.extend(some);
                next = after;
            }
            met.sort_unstable();
            prop_assert_eq!(met, want);
        }
    }

    #[test]
    fn a_scan_goes_on_where_it_was_when_a_few_become_many() {
        let mut elements = Elements::new(3);
        let add = |elements: &mut Elements, number: u8| {
            let slot = Slot::from_index(usize::from(number));
            elements.set_name(slot, &[number]);
            assert_eq!(elements.insert(slot), None);
        };
        (0..20).for_each(|number| add(&mut elements, number));
        let (mut met, next) = elements.scan(0, 7);
        assert_eq!(met.len(), 7);
        (20..200).for_each(|number| add(&mut elements, number));
        assert!(matches!(elements.kept, Kept::Many(_)));
        let (rest, end) = elements.scan(next.expect("more are to come"), 1_000);
        assert_eq!(end, None);
        met.extend(rest);
        met.sort_unstable();
        met.dedup();
        assert!((0..20).all(|number| met.contains(&Slot::from_index(number))));
    }

    #[test]
    fn ten_names_take_little_more_than_their_bytes() {
        let mut elements = Elements::new(3);
        for number in 0..10 {
            let slot = Slot::from_index(number);
            elements.set_name(slot, format!("element {number}").as_bytes());
            elements.insert(slot);
        }
        assert!(elements.bytes() <= 10 * (9 + 10), "{}", elements.bytes());
    }
}

//! When fields of hashes are due: which hash has the first.

use kora_values::packed_table::Record;

use super::{KeyTable, Value};
use crate::time::NEVER_MS;

impl KeyTable {
    /// How many hashes have fields with deadlines, but for those whose keys share their hash and whose first deadlines are equal.
    pub fn expiring_hashes(&self) -> usize {
        self.field_deadlines.len()
    }

    /// True if a field of some hash is due by then.
    #[inline]
    pub fn has_due_fields(&self, now_ms: u64) -> bool {
        self.field_deadlines
            .first()
            .is_some_and(|(first_ms, _)| first_ms <= now_ms)
    }

    /// When the next field is due.
    #[inline]
    pub fn next_field_expiry_ms(&self) -> Option<u64> {
        self.field_deadlines.first().map(|(first_ms, _)| first_ms)
    }

    /// The key of the hash whose field is due first.
    pub(crate) fn first_with_fields(&self) -> Option<Box<[u8]>> {
        let (first_ms, hash) = self.field_deadlines.first()?;
        let is_it = |record: Record<'_, Value>| self.entry_of(record).first_field_deadline_ms() == first_ms;
        let position = self.entries.find(hash, is_it).expect("an item stands for a hash");
        Some(self.entry(position).key().into())
    }

    /// The first field of an entry of this hash is due at another time now.
    pub(super) fn look_at_fields_then(&mut self, hash: u32, old_ms: u64, new_ms: u64) {
        if old_ms == new_ms {
            return;
        }
        if old_ms != NEVER_MS {
            let shares = |record: Record<'_, Value>| self.entry_of(record).first_field_deadline_ms() == old_ms;
            if self.entries.find(hash, shares).is_none() {
                self.field_deadlines.remove(old_ms, hash);
            }
        }
        if new_ms != NEVER_MS {
            self.field_deadlines.insert(new_ms, hash);
        }
    }

    /// # Panics
    /// If the index of fields' deadlines is not what the hashes say.
    pub(super) fn assert_fields_sound(&self) {
        let first = self.iter().map(|entry| (entry.first_field_deadline_ms(), entry.hash()));
        let mut items: Vec<(u64, u32)> = first.filter(|(first_ms, _)| *first_ms != NEVER_MS).collect();
        items.sort_unstable();
        items.dedup();
        assert!(
            self.field_deadlines.iter().eq(items),
            "an item for each hash with deadlines of fields, and no others"
        );
    }
}

//! Where a key lives. This is the one place that decides it.
//!
//! A key's slot is Redis Cluster's: CRC16 (XMODEM) of the key, or of its hash tag, modulo 16,384. Slots are spread
//! evenly over the shards in contiguous ranges, and shards over the workers in turn. The shard count belongs to the
//! data, the worker count to the machine.

use kora_keyspace::catalog::{CatalogView, Schema};
use kora_mesh::WorkerId;
use kora_values::database::{MARKER, said_name};
use smallvec::SmallVec;

/// One shard: a sixteenth-thousandth or more of all slots, and everything that lives in them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ShardId(pub u16);

/// The shard that decides which libraries of functions there are.
pub(crate) const LIBRARIES_SHARD: ShardId = ShardId(0);

impl ShardId {
    /// Its place in a list of all shards.
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// How many shards there are and how many workers own them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Placement {
    /// Invariant: 1 ..= SLOT_COUNT.
    shards: u16,
    /// Invariant: at least 1.
    workers: u16,
}

/// Which shards may hold vectors of a collection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Spread {
    /// Its name has a hash tag: all of it lies on this shard.
    One(ShardId),
    /// It is spread over every shard.
    All,
}

impl Placement {
    /// # Panics
    /// Unless `shards` is in 1 ..= [`SLOT_COUNT`] and there is a worker.
    pub fn new(shards: usize, workers: usize) -> Placement {
        assert!(
            (1..=SLOT_COUNT).contains(&shards),
            "shards must be between 1 and {SLOT_COUNT}"
        );
        assert!(workers >= 1, "there must be a worker");
        Placement {
            shards: u16::try_from(shards).expect("SLOT_COUNT fits 16 bits"),
            workers: u16::try_from(workers).expect("the mesh bounds the workers"),
        }
    }

    /// All shards, in order.
    pub fn shards(self) -> impl Iterator<Item = ShardId> {
        (0..self.shards).map(ShardId)
    }

    /// How many shards there are.
    pub fn shard_count(self) -> usize {
        usize::from(self.shards)
    }

    /// How many workers there are.
    pub fn worker_count(self) -> usize {
        usize::from(self.workers)
    }

    /// The worker that owns a shard.
    pub fn worker_of(self, shard: ShardId) -> WorkerId {
        WorkerId::from_index(usize::from(shard.0 % self.workers))
    }

    /// The shards of one worker; none if there are more workers than shards.
    pub fn shards_of(self, worker: WorkerId) -> impl Iterator<Item = ShardId> {
        self.shards().filter(move |shard| self.worker_of(*shard) == worker)
    }

    /// The shard of a whole key or of a collection's name.
    pub fn shard_of(self, key: &[u8]) -> ShardId {
        if self.shards == 1 {
            return ShardId(0);
        }
        self.shard_of_slot(slot(&[key]))
    }

    /// The slot of a key; `None` if there is one shard, where no slot decides anything.
    pub fn slot_of(self, key: &[u8]) -> Option<u16> {
        (self.shards > 1).then(|| slot(&[key]))
    }

    /// The shard of an element: that of the text `collection:element`.
    pub fn shard_of_element(self, collection: &[u8], element: &[u8]) -> ShardId {
        self.shard_of_slot(slot(&[collection, b":", element]))
    }

    /// Where the vectors of a collection may lie: a hash tag in its name, and nothing else, keeps them together.
    pub fn spread_of(self, collection: &[u8]) -> Spread {
        // An element's key begins with the collection's name, so a tag that is complete in the name is its key's tag.
        match hash_tag(&[collection]) {
            Some(_) => Spread::One(self.shard_of(collection)),
            None if self.shards == 1 => Spread::One(ShardId(0)),
            None => Spread::All,
        }
    }

    /// The shards that may hold vectors of a collection. All of a vector set lies on the shard of its name.
    pub fn parts_of(self, schema: &Schema) -> impl Iterator<Item = ShardId> {
        let spread = match schema.set_form() {
            Some(_) => Spread::One(self.shard_of(&schema.name)),
            None => self.spread_of(&schema.name),
        };
        self.shards().filter(move |shard| match spread {
            Spread::One(only) => *shard == only,
            Spread::All => true,
        })
    }

    /// How many of them there are.
    pub fn part_count(self, schema: &Schema) -> usize {
        self.parts_of(schema).count()
    }

    /// The shard of a vector of this collection.
    pub fn shard_of_vector(self, schema: &Schema, name: &[u8]) -> ShardId {
        match schema.set_form() {
            Some(_) => self.shard_of(&schema.name),
            None => self.shard_of_element(&schema.name, name),
        }
    }

    /// The shard of a vector, whatever collection has that name now.
    pub fn shard_of_name(self, catalog: CatalogView<'_>, collection: &[u8], name: &[u8]) -> ShardId {
        match catalog.holds_set(collection) {
            true => self.shard_of(collection),
            false => self.shard_of_element(collection, name),
        }
    }

    /// The shard of a slot.
    pub fn shard_of_slot(self, slot: u16) -> ShardId {
        let shard = usize::from(slot) * usize::from(self.shards) / SLOT_COUNT;
        ShardId(u16::try_from(shard).expect("a slot is below SLOT_COUNT, so its shard is below the shard count"))
    }
}

/// What each of `parts` shards is to find when the whole query is to find so many, candidates or results: ⌈count/√parts⌉.
///
/// Measured on GloVe 50-d and MiniLM 384-d, 100,000 vectors: this keeps recall@10 of the unsharded index for 2 to 32
/// shards (at 384-d and recall 0.95 up to 1.2–1.4 times as much is wanted for 8 shards and more), while the whole ef
/// on each of 8 shards would cost 7 times the distances. The result may be below k: the parts' answers together hold
/// more, and a part that turns out to hold the whole answer is asked again (`gather.rs`). So is k: a walk of a part ends by
/// the distance of its ⌈k/√parts⌉-th result (two parts, 384-d: distances × 0.96 to those of the k-th, at recall 0.95).
pub fn share_of_part(count: usize, parts: usize) -> usize {
    debug_assert!(parts > 0);
    ((count as f64 / (parts as f64).sqrt()).ceil() as usize).max(1)
}

/// A key's slot, the key being given in pieces.
///
/// A key's database does not count: a hash tag keeps keys of all databases together, and so does a name.
pub fn slot(pieces: &[&[u8]]) -> u16 {
    match pieces {
        [first, rest @ ..] if first.first() == Some(&MARKER) => {
            let said: SmallVec<[&[u8]; 3]> = [said_name(first)].into_iter().chain(rest.iter().copied()).collect();
            slot_of_said(&said)
        }
        pieces => slot_of_said(pieces),
    }
}

fn slot_of_said(pieces: &[&[u8]]) -> u16 {
    let crc = match hash_tag(pieces) {
        Some((start, end)) => bytes_of(pieces).skip(start).take(end - start).fold(0, crc16_with),
        None => pieces.iter().fold(0, |crc, piece| crc16_with_all(crc, piece)),
    };
    crc % SLOT_COUNT as u16
}

/// Where the hash tag stands: between the first `{` and the first `}` behind it, if that is not empty.
fn hash_tag(pieces: &[&[u8]]) -> Option<(usize, usize)> {
    // Most keys have none, and this is asked for every key: so the quick look comes first.
    if !pieces.iter().any(|piece| piece.contains(&b'{')) {
        return None;
    }
    let start = bytes_of(pieces).position(|byte| byte == b'{')? + 1;
    let length = bytes_of(pieces).skip(start).position(|byte| byte == b'}')?;
    (length > 0).then_some((start, start + length))
}

fn bytes_of<'a>(pieces: &'a [&'a [u8]]) -> impl Iterator<Item = u8> + 'a {
    pieces.iter().flat_map(|piece| piece.iter().copied())
}

/// More bytes in a CRC16/XMODEM, four at a step: each byte's share is looked up by itself, so that no look-up waits for
/// another's answer (slicing-by-4: Kounavis and Berry, 2008). Every key's slot is asked for, a byte at a time that showed.
fn crc16_with_all(crc: u16, bytes: &[u8]) -> u16 {
    let (words, rest) = bytes.as_chunks::<4>();
    let crc = words.iter().fold(crc, |crc, word| {
        let [high, low] = crc.to_be_bytes();
        CRC16_TABLES[3][usize::from(high ^ word[0])]
            ^ CRC16_TABLES[2][usize::from(low ^ word[1])]
            ^ CRC16_TABLES[1][usize::from(word[2])]
            ^ CRC16_TABLES[0][usize::from(word[3])]
    });
    rest.iter().copied().fold(crc, crc16_with)
}

/// One more byte in a CRC16/XMODEM (polynomial 0x1021, start 0), as Redis Cluster's specification names it.
fn crc16_with(crc: u16, byte: u8) -> u16 {
    (crc << 8) ^ CRC16_TABLES[0][usize::from((crc >> 8) as u8 ^ byte)]
}

/// What a byte adds to the sum, in the first table; in the others, when so many bytes have come behind it.
static CRC16_TABLES: [[u16; 256]; 4] = {
    let mut tables = [[0; 256]; 4];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = (byte as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000 == 0 {
                crc << 1
            } else {
                (crc << 1) ^ 0x1021
            };
            bit += 1;
        }
        tables[0][byte] = crc;
        byte += 1;
    }
    let mut behind = 1;
    while behind < 4 {
        let mut byte = 0;
        while byte < 256 {
            let crc: u16 = tables[behind - 1][byte];
            tables[behind][byte] = (crc << 8) ^ tables[0][(crc >> 8) as usize];
            byte += 1;
        }
        behind += 1;
    }
    tables
};

/// Slots of the key space, as in Redis Cluster.
pub const SLOT_COUNT: usize = 16_384;

#[cfg(test)]
mod tests {
    use super::*;

    fn crc16(bytes: &[u8]) -> u16 {
        bytes.iter().copied().fold(0, crc16_with)
    }

    #[test]
    fn four_bytes_at_a_step_give_what_one_at_a_step_gives() {
        let bytes: Vec<u8> = (0..64u8).map(|place| place.wrapping_mul(37)).collect();
        for end in 0..=bytes.len() {
            for start in 0..=end.min(8) {
                let before = crc16(&bytes[..start]);
                assert_eq!(crc16_with_all(before, &bytes[start..end]), crc16(&bytes[..end]));
            }
        }
    }

    #[test]
    fn slots_are_those_of_redis_cluster() {
        // The first value is the check value of the specification, the others were read off CLUSTER KEYSLOT.
        assert_eq!(crc16(b"123456789"), 0x31C3);
        assert_eq!(slot(&[b"foo"]), 12182);
        assert_eq!(slot(&[b"{user1000}.following"]), slot(&[b"user1000"]));
        assert_eq!(slot(&[b"foo{}{bar}"]), crc16(b"foo{}{bar}") % 16384);
        assert_eq!(slot(&[b"foo{{bar}}zap"]), slot(&[b"{bar"]));
        assert_eq!(slot(&[b""]), 0);
    }

    #[test]
    fn a_key_has_one_slot_in_all_databases() {
        let database = kora_values::Database::new(7).unwrap();
        for key in [&b"foo"[..], b"{user1000}.following", b"", b"docs:1", b"\xfe"] {
            let stored = database.stored(key);
            assert_eq!(slot(&[&stored]), slot(&[&kora_values::Database::ZERO.stored(key)]));
            assert_eq!(
                slot(&[&stored, b":", b"x"]),
                slot(&[&[key, b":x"].concat()[..]]),
                "{key:?}"
            );
        }
    }

    #[test]
    fn pieces_are_one_key() {
        let whole = b"tenant{a:b}c:42";
        for cut in 0..=whole.len() {
            assert_eq!(slot(&[&whole[..cut], &whole[cut..]]), slot(&[whole]));
        }
    }

    #[test]
    fn a_collection_with_a_hash_tag_lies_on_one_shard_with_its_name() {
        for shards in [1, 2, 3, 8, 100] {
            let placement = Placement::new(shards, 2);
            for element in 0..1000 {
                let element = element.to_string();
                let home = placement.shard_of_element(b"{tenant}:docs", element.as_bytes());
                assert_eq!(placement.spread_of(b"{tenant}:docs"), Spread::One(home));
                assert_eq!(placement.shard_of(b"{tenant}:docs"), home);
            }
        }
    }

    #[test]
    fn a_tag_that_opens_in_the_name_and_closes_in_the_element_keeps_nothing_together() {
        assert_eq!(Placement::new(4, 4).spread_of(b"open{brace"), Spread::All);
        assert_eq!(Placement::new(4, 4).spread_of(b"empty{}tag"), Spread::All);
    }

    #[test]
    fn keys_spread_evenly_and_every_shard_has_one_worker() {
        let placement = Placement::new(8, 3);
        let mut counts = [0; 8];
        for key in 0..80_000 {
            counts[placement.shard_of(format!("docs:{key}").as_bytes()).index()] += 1;
        }
        assert!(counts.iter().all(|count| (9_000..11_000).contains(count)), "{counts:?}");
        let owned: usize = (0..3)
            .map(|worker| placement.shards_of(WorkerId::from_index(worker)).count())
            .sum();
        assert_eq!(owned, 8);
    }

    #[test]
    fn a_part_seeks_the_whole_over_the_root_of_the_parts() {
        assert_eq!(share_of_part(100, 1), 100);
        assert_eq!(share_of_part(100, 2), 71);
        assert_eq!(share_of_part(100, 8), 36);
        assert_eq!(share_of_part(1, 64), 1);
    }
}

//! What shards tell each other of their evictions: which has the best victim, and what the largest waiting command needs.

use std::sync::Arc;

use kora_mesh::{Doorbell, Gauge, WorkerId};

use crate::limits::ASKED_ROUNDS_MAX;
use crate::router::{Placement, ShardId};

/// What one shard tells the others of what it could evict.
struct Claim {
    /// How good its best victim is, plus one; 0 if none of its data may be evicted or is being freed.
    rank: Gauge,
    /// The last round in which it told its rank.
    round: Gauge,
    /// The bell of its worker.
    bell: Arc<Doorbell>,
}

/// The claims of all shards.
pub(crate) struct ClaimBoard {
    /// By shard.
    claims: Box<[Claim]>,
    /// Bytes that the largest command of each worker needs that waits for memory.
    needed: Box<[Gauge]>,
    /// Counts how often all shards were asked to tell their ranks. Of two that ask at the same moment both may get one number.
    round: Gauge,
}

impl ClaimBoard {
    /// The bells are those of the workers.
    pub(crate) fn new(placement: Placement, bells: &[Arc<Doorbell>]) -> ClaimBoard {
        let claim = |shard: ShardId| Claim {
            rank: Gauge::new(0),
            round: Gauge::new(0),
            bell: Arc::clone(&bells[placement.worker_of(shard).index()]),
        };
        ClaimBoard {
            claims: placement.shards().map(claim).collect(),
            needed: bells.iter().map(|_| Gauge::new(0)).collect(),
            round: Gauge::new(0),
        }
    }

    /// Asks all shards to tell their ranks. They have told once [`ClaimBoard::have_told`] says so of the number returned.
    pub(crate) fn ask(&self) -> u64 {
        let round = self.round() + 1;
        self.round.set(round);
        for claim in &self.claims {
            claim.bell.ring();
        }
        round
    }

    /// The number of the last time that all shards were asked.
    pub(crate) fn round(&self) -> u64 {
        self.round.get()
    }

    /// True if all shards have told their ranks since they were asked for this round.
    pub(crate) fn have_told(&self, round: u64) -> bool {
        self.claims.iter().all(|claim| claim.round.get() >= round)
    }

    /// Tells what the largest waiting command of a worker needs, in bytes; 0 if none waits.
    pub(crate) fn tell_needed(&self, worker: WorkerId, needed: u64) {
        let told = &self.needed[worker.index()];
        if told.get() != needed {
            told.set(needed);
        }
    }

    /// What the largest waiting command of all workers needs, in bytes.
    pub(crate) fn most_needed(&self) -> u64 {
        self.needed.iter().map(Gauge::get).max().unwrap_or(0)
    }

    /// True if some shard has something to evict or to free. Rings the workers of these shards.
    pub(crate) fn ring_those_with_some(&self) -> bool {
        let mut has_some = false;
        for claim in self.claims.iter().filter(|claim| claim.rank.get() > 0) {
            claim.bell.ring();
            has_some = true;
        }
        has_some
    }
}

/// What one that waits for memory has asked all shards.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Asked {
    /// In which round, and how much was wanted then.
    last: Option<(u64, u64)>,
    /// Rounds in which they were asked.
    rounds: u32,
}

impl Asked {
    /// What all shards told a moment ago still holds, while as much is wanted.
    pub(crate) fn just_now(wanted: u64, claims: &ClaimBoard) -> Asked {
        Asked {
            last: Some((claims.round(), wanted)),
            rounds: 0,
        }
    }

    /// The round whose answers count. They are asked anew if the data has changed since: what has come to another shard
    /// meanwhile may be evicted, and that shard has told before that it has nothing.
    pub(crate) fn round_of(&mut self, wanted: u64, claims: &ClaimBoard) -> u64 {
        if let Some((round, before)) = self.last
            && (wanted == before || self.rounds == ASKED_ROUNDS_MAX || !claims.have_told(round))
        {
            return round;
        }
        let round = claims.ask();
        self.last = Some((round, wanted));
        self.rounds += 1;
        round
    }
}

/// One shard's place on the board.
pub(crate) struct Claims {
    board: Arc<ClaimBoard>,
    own: ShardId,
}

impl Claims {
    pub(crate) fn new(board: &Arc<ClaimBoard>, own: ShardId) -> Claims {
        Claims {
            board: Arc::clone(board),
            own,
        }
    }

    /// What all shards tell.
    pub(crate) fn board(&self) -> &ClaimBoard {
        &self.board
    }

    /// Tells what this shard could evict: nothing, or a victim of this rank at best.
    pub(crate) fn tell(&self, rank: Option<u64>) {
        let round = self.board.round();
        let own = &self.board.claims[self.own.index()];
        own.rank.set(rank.map_or(0, |rank| rank + 1));
        own.round.set(round);
    }

    /// True if this shard was asked since it told its rank.
    pub(crate) fn is_asked(&self) -> bool {
        self.board.claims[self.own.index()].round.get() != self.board.round()
    }

    /// Rings the worker of the shard that has a clearly better victim than this one's; false if there is none.
    pub(crate) fn leave_it_to_other(&self, rank: u64) -> bool {
        let others = self.board.claims.iter().enumerate();
        let others = others.filter(|(shard, _)| *shard != self.own.index());
        let best = others.map(|(_, claim)| claim).max_by_key(|claim| claim.rank.get());
        let better = best.filter(|claim| claim.rank.get() > rank + 1 + rank / BETTER_ONE_IN + BETTER_MIN);
        better.is_some_and(|claim| {
            claim.bell.ring();
            true
        })
    }
}

/// A victim is better if it was used so much longer ago: by an eighth, and by as many seconds.
const BETTER_ONE_IN: u64 = 8;
const BETTER_MIN: u64 = 16;

//! What a seed decides before anything runs: how many workers, how little credit, which collections, what clients do.

use kora_engine::budgets::SLICE_WORK;
use kora_tests::random::Random;
use kora_vector::Metric;
use kora_vector::hnsw::GRAPH_MIN;

use crate::command::{Key, WHOLE};

/// The world of one seed.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    pub(crate) workers: usize,
    pub(crate) shards: usize,
    /// How far the clock goes on with each look at it, in microseconds.
    pub(crate) tick_us: u64,
    /// Unanswered requests allowed between two workers.
    pub(crate) credit: usize,
    /// What clients of one worker may hold: in some worlds so little that replies wait for each other.
    pub(crate) client_bytes_max: usize,
    /// What data may take, in worlds where entries are evicted.
    pub(crate) data_bytes_max: Option<u64>,
    /// Vectors of one shard that have a graph: in some worlds so few that most of what happens happens to graphs.
    pub(crate) graph_min: usize,
    /// Components read in a slice: in those worlds so few that insertions, queries and consolidation are left in the middle.
    pub(crate) slice_work: u64,
    /// All shards are checked, and their graphs with them, each time so many steps are taken.
    pub(crate) check_steps: usize,
    /// Of collections that a VECSET makes.
    pub(crate) metric: Metric,
    pub(crate) collections: Vec<Collection>,
    pub(crate) clients: usize,
    /// Rounds of scripts, each ending at a quiet point.
    pub(crate) rounds: usize,
    /// Commands of one client in one round.
    pub(crate) commands: usize,
    /// Commands that a client sends ahead of its replies.
    pub(crate) pipeline: usize,
    /// In a thousand steps of a client, how often it vanishes.
    pub(crate) leaves_per_mille: usize,
    pub(crate) flushes: Occurrence,
    pub(crate) kills: Occurrence,
    /// Whether clients go from one worker to another.
    pub(crate) travels: Occurrence,
}

/// One name that the clients use.
#[derive(Clone, Debug)]
pub(crate) struct Collection {
    pub(crate) name: &'static str,
    /// Clients set vectors of these dimensions; with more than one, some get an error.
    pub(crate) dimensions: Vec<usize>,
    pub(crate) drops: Occurrence,
    pub(crate) elements: usize,
}

/// Whether something happens at all in this world.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Occurrence {
    Never,
    Sometimes,
}

impl Collection {
    /// True if a command on it may take more than one slice.
    pub(crate) fn is_wide(&self) -> bool {
        self.dimensions.iter().any(|dimension| *dimension >= WIDE)
    }

    /// The name of an element; every third holds a hash tag, so that some of a spread collection lie together.
    pub(crate) fn element(&self, element: usize) -> String {
        if element % 3 == 2 {
            format!("{{x}}{element}")
        } else {
            element.to_string()
        }
    }
}

impl Scenario {
    pub(crate) fn new(random: &mut Random) -> Scenario {
        let deep = random.percent(4);
        let has_graphs = random.percent(40);
        let mut collections = collections(random, if deep { 0 } else { 8 });
        if has_graphs && !deep {
            let few = collections.iter_mut().filter(|collection| !collection.is_wide());
            few.for_each(|collection| collection.elements = random.between(12, GRAPHED_MAX));
        }
        let is_wide = collections.iter().any(Collection::is_wide);
        Scenario {
            workers: random.between(1, 5),
            shards: random.between(1, 8),
            tick_us: *random.pick(&[1, 150]),
            credit: match random.below(10) {
                0 => 64,
                _ if deep => 1024,
                _ => random.between(1, 4),
            },
            data_bytes_max: None,
            client_bytes_max: if deep || is_wide || random.percent(50) {
                CLIENT_BYTES_PLENTY
            } else {
                64 << 10
            },
            graph_min: if has_graphs { random.between(1, 8) } else { GRAPH_MIN },
            slice_work: match has_graphs {
                true => *random.pick(&[1, 400, 4_000]),
                false => SLICE_WORK,
            },
            check_steps: if has_graphs { 16 } else { 256 },
            metric: *random.pick(&Metric::ALL),
            collections,
            clients: if deep { 2 } else { random.between(2, 7) },
            rounds: if deep { 1 } else { random.between(1, 3) },
            commands: if deep { 2500 } else { random.between(20, 120) },
            pipeline: if deep { 5000 } else { *random.pick(&[1, 2, 8, 40, 400]) },
            leaves_per_mille: *random.pick(&[0, 0, 1, 5]),
            flushes: occurrence(random, 25),
            kills: occurrence(random, 25),
            travels: occurrence(random, 50),
        }
    }

    /// Every key that a client may name.
    pub(crate) fn keys(&self) -> Vec<Key> {
        let collections = self.collections.iter().enumerate();
        collections
            .flat_map(|(collection, of)| (0..of.elements).map(move |element| Key { collection, element }))
            .collect()
    }

    /// A world in which nothing is dropped and nobody vanishes, so that whatever was set is there.
    pub(crate) fn without_removals(random: &mut Random) -> Scenario {
        let mut scenario = Scenario::new(random);
        scenario.flushes = Occurrence::Never;
        scenario.kills = Occurrence::Never;
        scenario.leaves_per_mille = 0;
        // Who is dropped for the memory that is held depends on who is served when.
        scenario.client_bytes_max = CLIENT_BYTES_PLENTY;
        for collection in &mut scenario.collections {
            collection.drops = Occurrence::Never;
            collection.dimensions.truncate(1);
        }
        scenario
    }
}

/// What clients never hold together.
const CLIENT_BYTES_PLENTY: usize = 1 << 30;

/// Two to four collections; one in a hundred `wide` times is wide.
fn collections(random: &mut Random, wide: usize) -> Vec<Collection> {
    let count = random.between(2, 4);
    let mut names = vec!["a", "b:c", "{t}d", "e{", "{t}:f"];
    let mut collections: Vec<Collection> = (0..count)
        .map(|_| Collection {
            name: names.remove(random.below(names.len())),
            dimensions: if random.percent(50) { vec![2] } else { vec![2, 3] },
            drops: occurrence(random, 60),
            elements: random.between(1, 12),
        })
        .collect();
    if random.percent(wide) {
        let collection = &mut collections[0];
        collection.dimensions = vec![WIDE];
        collection.elements = 4;
    }
    collections
}

fn occurrence(random: &mut Random, percent: usize) -> Occurrence {
    if random.percent(percent) {
        Occurrence::Sometimes
    } else {
        Occurrence::Never
    }
}

/// Vectors of a collection at most, where there are graphs. Fewer than a query of the whole one asks for.
const GRAPHED_MAX: usize = WHOLE - 1;

/// Sixteen distances of such vectors are a slice, so that setting the fifth takes two.
pub(crate) const WIDE: usize = kora_vector::limits::DIMENSION_MAX;

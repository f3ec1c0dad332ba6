//! The shapes: vectors as they come in life, in the order in which they come there, and queries for them.

use std::f32::consts::PI;

/// Vectors in their natural order, and queries that are not among them.
pub(crate) struct Shape {
    pub(crate) name: &'static str,
    pub(crate) dimension: usize,
    pub(crate) vectors: Vec<Vec<f32>>,
    pub(crate) queries: Vec<Vec<f32>>,
}

/// The name of each shape that is made here, and how.
type Maker = fn(&mut Random) -> Shape;

pub(crate) const MAKERS: &[(&str, Maker)] = &[
    ("path", path),
    ("spiral", spiral),
    ("grid", grid),
    ("documents", documents),
    ("cities", cities),
    ("near-duplicates", near_duplicates),
    ("one-copied", one_copied),
    ("mostly-copied", mostly_copied),
    ("equal-groups", equal_groups),
    ("outliers", outliers),
    ("by-first-component", by_first_component),
    ("two-clusters", two_clusters),
    ("heavy-norms", heavy_norms),
    ("sparse", sparse),
    ("tight-clusters", tight_clusters),
    ("gauss-100", gauss),
    ("uniform-128", uniform),
    ("embeddings-384", embeddings),
];

/// Queries of each shape.
const QUERIES: usize = 300;

/// Numbers that repeat with their seed.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 33) as usize % bound
    }

    /// From 0 to 1.
    pub(crate) fn unit(&mut self) -> f32 {
        self.below(1 << 24) as f32 / (1 << 24) as f32
    }

    /// Normally distributed.
    pub(crate) fn normal(&mut self) -> f32 {
        let (one, two) = (self.unit().max(1e-9), self.unit());
        (-2.0 * one.ln()).sqrt() * (2.0 * PI * two).cos()
    }

    pub(crate) fn normals(&mut self, dimension: usize) -> Vec<f32> {
        (0..dimension).map(|_| self.normal()).collect()
    }

    /// A vector this far from another in each component.
    fn near(&mut self, centre: &[f32], spread: f32) -> Vec<f32> {
        centre.iter().map(|x| x + spread * self.normal()).collect()
    }

    pub(crate) fn shuffle<T>(&mut self, all: &mut [T]) {
        for last in (1..all.len()).rev() {
            all.swap(last, self.below(last + 1));
        }
    }
}

fn path(random: &mut Random) -> Shape {
    let at = |t: f32| vec![t.cos() + 0.1 * t, t.sin(), (2.0 * t).cos() + 1.5, 0.3 * t];
    Shape {
        name: "path",
        dimension: 4,
        vectors: (0..8_000).map(|i| at(4.0 * PI * i as f32 / 7_999.0)).collect(),
        queries: (0..QUERIES).map(|_| at(4.0 * PI * random.unit())).collect(),
    }
}

fn spiral(random: &mut Random) -> Shape {
    let at = |t: f32| vec![t * (20.0 * t).cos(), t * (20.0 * t).sin(), 0.1 + 0.2 * t];
    Shape {
        name: "spiral",
        dimension: 3,
        vectors: (0..8_000).map(|i| at(0.1 + i as f32 / 4_000.0)).collect(),
        queries: (0..QUERIES).map(|_| at(0.1 + 2.0 * random.unit())).collect(),
    }
}

fn grid(random: &mut Random) -> Shape {
    let at = |i: usize| vec![1.0 + (i / 100) as f32, 1.0 + (i % 100) as f32];
    Shape {
        name: "grid",
        dimension: 2,
        vectors: (0..10_000).map(at).collect(),
        queries: (0..QUERIES)
            .map(|_| vec![1.0 + 99.0 * random.unit(), 1.0 + 99.0 * random.unit()])
            .collect(),
    }
}

/// Chunks of 30 documents, one document after the other.
fn documents(random: &mut Random) -> Shape {
    let centres: Vec<Vec<f32>> = (0..30).map(|_| random.normals(384)).collect();
    let vectors = centres
        .iter()
        .flat_map(|centre| (0..200).map(|_| random.near(centre, 0.35)).collect::<Vec<_>>())
        .collect();
    let queries = (0..QUERIES).map(|i| random.near(&centres[i % 30], 0.35)).collect();
    Shape {
        name: "documents",
        dimension: 384,
        vectors,
        queries,
    }
}

/// Countries on a sphere, one after the other: of very different sizes, each in clumps.
fn cities(random: &mut Random) -> Shape {
    let mut vectors = Vec::new();
    let mut places = Vec::new();
    let on_sphere = |vector: Vec<f32>| {
        let norm = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
        vector.into_iter().map(|x| x / norm).collect::<Vec<f32>>()
    };
    for country in 0..200 {
        let centre = on_sphere(random.normals(3));
        let count = (900.0 * (random.unit() * 0.99 + 0.01).powi(4)) as usize + 4;
        let width = 0.1 * (count as f32 / 900.0).sqrt();
        let regions: Vec<Vec<f32>> = (0..count / 20 + 1)
            .map(|_| on_sphere(random.near(&centre, width)))
            .collect();
        for city in 0..count {
            let region = &regions[city * regions.len() / count];
            vectors.push(on_sphere(random.near(region, width * 0.2)));
        }
        places.push((country, regions, width));
    }
    let queries = (0..QUERIES)
        .map(|i| {
            let (_, regions, width) = &places[i % places.len()];
            let region = &regions[random.below(regions.len())];
            on_sphere(random.near(region, width * 0.2))
        })
        .collect();
    Shape {
        name: "cities",
        dimension: 3,
        vectors,
        queries,
    }
}

/// One topic, and a few others; the queries are for the others.
fn near_duplicates(random: &mut Random) -> Shape {
    let centre = random.normals(128);
    let mut vectors: Vec<Vec<f32>> = (0..4_000).map(|_| random.near(&centre, 0.1)).collect();
    let others: Vec<Vec<f32>> = (0..50).map(|_| random.normals(128)).collect();
    for (place, other) in others.iter().enumerate() {
        vectors.insert(place * 80, other.clone());
    }
    let queries = (0..QUERIES).map(|i| random.near(&others[i % 50], 0.2)).collect();
    Shape {
        name: "near-duplicates",
        dimension: 128,
        vectors,
        queries,
    }
}

fn one_copied(random: &mut Random) -> Shape {
    let mut vectors: Vec<Vec<f32>> = (0..12_000).map(|_| random.normals(64)).collect();
    let same = random.normals(64);
    vectors.extend((0..1_062).map(|_| same.clone()));
    let queries = (0..QUERIES).map(|_| random.normals(64)).collect();
    Shape {
        name: "one-copied",
        dimension: 64,
        vectors,
        queries,
    }
}

/// One vector ten times as often as all others together.
fn mostly_copied(random: &mut Random) -> Shape {
    let same = random.normals(64);
    let mut vectors = vec![same; 5_000];
    for place in 0..500 {
        vectors.insert(place * 11, random.normals(64));
    }
    let queries = (0..QUERIES).map(|_| random.normals(64)).collect();
    Shape {
        name: "mostly-copied",
        dimension: 64,
        vectors,
        queries,
    }
}

/// Groups of 20, 50 and 100 equal vectors; a query is one of them.
fn equal_groups(random: &mut Random) -> Shape {
    let mut vectors = Vec::new();
    let mut queries = Vec::new();
    for (size, groups) in [(20, 100), (50, 40), (100, 20)] {
        for _ in 0..groups {
            let same = random.normals(24);
            vectors.extend((0..size).map(|_| same.clone()));
            queries.push(same);
        }
    }
    random.shuffle(&mut vectors);
    Shape {
        name: "equal-groups",
        dimension: 24,
        vectors,
        queries,
    }
}

fn outliers(random: &mut Random) -> Shape {
    let mut vectors: Vec<Vec<f32>> = (0..8_000).map(|_| random.normals(16)).collect();
    for place in 0..20 {
        let far: Vec<f32> = random.normals(16).iter().map(|x| x * 1e5).collect();
        vectors.insert(place * 400, far);
    }
    let queries = (0..QUERIES).map(|_| random.normals(16)).collect();
    Shape {
        name: "outliers",
        dimension: 16,
        vectors,
        queries,
    }
}

fn by_first_component(random: &mut Random) -> Shape {
    let mut make = || (0..16).map(|_| random.unit()).collect::<Vec<f32>>();
    let mut vectors: Vec<Vec<f32>> = (0..10_000).map(|_| make()).collect();
    vectors.sort_by(|one, two| one[0].total_cmp(&two[0]));
    let queries = (0..QUERIES).map(|_| make()).collect();
    Shape {
        name: "by-first-component",
        dimension: 16,
        vectors,
        queries,
    }
}

/// Two clusters far from each other, in turn.
fn two_clusters(random: &mut Random) -> Shape {
    let centres = [vec![5.0f32; 32], vec![-5.0f32; 32]];
    let vectors = (0..8_000).map(|i| random.near(&centres[i % 2], 1.0)).collect();
    let queries = (0..QUERIES).map(|i| random.near(&centres[i % 2], 1.0)).collect();
    Shape {
        name: "two-clusters",
        dimension: 32,
        vectors,
        queries,
    }
}

/// Norms over three decades.
fn heavy_norms(random: &mut Random) -> Shape {
    let mut make = || {
        let norm = 10f32.powf(3.0 * random.unit());
        random.normals(50).into_iter().map(|x| x * norm).collect::<Vec<f32>>()
    };
    let vectors = (0..10_000).map(|_| make()).collect();
    let queries = (0..QUERIES).map(|_| make()).collect();
    Shape {
        name: "heavy-norms",
        dimension: 50,
        vectors,
        queries,
    }
}

/// Eight of 384 components are not zero.
fn sparse(random: &mut Random) -> Shape {
    let mut make = || {
        let mut vector = vec![0.0; 384];
        for _ in 0..8 {
            // Some components are much more frequent than others, as words are.
            vector[(384.0 * random.unit().powi(2)) as usize % 384] = 0.2 + random.unit();
        }
        vector
    };
    let vectors = (0..10_000).map(|_| make()).collect();
    let queries = (0..QUERIES).map(|_| make()).collect();
    Shape {
        name: "sparse",
        dimension: 384,
        vectors,
        queries,
    }
}

fn tight_clusters(random: &mut Random) -> Shape {
    let centres: Vec<Vec<f32>> = (0..100).map(|_| random.normals(384)).collect();
    let vectors = (0..10_000).map(|i| random.near(&centres[i / 100], 0.01)).collect();
    let queries = (0..QUERIES).map(|i| random.near(&centres[i % 100], 0.01)).collect();
    Shape {
        name: "tight-clusters",
        dimension: 384,
        vectors,
        queries,
    }
}

fn gauss(random: &mut Random) -> Shape {
    let vectors = (0..15_000).map(|_| random.normals(100)).collect();
    let queries = (0..QUERIES).map(|_| random.normals(100)).collect();
    Shape {
        name: "gauss-100",
        dimension: 100,
        vectors,
        queries,
    }
}

fn uniform(random: &mut Random) -> Shape {
    let mut make = || (0..128).map(|_| random.unit()).collect::<Vec<f32>>();
    let vectors = (0..10_000).map(|_| make()).collect();
    let queries = (0..QUERIES).map(|_| make()).collect();
    Shape {
        name: "uniform-128",
        dimension: 128,
        vectors,
        queries,
    }
}

/// Like embeddings of sentences: topics within topics, of few intrinsic dimensions, one topic after the other. Norms differ
/// a little.
fn embeddings(random: &mut Random) -> Shape {
    let basis: Vec<Vec<f32>> = (0..24).map(|_| random.normals(384)).collect();
    let topic = |random: &mut Random, place: usize| {
        let mut centre = Random::new(place as u64 / 20 + 77);
        let mut within = Random::new(place as u64 + 7_777);
        let mut vector: Vec<f32> = vec![0.0; 384];
        for direction in &basis {
            let weight = centre.normal() + 0.6 * within.normal() + 0.4 * random.normal();
            vector.iter_mut().zip(direction).for_each(|(x, y)| *x += weight * y);
        }
        let norm = 1.0 + 0.1 * random.normal();
        vector
            .iter()
            .map(|x| norm * (x + 1.0 * random.normal()))
            .collect::<Vec<f32>>()
    };
    let vectors = (0..15_000).map(|i| topic(random, i / 15)).collect();
    let queries = (0..QUERIES)
        .map(|_| {
            let at = random.below(1_000);
            topic(random, at)
        })
        .collect();
    Shape {
        name: "embeddings-384",
        dimension: 384,
        vectors,
        queries,
    }
}

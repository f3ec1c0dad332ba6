//! The kernels as the walk calls them, shown to `benches/`.

use crate::distance::Kernel;
use crate::hnsw::Index;
use crate::metric::Metric;
use crate::probe::Unpacked;
use crate::space::Space;
use crate::storage::Storage;

/// The names of the kernels that this processor can run, the fastest first: that is the one an index chooses.
pub fn kernels() -> Vec<&'static str> {
    Kernel::runnable().map(|kernel| kernel.name).collect()
}

/// Lets an index measure with another kernel from now on.
pub fn choose_kernel(index: &mut Index, name: &str) {
    index.space.choose_kernel(name);
}

/// Vectors in the form of one storage kind, and nothing else of an index.
pub struct Table {
    space: Space,
    row: Unpacked,
    distances: Vec<f32>,
}

impl Table {
    /// A table of these vectors, one after the other, of this dimension. The walk reads codes if the kind has them.
    pub fn new(metric: Metric, storage: Storage, dimension: usize, vectors: &[f32]) -> Table {
        Table::fill(Space::new(metric, dimension, storage), vectors)
    }

    /// A table of f32 rows whose walk reads these rows, at any dimension.
    pub fn of_rows(metric: Metric, dimension: usize, vectors: &[f32]) -> Table {
        Table::fill(Space::new(metric, dimension, Storage::F32).without_codes(), vectors)
    }

    /// Measures with another kernel from now on.
    pub fn choose_kernel(&mut self, name: &str) {
        self.space.choose_kernel(name);
    }

    /// The walk distances from one vector to others.
    pub fn measure(&mut self, from: u32, to: &[u32]) -> &[f32] {
        let probe = self.space.probe(from, &mut self.row);
        self.space.measure(probe, to, &mut self.distances)
    }

    fn fill(mut space: Space, vectors: &[f32]) -> Table {
        for (slot, vector) in vectors.chunks_exact(space.dimension()).enumerate() {
            space.put(slot as u32, vector);
        }
        space.settle();
        Table {
            space,
            row: Unpacked::default(),
            distances: Vec::new(),
        }
    }
}

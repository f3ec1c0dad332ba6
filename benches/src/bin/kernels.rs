//! The kernels of the walk beside each other and NumKong's (the library that was SimSIMD): nanoseconds for each dot product
//! of one vector with 16 others, in processor time, the best of some rounds, all in turn.
//!
//!     cargo run --release -p kora-bench --features kernels --bin kernels
//!
//! "hot" measures rows that stay in the second-level cache, "cold" random rows of a table of 256 MiB. NumKong has one
//! pair a call and fetches nothing ahead; its f32 product adds up in f64.

use kora_bench::cpu_time;
use kora_vector::bench::{Table, kernels};
use kora_vector::{Metric, Storage};
use numkong::{Dot, f16};

fn main() {
    let columns = kernels().join(" | ");
    println!("| dimensions | form | rows | {columns} | numkong |");
    println!("|---|---|---|---|{}", "---|".repeat(kernels().len()));
    for dimension in [50, 128, 384, 768, 1536] {
        for (rows, count) in [("hot", 128), ("cold", (256 << 20) / (dimension * 4))] {
            let vectors = noise(count * dimension);
            let mut table = Table::of_rows(Metric::InnerProduct, dimension, &vectors);
            report(dimension, "f32", rows, count, &mut table, &vectors);
            let halves: Vec<f16> = vectors.iter().map(|&x| f16::from_f32(x)).collect();
            let mut table = Table::new(Metric::InnerProduct, Storage::F16, dimension, &vectors);
            report(dimension, "f16", rows, count, &mut table, &halves);
            let codes: Vec<i8> = vectors.iter().map(|&x| (x * 127.0) as i8).collect();
            let mut table = Table::new(Metric::InnerProduct, Storage::Q8, dimension, &vectors);
            report(dimension, "i8", rows, count, &mut table, &codes);
        }
    }
}

/// Measures all on the same slots and prints a line.
fn report<T: Dot>(dimension: usize, form: &str, rows: &str, count: usize, table: &mut Table, flat: &[T]) {
    let groups = if rows == "hot" { 40_000 } else { 10_000 };
    let slots = random_slots(groups * GROUP, count);
    let row = |slot: u32| &flat[slot as usize * dimension..][..dimension];
    let kernels = kernels();
    let mut best = vec![f64::MAX; kernels.len() + 1];
    for _ in 0..ROUNDS {
        for (name, best) in kernels.iter().zip(&mut best) {
            table.choose_kernel(name);
            let begun = cpu_time();
            for group in slots.chunks_exact(GROUP) {
                std::hint::black_box(table.measure(group[0], group));
            }
            *best = best.min((cpu_time() - begun).as_secs_f64());
        }
        let begun = cpu_time();
        for group in slots.chunks_exact(GROUP) {
            let from = row(group[0]);
            for &slot in group {
                std::hint::black_box(T::dot(from, row(slot)));
            }
        }
        let theirs = best.last_mut().expect("a place for each kernel and one more");
        *theirs = theirs.min((cpu_time() - begun).as_secs_f64());
    }
    let each = |seconds: &f64| format!("{:.1}", seconds * 1e9 / slots.len() as f64);
    let cells: Vec<String> = best.iter().map(each).collect();
    println!("| {dimension} | {form} | {rows} | {} |", cells.join(" | "));
}

fn noise(count: usize) -> Vec<f32> {
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

fn random_slots(count: usize, below: usize) -> Vec<u32> {
    noise(count)
        .iter()
        .map(|&x| ((x + 1.0) / 2.0 * (below - 1) as f32) as u32)
        .collect()
}

/// Rows measured in one call: about what a node has that was not seen yet.
const GROUP: usize = 16;

const ROUNDS: usize = 5;

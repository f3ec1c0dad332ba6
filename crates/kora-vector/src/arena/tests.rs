//! Tables of rows that grow and shrink.

use super::*;

fn cases() -> impl Iterator<Item = (usize, Reading)> {
    [1, 7, 64, 112, 3_000, 65_536, 400_000, 600_000]
        .into_iter()
        .flat_map(|words| [(words, Reading::AtRandom), (words, Reading::Otherwise)])
}

#[test]
fn rows_keep_their_place_and_content_while_the_arena_grows() {
    for (row_words, reading) in cases() {
        let rows_max = (8 << 20) / (row_words * 4) + 3;
        let rows_max = rows_max.min(20_000);
        let mut rows = Rows::new(row_words, reading);
        let mut addresses = Vec::new();
        for row in 0..rows_max as u32 {
            assert_eq!(rows.push(), row);
            rows.floats_mut(row)[row_words - 1] = row as f32;
            rows.floats_mut(row)[0] = row as f32;
            addresses.push(rows.address(row));
        }
        for row in 0..rows_max as u32 {
            assert_eq!(rows.address(row), addresses[row as usize]);
            assert_eq!(rows.floats(row)[0], row as f32);
            assert_eq!(rows.floats(row)[row_words - 1], row as f32);
        }
        let held = rows.allocated_bytes();
        let mut freed = 0;
        while let Some(bytes) = rows.release_chunk() {
            freed += bytes;
        }
        assert_eq!(freed, held);
        assert_eq!(rows.len(), 0);
    }
}

#[test]
fn rows_that_are_given_back_take_their_chunks_along() {
    for (row_words, reading) in cases() {
        let mut rows = Rows::new(row_words, reading);
        let rows_max = ((8 << 20) / (row_words * 4)).min(20_000) as u32;
        for _ in 0..rows_max {
            rows.push();
        }
        (0..rows_max).for_each(|row| rows.floats_mut(row)[0] = row as f32);
        let full = rows.allocated_bytes();
        rows.truncate(rows_max as usize / 2);
        while rows.release_spare().is_some() {}
        assert_eq!(rows.len(), rows_max as usize / 2);
        assert!(rows.allocated_bytes() < full);
        (0..rows_max / 2).for_each(|row| assert_eq!(rows.floats(row)[0], row as f32));
        let keeps_tail = rows.is_page(rows.chunk_count - 1);
        rows.reach(rows_max / 2);
        rows.reach(0);
        assert_eq!(rows.len(), rows_max as usize / 2 + 1);
        rows.copy(0, rows_max / 2);
        assert_eq!(rows.floats(rows_max / 2)[0], 0.0);
        for _ in rows_max / 2 + 1..rows_max {
            rows.push();
        }
        assert_eq!(rows.allocated_bytes(), full);
        let stale = (rows_max / 2 + 1..rows_max).filter(|row| rows.floats(*row)[0] != 0.0);
        let stale_bytes = stale.count() * rows.row_bytes;
        assert!(
            keeps_tail || stale_bytes < 2 * page_size(),
            "{row_words} words: {stale_bytes} bytes of the tail were kept"
        );
        rows.truncate(0);
        while rows.release_spare().is_some() {}
        assert_eq!(rows.allocated_bytes(), 0);
    }
}

#[test]
#[should_panic(expected = "row 3 of 3")]
fn a_row_that_does_not_exist_is_never_read() {
    let mut rows = Rows::new(4, Reading::AtRandom);
    for _ in 0..3 {
        rows.push();
    }
    rows.floats(3);
}

//! The rows of a column in one group of rows, put together from levels and values.

use std::fs::File;
use std::sync::Arc;

use crate::limits::DIMENSION_MAX;

use super::footer::RowGroup;
use super::hybrid::Hybrid;
use super::page::{DataPage, LevelPlace, Page, Pages};
use super::schema::{Column, Levels};
use super::values::{Dictionary, Value, Values};

/// Reads a column row by row. One page is in memory, and one dictionary.
pub(super) struct ColumnRows {
    column: Column,
    pages: Pages,
    dictionary: Option<Dictionary>,
    page: Option<OpenPage>,
    /// Levels that were read and belong to the next row. Their value is not read yet.
    ahead: Option<Level>,
}

/// What a row of a column is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Shape {
    Null,
    Value,
    List,
}

struct OpenPage {
    bytes: Vec<u8>,
    /// Levels that are to come.
    left: u32,
    repetition: Option<Hybrid>,
    definition: Option<Hybrid>,
    values: Values,
}

#[derive(Clone, Copy)]
struct Level {
    repetition: u32,
    definition: u32,
}

impl ColumnRows {
    pub(super) fn open(file: &Arc<File>, column: &Column, group: &RowGroup) -> Result<Self, String> {
        let chunk = group.chunks.get(column.leaf).ok_or("a column is missing")?;
        Ok(Self {
            pages: Pages::open(file, *chunk)?,
            column: column.clone(),
            dictionary: None,
            page: None,
            ahead: None,
        })
    }

    /// Reads the next row: calls `visit` with its value, or with each item of its list.
    pub(super) fn next_row(&mut self, mut visit: impl FnMut(Option<Value<'_>>)) -> Result<Shape, String> {
        let Levels {
            is_list,
            row,
            item,
            value,
        } = self.column.levels;
        let level = match self.ahead.take() {
            Some(level) => level,
            None => self.next_level()?.ok_or("it ends before its last row")?,
        };
        if level.repetition != 0 {
            return Err("a row begins within a list".into());
        }
        if level.definition < row {
            self.ahead = self.level_ahead(is_list)?;
            return self.is_row_ahead().map(|()| Shape::Null);
        }
        if !is_list {
            visit(Some(self.next_value()?));
            return Ok(Shape::Value);
        }
        if level.definition < item {
            self.ahead = self.level_ahead(is_list)?;
            return self.is_row_ahead().map(|()| Shape::List);
        }
        let mut definition = level.definition;
        for _ in 0..DIMENSION_MAX {
            match definition {
                _ if definition == value => visit(Some(self.next_value()?)),
                _ if definition >= item => visit(None),
                _ => return Err("a list that goes on has no item".into()),
            }
            match self.next_level()? {
                Some(next) if next.repetition > 0 => definition = next.definition,
                next => {
                    self.ahead = next;
                    return Ok(Shape::List);
                }
            }
        }
        Err(format!("a list has more than {DIMENSION_MAX} items"))
    }

    /// Whether all of it was read.
    pub(super) fn is_at_end(&mut self) -> Result<bool, String> {
        if self.ahead.is_none() {
            self.ahead = self.next_level()?;
        }
        Ok(self.ahead.is_none())
    }

    /// Of a list the end is known only by what follows.
    fn level_ahead(&mut self, is_list: bool) -> Result<Option<Level>, String> {
        match is_list {
            true => self.next_level(),
            false => Ok(None),
        }
    }

    fn is_row_ahead(&self) -> Result<(), String> {
        match self.ahead {
            Some(Level { repetition: 1.., .. }) => Err("a list without items goes on".into()),
            _ => Ok(()),
        }
    }

    /// The levels of the next value, or `None` behind the last page.
    fn next_level(&mut self) -> Result<Option<Level>, String> {
        loop {
            if let Some(page) = &mut self.page
                && let Some(left) = page.left.checked_sub(1)
            {
                page.left = left;
                let cut = || "the levels of a page are cut short".to_owned();
                let next = |levels: &mut Option<Hybrid>, default| match levels {
                    Some(levels) => levels.next(&page.bytes).ok_or_else(cut),
                    None => Ok(default),
                };
                let most = self.column.levels.value;
                let level = Level {
                    repetition: next(&mut page.repetition, 0)?,
                    definition: next(&mut page.definition, most)?,
                };
                return match level.repetition <= u32::from(self.column.levels.is_list) && level.definition <= most {
                    true => Ok(Some(level)),
                    false => Err("a level is higher than the schema has".into()),
                };
            }
            match self.pages.next_page()? {
                None => return Ok(None),
                Some(page) => self.take_page(page)?,
            }
        }
    }

    fn next_value(&mut self) -> Result<Value<'_>, String> {
        let page = self.page.as_mut().ok_or("a value has no page")?;
        let (physical, length) = (self.column.physical, self.column.length);
        let value = page
            .values
            .next(physical, length, &page.bytes, self.dictionary.as_ref());
        value.ok_or_else(|| "a value is missing, or what a page says of it is wrong".into())
    }

    fn take_page(&mut self, page: Page) -> Result<(), String> {
        let (physical, length) = (self.column.physical, self.column.length);
        match page {
            Page::Dictionary { .. } if self.dictionary.is_some() => Err("it has two dictionaries".into()),
            Page::Dictionary {
                values,
                encoding,
                bytes,
            } => {
                self.dictionary = Some(Dictionary::new(physical, length, values, encoding, bytes)?);
                Ok(())
            }
            Page::Data(page) => {
                let (repetition, definition, at) = open_levels(&page, self.column.levels)?;
                let values = Values::open(physical, length, page.encoding, &page.bytes, at)?;
                self.page = Some(OpenPage {
                    left: page.values,
                    bytes: page.bytes,
                    repetition,
                    definition,
                    values,
                });
                Ok(())
            }
        }
    }
}

/// The levels of repetition and of definition, and where the values begin.
fn open_levels(page: &DataPage, levels: Levels) -> Result<(Option<Hybrid>, Option<Hybrid>, usize), String> {
    let widths = [u32::from(levels.is_list), u32::BITS - levels.value.leading_zeros()];
    let mut at = 0;
    let mut open = |width: u32, told: Option<usize>| -> Result<Option<Hybrid>, String> {
        let length = match told {
            Some(length) => length,
            // A column that can't have levels has no length of them either.
            None if width == 0 => 0,
            None => {
                let rest = page.bytes.get(at..).unwrap_or_default();
                let head = rest.first_chunk::<4>().ok_or("the levels of a page are cut short")?;
                at += head.len();
                u32::from_le_bytes(*head) as usize
            }
        };
        let start = at;
        at = start
            .checked_add(length)
            .filter(|end| *end <= page.bytes.len())
            .ok_or("the levels of a page are longer than the page")?;
        match width {
            0 => Ok(None),
            width => Hybrid::new(start, at, width).map(Some),
        }
    };
    let (repetition, definition) = match page.levels {
        LevelPlace::Prefixed => (None, None),
        LevelPlace::Lengths { repetition, definition } => (Some(repetition), Some(definition)),
    };
    let repetition = open(widths[0], repetition)?;
    let definition = open(widths[1], definition)?;
    Ok((repetition, definition, at))
}

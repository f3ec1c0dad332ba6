//! Vectors as text: a word and its components on each line, as GloVe's files and word2vec's text files have them.

use crate::error::TransferError;
use crate::limits::DIMENSION_MAX;
use crate::row::{Content, Row, Vector};
use crate::source::{Position, RowSource, Taken};

use super::lines::{Line, Lines};
use super::{FileToRead, Naming};

/// Reads the vectors of one file.
pub(super) struct VectorText {
    lines: Lines,
    naming: Naming,
    /// Components of each line: the first says it.
    dimension: usize,
}

impl VectorText {
    pub(super) fn open(file: &FileToRead, from: Position) -> Result<Self, TransferError> {
        let mut first = Lines::open(&file.path, Position::default())?;
        let wrong = |what: &str| TransferError::Format(format!("{}: line 1: {what}", file.path.display()));
        let Some((_, Line::Text(line))) = first.next_line()? else {
            return Err(wrong("a word and its components are expected"));
        };
        let words: Vec<&[u8]> = words(&line).collect();
        let header = match words.as_slice() {
            [count, dimension] => whole_number(count).and(whole_number(dimension)),
            _ => None,
        };
        let dimension = header.unwrap_or(words.len().saturating_sub(1));
        if !(1..=DIMENSION_MAX).contains(&dimension) {
            return Err(wrong(&format!(
                "{dimension} components are not between 1 and {DIMENSION_MAX}"
            )));
        }
        let start = match header {
            Some(_) => first.position(),
            None => Position::default(),
        };
        Ok(Self {
            lines: Lines::open(&file.path, from.max(start))?,
            naming: file.naming.clone(),
            dimension,
        })
    }

    fn row(&self, line: &[u8]) -> Result<Row, String> {
        // A word may have blanks, in GloVe's 840B for instance. The components are counted from the end.
        let mut rest = line.trim_ascii_end();
        let mut components = Vec::with_capacity(self.dimension);
        for _ in 0..self.dimension {
            let blank = rest
                .iter()
                .rposition(|byte| is_blank(*byte))
                .ok_or_else(|| format!("fewer than a word and {} components", self.dimension))?;
            components.push(component(&rest[blank + 1..])?);
            rest = rest[..blank].trim_ascii_end();
        }
        components.reverse();
        Ok(Row {
            key: self.naming.key(rest)?,
            content: Content::Vector(Vector {
                components,
                attributes: None,
            }),
            expires_at_ms: None,
        })
    }
}

impl RowSource for VectorText {
    fn next_row(&mut self) -> Result<Option<Taken>, TransferError> {
        let Some((position, line)) = self.lines.next_line()? else {
            return Ok(None);
        };
        let row = match line {
            Line::Text(text) => self.row(&text),
            Line::TooLong => Err("the line is too long".into()),
        };
        Ok(Some(Taken { position, row }))
    }

    fn done(&self) -> u64 {
        self.lines.position().offset
    }

    fn length(&self) -> Option<u64> {
        Some(self.lines.length())
    }

    fn position(&self) -> Position {
        self.lines.position()
    }
}

/// A component as text. Those that are not finite are refused by the server; here it is said which word is no number.
pub(super) fn component(word: &[u8]) -> Result<f32, String> {
    match fast_float2::parse::<f32, _>(word) {
        Ok(component) if component.is_finite() => Ok(component),
        _ => Err(format!("`{}` is no finite number", crate::row::shown(word))),
    }
}

fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|byte| is_blank(*byte)).filter(|word| !word.is_empty())
}

fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

fn whole_number(word: &[u8]) -> Option<usize> {
    std::str::from_utf8(word).ok()?.parse().ok()
}

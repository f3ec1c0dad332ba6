//! Which columns of a Parquet file can be read, and how their rows are put together.

use super::footer::{Footer, Meaning, Node, Physical, Repetition};

/// A column of one value for each row, or of a list of values.
#[derive(Clone, Debug)]
pub(super) struct Column {
    pub(super) name: String,
    /// Its place among the chunks of a group of rows.
    pub(super) leaf: usize,
    pub(super) physical: Physical,
    /// Bytes of a value of [`Physical::Fixed`].
    pub(super) length: usize,
    pub(super) meaning: Meaning,
    pub(super) levels: Levels,
}

/// What the levels of a column say (Dremel's encoding).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Levels {
    /// Whether a row has a list: a repetition level of 1 goes on with it, 0 begins the next row.
    pub(super) is_list: bool,
    /// With a lower definition level the row is null.
    pub(super) row: u32,
    /// With a lower one, but not lower than `row`, the list is empty.
    pub(super) item: u32,
    /// With this one there is a value, otherwise the item is null.
    pub(super) value: u32,
}

/// A column of the file's first level.
pub(super) enum TopColumn {
    Readable(Column),
    /// Its name, and why it can't be read.
    Unreadable(String, &'static str),
}

impl TopColumn {
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Readable(column) => &column.name,
            Self::Unreadable(name, _) => name,
        }
    }
}

/// The columns of the first level, in their order.
pub(super) fn columns(footer: &Footer) -> Result<Vec<TopColumn>, String> {
    let (root, nodes) = footer.nodes.split_first().ok_or("it has no schema")?;
    let mut columns = Vec::new();
    let (mut at, mut leaf) = (0, 0);
    for _ in 0..root.children {
        let length = subtree(nodes.get(at..).unwrap_or_default())?;
        let tree = &nodes[at..at + length];
        columns.push(column(tree, leaf));
        at += length;
        leaf += tree.iter().filter(|node| node.physical.is_some()).count();
    }
    match at == nodes.len() {
        true => Ok(columns),
        false => Err("its schema has more columns than it tells".into()),
    }
}

/// How many nodes the first one and all below it are.
fn subtree(nodes: &[Node]) -> Result<usize, String> {
    // Nodes that are to come.
    let mut open = 1u64;
    for (index, node) in nodes.iter().enumerate() {
        open = (open - 1)
            .checked_add(node.children)
            .ok_or("its schema has too many columns")?;
        if open == 0 {
            return Ok(index + 1);
        }
    }
    Err("its schema has fewer columns than it tells".into())
}

fn column(tree: &[Node], leaf: usize) -> TopColumn {
    use Repetition::{Optional, Repeated};

    let name = tree[0].name.clone();
    let level = |node: &Node| u32::from(node.repetition == Optional);
    let found = match tree {
        [value] if value.repetition == Repeated => Some((value, list(0, 0))),
        [value] => Some((
            value,
            Levels {
                is_list: false,
                row: level(value),
                item: level(value),
                value: level(value),
            },
        )),
        // A list in the form of old writers: the items are the repeated column itself.
        [outer, value] if outer.repetition != Repeated && value.repetition == Repeated => {
            Some((value, list(level(outer), 0)))
        }
        [outer, repeated, value]
            if outer.repetition != Repeated && repeated.repetition == Repeated && value.repetition != Repeated =>
        {
            Some((value, list(level(outer), level(value))))
        }
        _ => None,
    };
    let unreadable = |what| TopColumn::Unreadable(name.clone(), what);
    let readable = |value: &Node, levels| match value.physical {
        Some(physical) => TopColumn::Readable(Column {
            name: name.clone(),
            leaf,
            physical,
            length: value.length,
            meaning: value.meaning,
            levels,
        }),
        None => unreadable("it has no values"),
    };
    let Some((value, levels)) = found else {
        return unreadable("it is nested: only values and lists of values can be read");
    };
    match (value.physical, value.meaning) {
        (Some(Physical::Int96), _) => unreadable("it has values of 96 bits"),
        (_, Meaning::Decimal) => unreadable("it has decimal numbers; floating-point numbers can be read"),
        (_, Meaning::Interval) => unreadable("it has intervals"),
        (Some(Physical::Fixed), Meaning::HalfFloat) if value.length == 2 => readable(value, levels),
        (_, Meaning::HalfFloat) => unreadable("its half-precision numbers do not have 2 bytes"),
        _ => readable(value, levels),
    }
}

/// The levels of a list, of which the whole or an item may be null (1) or not (0).
fn list(outer: u32, item: u32) -> Levels {
    Levels {
        is_list: true,
        row: outer,
        item: outer + 1,
        value: outer + 1 + item,
    }
}

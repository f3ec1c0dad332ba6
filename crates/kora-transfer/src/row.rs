//! One thing that travels: a key with its value and deadline, or a collection.

/// A key with what it holds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    /// A key; for [`Content::Collection`] the collection's name, for elements the name of their set.
    pub(crate) key: Vec<u8>,
    pub(crate) content: Content,
    /// Unix time in milliseconds.
    pub(crate) expires_at_ms: Option<u64>,
}

/// What a key holds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Content {
    String(Vec<u8>),
    Hash {
        fields: Fields,
        /// Unix time in milliseconds, for the fields that have a deadline.
        deadlines: FieldDeadlines,
        /// False if these are all fields, or the first of more: what the key held before goes.
        continues: bool,
    },
    /// A vector with a key of its own: `collection:element`.
    Vector(Vector),
    /// A vector of a set that is one key, as VADD makes it.
    Element {
        element: Vec<u8>,
        vector: Vector,
        form: SetForm,
    },
    /// A collection, before its vectors.
    Collection(Schema),
    /// The deadline of a vector set, behind its elements.
    SetDeadline,
}

/// Fields of a hash with their values.
pub(crate) type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// Names of fields, and when they expire.
pub(crate) type FieldDeadlines = Vec<(Vec<u8>, u64)>;

/// A vector and its attributes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Vector {
    pub(crate) components: Vec<f32>,
    /// Empty: it has none, and those that the target's vector has are removed. `None`: the source does not tell.
    pub(crate) attributes: Option<Vec<u8>>,
}

/// The parameters of a collection. The texts are checked by the server that creates it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Schema {
    pub(crate) dimension: usize,
    pub(crate) metric: Option<String>,
    pub(crate) quant: Option<String>,
    pub(crate) m: Option<u64>,
    pub(crate) ef_construction: Option<u64>,
    pub(crate) ef_search: Option<u64>,
}

/// How a vector set stores its elements, as VINFO says it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct SetForm {
    pub(crate) quant: SetQuant,
    pub(crate) m: u64,
}

/// `quant-type` of VINFO.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum SetQuant {
    F32,
    Int8,
    Bin,
}

impl SetQuant {
    /// VINFO's word for it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Int8 => "int8",
            Self::Bin => "bin",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        [Self::F32, Self::Int8, Self::Bin]
            .into_iter()
            .find(|known| known.name() == name)
    }

    /// VADD's word for it.
    pub(crate) fn option(self) -> &'static str {
        match self {
            Self::F32 => "NOQUANT",
            Self::Int8 => "Q8",
            Self::Bin => "BIN",
        }
    }
}

impl Row {
    /// True if it depends on all that was before it.
    pub(crate) fn is_barrier(&self) -> bool {
        self.content == Content::SetDeadline
    }
}

/// Bytes as a person reads them in a message: cut, and escaped where they are no text.
pub(crate) fn shown(name: &[u8]) -> String {
    let text = String::from_utf8_lossy(name);
    let mut shown: String = text
        .chars()
        .take(crate::limits::NAME_SHOWN_CHARS_MAX)
        .flat_map(char::escape_debug)
        .collect();
    if text.chars().nth(crate::limits::NAME_SHOWN_CHARS_MAX).is_some() {
        shown.push('…');
    }
    shown
}

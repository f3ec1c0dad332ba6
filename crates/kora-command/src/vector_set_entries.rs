//! The commands on vector sets, as the table lists them. Their syntax stands in `vector_sets.rs`.
//!
//! In Redis they are those of a module, which counts words itself: so their arity is -1 there, and here.

use crate::row::{CommandEntry, DataAccess, PLAIN};
use crate::syntax::Argument;
use crate::vector_sets;

/// The commands of this family.
pub(crate) const ENTRIES: &[CommandEntry] = &[
    CommandEntry {
        name: "vadd",
        reply: "Whether the element is new: a boolean (RESP3) or 1 or 0 (RESP2).",
        notes: "As in Redis 8.2: the first VADD makes the set with the dimension, the form of the vectors (`Q8` unless `NOQUANT` or `BIN` is said), the `M` (16) and the projection, and each later one must say the same. Distances are cosine. The set is one key: it lies on the shard of its name, its elements are no keys of their own, and it goes with its last element. VECQUERY, VECGET and the other VEC commands find its vectors, and VECSET adds some. `REDUCE` brings the vector to fewer dimensions by a fixed projection. `SETATTR` gives the element attributes, which may be any bytes up to 64 KiB; without it an element keeps those that it has. With `EX` the element expires after so many seconds; without it an element keeps its time. `EF` counts when it makes the set, as its EF_CONSTRUCTION; `CAS` changes nothing. Components must be finite. `M` above 512 is kept and told, and the graph has 512.",
        adds_memory: true,
        summary: "Adds an element with its vector to a vector set, or replaces its vector.",
        arguments: VADD,
        parse: vector_sets::add,
        ..SET_WRITE
    },
    CommandEntry {
        name: "vcard",
        reply: "How many there are; 0 if there is no such set.",
        is_fast: true,
        summary: "Returns the number of elements of a vector set.",
        arguments: &[Argument::key("key")],
        parse: vector_sets::count,
        ..SET_READ
    },
    CommandEntry {
        name: "vdim",
        reply: "The dimension, after the projection if there is one. An error if there is no such set.",
        is_fast: true,
        summary: "Returns the dimension of the vectors of a vector set.",
        arguments: &[Argument::key("key")],
        parse: vector_sets::dimension,
        ..SET_READ
    },
    CommandEntry {
        name: "vemb",
        reply: "The components as doubles; with `RAW` an array of the form (`f32`, `int8` or `bin`), the bytes of the vector of length 1 in that form, its length before, and under `int8` what the byte 127 stands for. Null if there is no such element.",
        notes: "Under `NOQUANT` the components come back as they were set. Under `Q8` they come back as they are kept, within 1/253 of the largest; under `BIN` as 1 and -1.",
        is_fast: true,
        summary: "Returns the vector of an element.",
        arguments: &[
            Argument::key("key"),
            Argument::string("element"),
            Argument::word("raw", "RAW").optional(),
        ],
        parse: vector_sets::embedding,
        ..SET_READ
    },
    CommandEntry {
        name: "vgetattr",
        reply: "The text; null if there is no such element or it has none.",
        is_fast: true,
        summary: "Returns the attributes of an element.",
        arguments: ELEMENT,
        parse: vector_sets::get_attributes,
        ..SET_READ
    },
    CommandEntry {
        name: "vinfo",
        reply: "A map: `quant-type`, `hnsw-m`, `vector-dim`, `projection-input-dim` (0 if there is none), `size`, `max-level` (always 0: see VLINKS), `attributes-count`, `vset-uid` (another number for each set), `hnsw-max-node-uid` (how often an element was set or removed). Null if there is no such set.",
        is_fast: true,
        summary: "Describes a vector set.",
        arguments: &[Argument::key("key")],
        parse: vector_sets::describe,
        ..SET_READ
    },
    CommandEntry {
        name: "vismember",
        reply: "A boolean (RESP3) or 1 or 0 (RESP2).",
        summary: "Returns whether an element is in a vector set.",
        arguments: ELEMENT,
        parse: vector_sets::is_member,
        ..SET_READ
    },
    CommandEntry {
        name: "vlinks",
        reply: "An array of one level, which is an array of elements, or with `WITHSCORES` a map of elements to scores (RESP2: one array). Null if there is no such element.",
        notes: "Redis shows the links of its graph, level by level. Here the graph's links are no part of the interface: what is shown is the nearest elements, 2·M at most, nearest first.",
        is_fast: true,
        summary: "Returns the nearest neighbours of an element.",
        arguments: &[
            Argument::key("key"),
            Argument::string("element"),
            Argument::word("withscores", "WITHSCORES").optional(),
        ],
        parse: vector_sets::links,
        ..SET_READ
    },
    CommandEntry {
        name: "vrandmember",
        reply: "An element, or null; with `count` an array: of distinct elements, or if it is negative of as many, which may repeat.",
        summary: "Returns random elements of a vector set.",
        arguments: &[Argument::key("key"), Argument::integer("count").optional()],
        parse: vector_sets::random,
        ..SET_READ
    },
    CommandEntry {
        name: "vrange",
        reply: "An array of elements in the order of their bytes.",
        notes: "`start` is `-`, `[element` or `(element` (without it); `end` is `+` or one of the same. As in Redis 8.4. Each call looks at all names of the set.",
        summary: "Returns the elements between two, in the order of their bytes.",
        arguments: &[
            Argument::key("key"),
            Argument::string("start"),
            Argument::string("end"),
            Argument::integer("count").optional(),
        ],
        parse: vector_sets::range,
        ..SET_READ
    },
    CommandEntry {
        name: "vrem",
        reply: "Whether it was there: a boolean (RESP3) or 1 or 0 (RESP2).",
        notes: "A set goes with its last element.",
        summary: "Removes an element from a vector set.",
        arguments: ELEMENT,
        parse: vector_sets::remove,
        ..SET_WRITE
    },
    CommandEntry {
        name: "vsetattr",
        reply: "Whether there is such an element: a boolean (RESP3) or 1 or 0 (RESP2).",
        notes: "Any bytes, which are not checked; text that is no JSON object passes no filter. An empty text removes the attributes.",
        is_fast: true,
        summary: "Gives an element attributes, which filters choose by.",
        arguments: &[
            Argument::key("key"),
            Argument::string("element"),
            Argument::string("json"),
        ],
        parse: vector_sets::set_attributes,
        ..SET_WRITE
    },
    CommandEntry {
        name: "vsim",
        reply: "The most similar elements, best first. With `WITHSCORES` or `WITHATTRIBS` a map of elements to scores or attributes, with both to arrays of the two; in RESP2 one array in which they alternate. A score is 1 less half of the cosine distance. Empty if there is no such set.",
        notes: "As in Redis 8.2, with these differences: `FILTER` finds all that pass, up to `COUNT`, so `FILTER-EF` is read and not needed; `COUNT` is at most 100,000. Elements at the same score come in the order of their names. `EF` is how many candidates are kept (100), at least `COUNT`. `TRUTH` compares every vector. Without a key nothing else is looked at, as in Redis.",
        summary: "Returns the elements of a vector set that are most similar to a vector or to an element.",
        arguments: VSIM,
        parse: vector_sets::similar,
        ..SET_READ
    },
];

const ELEMENT: &[Argument] = &[Argument::key("key"), Argument::string("element")];

const VECTOR: &[Argument] = &[Argument::string("blob").after("FP32"), VALUES];

const VALUES: Argument = Argument::block(
    "values",
    &[
        Argument::integer("n").after("VALUES"),
        Argument::double("component").multiple(),
    ],
);

const VADD: &[Argument] = &[
    Argument::key("key"),
    Argument::integer("dim").after("REDUCE").optional(),
    Argument::one_of("vector", VECTOR),
    Argument::string("element"),
    Argument::word("cas", "CAS").optional(),
    Argument::one_of(
        "quantisation",
        &[
            Argument::word("noquant", "NOQUANT"),
            Argument::word("q8", "Q8"),
            Argument::word("bin", "BIN"),
        ],
    )
    .optional(),
    Argument::integer("ef").after("EF").optional(),
    Argument::string("json").after("SETATTR").optional(),
    Argument::integer("m").after("M").optional(),
    Argument::integer("seconds").after("EX").optional(),
];

const VSIM: &[Argument] = &[
    Argument::key("key"),
    Argument::one_of(
        "center",
        &[
            Argument::string("element").after("ELE"),
            Argument::string("blob").after("FP32"),
            VALUES,
        ],
    ),
    Argument::word("withscores", "WITHSCORES").optional(),
    Argument::word("withattribs", "WITHATTRIBS").optional(),
    Argument::integer("count").after("COUNT").optional(),
    Argument::double("epsilon").after("EPSILON").optional(),
    Argument::integer("ef").after("EF").optional(),
    Argument::string("expression").after("FILTER").optional(),
    Argument::integer("filter-ef").after("FILTER-EF").optional(),
    Argument::word("truth", "TRUTH").optional(),
    Argument::word("nothread", "NOTHREAD").optional(),
];

const SET_READ: CommandEntry = CommandEntry {
    group: "vector_set",
    categories: &[],
    access: DataAccess::Read,
    other_flags: &[],
    arity: -1,
    keys: (1, 1, 1),
    ..PLAIN
};

const SET_WRITE: CommandEntry = CommandEntry {
    access: DataAccess::Write,
    ..SET_READ
};

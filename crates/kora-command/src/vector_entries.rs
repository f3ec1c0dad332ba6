//! The commands on vectors and collections, as the table lists them. Their syntax stands in `vectors.rs`.

use crate::row::{CommandEntry, VECTOR_READ, VECTOR_WRITE};
use crate::syntax::{Argument, NAMED};
use crate::{aliases, attributes, many_queries, many_vectors, query, recall, vectors};

/// The commands of this family.
pub(crate) const ENTRIES: &[CommandEntry] = &[
    aliases::ENTRY,
    CommandEntry {
        name: "veccreate",
        reply: "`OK`.",
        notes: "An error if the collection exists. The collection stays until it is dropped, even without vectors; one that a first VECSET made does not. Parameters that are not given are taken from the settings `vector-metric`, `vector-quant`, `vector-m`, `vector-ef-construction`, `vector-ef-search`. `LABEL` is any text of at most 256 bytes that VECINFO shows, such as the name of the model that made the vectors. A larger M or EF_CONSTRUCTION builds a better graph more slowly; M also costs memory: 4 bytes for each of 2·M links of a vector.\n\n`QUANT` says how components are stored:\n\n| | bytes of a vector at 50 and 384 dimensions | maximum error per component | recall@10 of an exact search |\n|---|---|---|---|\n| `F32` | 320, 2,000 | none: the same bits | 1 |\n| `F16` | 128, 832 | 1/2,048 of the vector's largest component | 0.995 |\n| `Q16` | 128, 784 | 1/62,000 of the vector's largest component | 0.995 |\n| `Q8` | 64, 400 | 1/253 of the vector's largest component | 0.95 |\n\nLinks and keys come on top. Where codes of four bits are enough to walk the graph (mostly, from 96 dimensions on), `F32` takes half a byte less for each component. With another `QUANT` than `F32`, VECGET returns the stored vector, and distances are measured to it.",
        arity: -4,
        summary: "Creates an empty collection.",
        arguments: VECCREATE,
        parse: vectors::create,
        ..VECTOR_WRITE
    },
    CommandEntry {
        name: "vecdel",
        reply: "The number of vectors deleted.",
        notes: "If one of the keys holds a string or a hash, the reply is `WRONGTYPE`; the vectors of the other keys are deleted all the same. VECDEL marks the vector, which takes microseconds; from then on it appears in no reply. Marked vectors are removed from the graph in batches: at 1 for 64 live vectors when the shard is idle, at 1 for 20 during VECSETs, at 1 for 4 under any load. Their slots are reused. When a quarter of the slots are free, or 1 in 24 on an idle shard, vectors move to lower slots and the memory returns to the operating system.",
        arity: -2,
        adds_memory: false,
        keys: (1, -1, 1),
        summary: "Deletes vectors; returns how many existed.",
        arguments: &[Argument::one_of(
            "elements",
            &[
                Argument::key("key").multiple(),
                Argument::block(
                    "named",
                    &[
                        Argument::string("collection").after("COLLECTION"),
                        Argument::string("element").after("ELEMENT").multiple(),
                    ],
                ),
            ],
        )],
        parse: vectors::delete,
        ..VECTOR_WRITE
    },
    CommandEntry {
        name: "vecdrop",
        reply: "1, or 0 if there is no such collection.",
        notes: "When the reply arrives, all shards have released the collection and none of its vectors is found. Memory is freed in the background, in slices.",
        arity: 2,
        adds_memory: false,
        summary: "Drops a collection with all its vectors; returns 1, or 0 if it does not exist. Memory is freed in the background.",
        arguments: &[Argument::key("collection")],
        parse: vectors::drop,
        ..VECTOR_WRITE
    },
    query::EXPLAIN_ENTRY,
    CommandEntry {
        name: "vecget",
        reply: "The components: an array of doubles (RESP3) or of their texts (RESP2); with `FP32` one bulk of little-endian 32-bit floats. Null if there is no such vector.",
        notes: "The components are returned exactly as they were set, whatever the metric; with `FP32` as the same bytes. In a collection with another `QUANT` than `F32` they are returned as stored.",
        arity: -2,
        summary: "Returns a vector's components, or with FP32 the bytes of its little-endian 32-bit floats.",
        arguments: &[NAMED, Argument::word("fp32", "FP32").optional()],
        parse: vectors::get,
        ..VECTOR_READ
    },
    attributes::GET_ENTRY,
    CommandEntry {
        name: "vecinfo",
        reply: "A map: `collection`, `dimension`, `metric`, `quant`, `m`, `ef_construction`, `ef_search`, `made_by` (`VECSET`: the collection is withdrawn with its last vector; or `VECCREATE`: it stays; or `VADD`: it is a vector set), `label` if it has one, `aliases` if it has some, then for all shards together `vectors` (live ones), `deleted` (marked ones that still hold a slot), `dead_share` (`deleted` as a share of both), `consolidated` (progress of the running consolidation, on the shard that is least far; null if none runs), `slots`, `slots_free` (for the next vectors), `chunks` (blocks of memory, of two mebibytes at most), `levels`, `vectors_bytes`, `links_bytes`, `keys_bytes`, `attributes` (vectors that have attributes), `attributes_bytes` (including the remembered results of filters), and under `shards` the same for each shard. Null if there is no such collection.",
        notes: "Deleted vectors are removed from a shard in batches: during VECSETs at 1 for 20 live vectors (queries walk a twentieth more until then); on an idle shard at 1 for 64 (with fewer, reading every list of links costs more than it gains); at 1 for 16 where a shard holds fewer than 1,024 vectors and has no graph. Each VECSET does a share of that work, which grows with the number of deleted vectors, at most four times its own work; above 1 for 4 the shard also works on it between other commands. The slots of a batch are reused. When a quarter of the slots is free, 1 in 24 on an idle shard, and at least 16, vectors move to lower slots and the memory behind them returns to the operating system; constant replacement leaves fewer than a quarter free, so it moves nothing. When half of the vectors have been removed, the remaining ones select their links anew.",
        arity: 2,
        summary: "Describes a collection: dimension, metric, parameters, vectors and memory per shard and in total.",
        arguments: &[Argument::key("collection")],
        parse: vectors::info,
        ..VECTOR_READ
    },
    CommandEntry {
        name: "veclist",
        arity: -1,
        reply: "An array of names; with `WITHALIASES` a map from names to arrays of aliases.",
        keys: (0, 0, 0),
        summary: "Returns the names of all collections in byte order.",
        arguments: &[Argument::word("withaliases", "WITHALIASES").optional()],
        parse: vectors::list,
        ..VECTOR_READ
    },
    many_queries::ENTRY,
    many_vectors::ENTRY,
    query::ENTRY,
    recall::ENTRY,
    CommandEntry {
        name: "vecset",
        reply: "`OK`, or null if NX or XX forbade it.",
        notes: "A vector's key is `collection:element`: the collection is the part before the key's last `:`, so `tenant1:docs:42` is element `42` of `tenant1:docs`, and `docs:https://a/b` is element `//a/b` of a collection `docs:https`. Where the name of an element may hold a `:`, name the two apart: `VECSET COLLECTION docs ELEMENT https://a/b …`. So does every VEC command that takes a key; VECDEL and VECMSET take several behind one collection: `VECDEL COLLECTION docs ELEMENT a ELEMENT b`. An element whose name holds a `:` is reached by no key: commands on keys (TTL, EXPIRE, DEL, WATCH and the like) do not find it. The first VECSET of a collection creates it with that dimension and the settings `vector-metric`, `vector-quant`, `vector-m`, `vector-ef-construction` and `vector-ef-search`; use VECCREATE to choose others. A collection made by a first VECSET is withdrawn some microseconds after its last vector is deleted, expires or moves away; a concurrent VECSET keeps it or makes a new one. Setting an existing key replaces its vector; the old one is removed as by VECDEL. `blob` is `dim` little-endian 32-bit floats. Components must be finite; under cosine a zero vector is refused, since it has no direction. Nothing is changed by a refused VECSET. With `EX`, `PX`, `EXAT` or `PXAT` the vector expires: from that millisecond on no command finds it and no query returns it, and it is removed as by VECDEL. Without one of them, and without KEEPTTL, it does not expire. With `ATTR` it gets these attributes, or none if the text is empty; see VECSETATTR.",
        arity: -4,
        summary: "Sets the vector of the key collection:element. The first one creates the collection.",
        arguments: VECSET,
        parse: vectors::set,
        ..VECTOR_WRITE
    },
    attributes::SET_ENTRY,
];

const VECTOR: Argument = Argument::one_of(
    "vector",
    &[
        Argument::double("component").multiple(),
        Argument::string("blob").after("FP32"),
    ],
);

const VECSET: &[Argument] = &[
    NAMED,
    Argument::integer("dim"),
    VECTOR,
    Argument::one_of("condition", &[Argument::word("nx", "NX"), Argument::word("xx", "XX")]).optional(),
    Argument::one_of("expiration", crate::string_entries::SET_TIMES).optional(),
    Argument::string("json").after("ATTR").optional(),
];

const VECCREATE: &[Argument] = &[
    Argument::key("collection"),
    Argument::integer("d").after("DIM"),
    Argument::one_of(
        "metric",
        &[
            Argument::word("cosine", "COSINE"),
            Argument::word("l2", "L2"),
            Argument::word("ip", "IP"),
        ],
    )
    .after("METRIC")
    .optional(),
    Argument::one_of(
        "quant",
        &[
            Argument::word("f32", "F32"),
            Argument::word("f16", "F16"),
            Argument::word("q16", "Q16"),
            Argument::word("q8", "Q8"),
        ],
    )
    .after("QUANT")
    .optional(),
    Argument::integer("m").after("M").optional(),
    Argument::integer("n").after("EF_CONSTRUCTION").optional(),
    Argument::integer("n").after("EF_SEARCH").optional(),
    Argument::string("text").after("LABEL").optional(),
];

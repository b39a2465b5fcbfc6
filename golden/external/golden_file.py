"""Writes the schema of golden/README.md with h5py: a second implementation of golden_write.c."""
import hashlib
import os

import h5py
import numpy as np

import splitmix

SEAL_SIZE = 512
SKETCH_SEED = 64
SKETCH_GENERATOR = "mv_synthetic_bits, 4 x hadamard 16"
INDEX = np.dtype([("path", "S160"), ("sha256", "S64"), ("nbytes", "<u8")])
WEIGHT = np.dtype(
    [("name", "S64"), ("dtype", "S8"), ("n_out", "<u8"), ("n_in", "<u8"), ("sha256", "S64")]
)


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def sketch_signs(vocab_size):
    """[64, vocab_size] of +1 and -1. The dense form of what golden_row.c adds up in buckets."""
    raw = splitmix.bits(SKETCH_SEED, "sketch", vocab_size)
    parity = np.array([[bin(j & b).count("1") & 1 for b in range(16)] for j in range(16)])
    signs = np.empty((64, vocab_size))
    for group in range(4):
        byte = (raw >> np.uint64(8 * group)).astype(np.int64) & 0xFF
        negative = parity[:, byte & 15] ^ ((byte >> 4) & 1)
        signs[16 * group : 16 * group + 16] = 1 - 2 * negative
    return signs


def summaries(logits):
    """What a golden keeps of every row of logits [n, vocab_size], float64."""
    n_top = min(20, logits.shape[1])
    ids = np.argsort(-logits, axis=1, kind="stable")[:, :n_top]
    largest = logits.max(axis=1, keepdims=True)
    return {
        "sketch": (logits @ sketch_signs(logits.shape[1]).T).astype("<f4"),
        "top_ids": ids.astype("<i4"),
        "top_values": np.take_along_axis(logits, ids, axis=1).astype("<f8"),
        "lse": (largest[:, 0] + np.log(np.exp(logits - largest).sum(axis=1))).astype("<f8"),
    }


def needed_positions(n_tokens, window):
    edges = {0, n_tokens - 1}
    if 0 < window < n_tokens:
        edges |= {window - 1, window, window + 1}
    return {p for p in edges if p < n_tokens}


class Writer:
    """Groups, attributes and datasets in order of the calls; close() adds the index and the seal."""

    def __init__(self, path):
        self.path, self.temporary, self.index = path, f"{path}.tmp", []
        self.file = h5py.File(
            self.temporary, "w", libver=("v110", "v110"), userblock_size=SEAL_SIZE
        )

    def add(self, path, data):
        self.index.append((path.encode(), sha256(data).encode(), len(data)))

    def group(self, path):
        creation = h5py.h5p.create(h5py.h5p.GROUP_CREATE)
        creation.set_obj_track_times(False)
        h5py.h5g.create(self.file.id, path.encode(), gcpl=creation)

    def attribute(self, group, key, value):
        """A text, an int or a float."""
        at = self.file[group].attrs
        if isinstance(value, str):
            raw = value.encode()
            at.create(key, raw, dtype=h5py.string_dtype("utf-8", max(1, len(raw))))
        else:
            raw = np.array(value, "<f8" if isinstance(value, float) else "<i8")
            at.create(key, raw)
            raw = raw.tobytes()
        if (group, key) != ("/", "merkle_root"):
            self.add(f"{group}@{key}", raw)

    def dataset(self, path, values, indexed=True):
        """Little-endian. As these files are shipped: shuffled and deflated, unlike our own."""
        self.file.create_dataset(
            path,
            data=values,
            chunks=values.shape,
            fletcher32=True,
            shuffle=True,
            compression="gzip",
            compression_opts=9,
            track_times=False,
        )
        if indexed:
            self.add(path, np.ascontiguousarray(values).tobytes())

    def close(self):
        table = np.array(sorted(self.index), INDEX)
        self.dataset("/index", table, indexed=False)
        self.attribute("/", "merkle_root", sha256(table.tobytes()))
        self.file.close()
        with open(self.temporary, "r+b") as file:
            rest = file.read()[SEAL_SIZE:]
            seal = f"mistral-golden 1\nsha256 {sha256(rest)}\nbytes {len(rest)}\n".encode()
            file.seek(0)
            file.write(seal.ljust(SEAL_SIZE, b"\0"))
            file.flush()
            os.fsync(file.fileno())
        os.rename(self.temporary, self.path)


def write(path, spec, params, weights, provenance, cases):
    """params: the keys of params.json, all of them. weights: [(name, dtype, shape, bytes)] in the
    order of harness/weights.h. cases: [(window, seed, tokens, logits [n, vocab_size], positions,
    {name: float64 array of optional notes})]."""
    out = Writer(path)
    out.attribute("/", "schema", "mistral-golden")
    out.attribute("/", "schema_version", "1.0")
    out.attribute("/", "required_features", 0)
    out.attribute("/", "n_cases", len(cases))
    out.group("/provenance")
    for key, value in provenance.items():
        if len(value.encode()) > 207:
            raise SystemExit(f"provenance {key}: longer than 207 bytes: {value}")
        out.attribute("/provenance", key, value)
    out.group("/model")
    for key, value in params.items():
        out.attribute("/model", key, value)
    out.attribute("/model", "window_semantics", "incl_self")
    out.attribute("/model", "spec", spec)
    out.attribute("/model", "tokenizer_sha256", "")
    rows = [
        (name, dtype, shape[0], shape[1] if len(shape) == 2 else 1, sha256(raw))
        for name, dtype, shape, raw in weights
    ]
    out.dataset("/model/weights", np.array(rows, WEIGHT))
    out.group("/cases")
    for number, (window, seed, tokens, logits, positions, notes) in enumerate(cases):
        at = f"/cases/{number:04}"
        out.group(at)
        out.attribute(at, "name", f"window {window}")
        out.attribute(at, "oracle", "f64")
        out.attribute(at, "window", window)
        out.attribute(at, "chunk", 0)
        out.attribute(at, "seed", seed)
        out.attribute(at, "sketch_seed", SKETCH_SEED)
        out.attribute(at, "sketch_generator", SKETCH_GENERATOR)
        out.dataset(f"{at}/tokens", tokens)
        out.group(f"{at}/logits")
        out.dataset(f"{at}/logits/positions", np.array(positions, "<i8"))
        out.dataset(f"{at}/logits/oracle", logits[positions].astype("<f8"))
        for name, values in summaries(logits).items():
            out.dataset(f"{at}/logits/{name}", values)
        out.group(f"{at}/noise")
        for name, values in notes.items():
            out.dataset(f"{at}/noise/{name}", values.astype("<f8"))
    out.close()

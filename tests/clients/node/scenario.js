// What every JavaScript client must be able to do, whatever its library: one list of tests for all of them.

import assert from "node:assert/strict";
import { test } from "node:test";

const PATIENCE_MS = 30_000;
const DEPTH = 2_000;

/** Little-endian single precision, as VECSET and VECQUERY take it and VECGET gives it. */
export function blob(vector) {
  const bytes = Buffer.alloc(4 * vector.length);
  vector.forEach((component, place) => bytes.writeFloatLE(component, 4 * place));
  return bytes;
}

/** VECQUERY's hits as pairs: RESP2 sends them flat and distances as text, RESP3 as pairs with doubles. */
function pairs(reply) {
  const flat = reply.flat();
  return Array.from({ length: flat.length / 2 }, (_, hit) => [flat[2 * hit], Number(flat[2 * hit + 1])]);
}

/**
 * Declares the tests. `library` has:
 * - `name`, `protocols`, and `ReplyError`: the type of what is thrown for an error reply;
 * - `open({ port, protocol, name })`: a client that is ready, with `send(words)`, `sendForBytes(words)`,
 *   `pipeline(list of words)` (settled: replies and errors), `transaction(list of words)` (the same, between MULTI and
 *   EXEC), `dropped()` (a promise of the connection's loss),
 *   `noise` (the errors that it has emitted) and `close()`.
 */
export function declare(library, port) {
  for (const protocol of library.protocols) {
    const withClient = (name, body) =>
      test(`${library.name}, RESP${protocol}: ${name}`, { timeout: PATIENCE_MS }, async () => {
        const client = await library.open({ port, protocol, name: "javascript" });
        try {
          await client.send(["FLUSHALL"]);
          await body(client);
          assert.deepEqual(client.noise, []);
        } finally {
          await client.close();
        }
      });
    withClient("the handshake says who it is", (client) => handshake(client, protocol));
    withClient("a vector goes in and comes out, as text and as bytes", vectors);
    withClient("neighbours are found", (client) => neighbours(client, protocol));
    withClient("an error is the library's error type, and the connection lives", (client) => errors(client, library));
    withClient("a pipeline is answered in order, errors in their places", (client) => pipelines(client, library));
    withClient("a transaction is done as a whole, over several slots", (client) => transactions(client, library));
    withClient("a killed client connects again by itself", (client) => killed(client, library, { port, protocol }));
  }
}

async function handshake(client, protocol) {
  const info = String(await client.send(["CLIENT", "INFO"]));
  const fields = new Map(info.trim().split(" ").map((field) => field.split("=", 2)));
  assert.equal(fields.get("resp"), String(protocol));
  assert.equal(fields.get("name"), "javascript");
  assert.match(fields.get("lib-ver"), /^\d+\.\d+/);
  const hello = await client.send(["HELLO", String(protocol)]);
  const names = Array.isArray(hello) ? hello.filter((_, place) => place % 2 === 0) : Object.keys(hello);
  assert.deepEqual(names, ["server", "version", "proto", "id", "mode", "role", "modules"]);
}

async function vectors(client) {
  assert.equal(await client.send(["VECSET", "js:text", "3", "1", "-0.5", "1e-3"]), "OK");
  const bytes = blob([1, -0.5, 1e-3]);
  assert.equal(await client.send(["VECSET", "js:bytes", "3", "FP32", bytes]), "OK");
  for (const key of ["js:text", "js:bytes"]) {
    assert.deepEqual(await client.sendForBytes(["VECGET", key, "FP32"]), bytes);
    assert.deepEqual((await client.send(["VECGET", key])).map(Number), [1, -0.5, 0.001]);
  }
  // Every byte there is, in a blob that is no text in any encoding.
  const every = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
  const finite = Buffer.from(every);
  for (let place = 3; place < 256; place += 4) finite[place] &= 0x3f;
  assert.equal(await client.send(["VECSET", "any:bytes", "64", "FP32", finite]), "OK");
  assert.deepEqual(await client.sendForBytes(["VECGET", "any:bytes", "FP32"]), finite);
  assert.equal(await client.send(["VECGET", "js:nobody"]), null);
  assert.equal(await client.send(["VECDEL", "js:text", "js:nobody", "js:bytes"]), 2);
  assert.equal(await client.send(["VECGET", "js:text", "FP32"]), null);
  assert.equal(await client.send(["DBSIZE"]), 1);
}

async function neighbours(client, protocol) {
  for (let angle = 0; angle < 90; angle += 1) {
    const radians = (angle / 180) * Math.PI;
    await client.send(["VECSET", `turn:${angle}`, "2", "FP32", blob([Math.cos(radians), Math.sin(radians)])]);
  }
  const byText = await client.send(["VECQUERY", "turn", "3", "1", "0"]);
  const byBytes = await client.send(["VECQUERY", "turn:*", "3", "FP32", blob([1, 0]), "EF", "90"]);
  assert.deepEqual(byText, byBytes);
  assert.equal(byText.length, protocol === 3 ? 3 : 6);
  const hits = pairs(byText);
  assert.deepEqual(hits.map(([key]) => key), ["turn:0", "turn:1", "turn:2"]);
  assert.equal(hits[0][1], 0);
  assert.ok(hits[1][1] > 0 && hits[1][1] < hits[2][1] && hits[2][1] < 0.001, JSON.stringify(hits));
  assert.deepEqual(await client.send(["VECQUERY", "nobody", "3", "1", "0"]), []);
}

async function errors(client, library) {
  await client.send(["VECSET", "e:one", "2", "1", "2"]);
  const id = await client.send(["CLIENT", "ID"]);
  const refused = [
    [["VECSET", "e:two", "3", "1", "2", "3"], /dimension mismatch - got 3 but collection 'e' has 2/],
    [["VECSET", "e:two", "2", "FP32", Buffer.alloc(7)], /./],
    [["VECQUERY", "e", "0", "1", "2"], /./],
    [["NOPE", "a"], /unknown command 'NOPE'/],
    [["VECGET"], /wrong number of arguments for 'vecget' command/],
  ];
  for (const [words, text] of refused) {
    await assert.rejects(client.send(words), (error) => {
      assert.ok(error instanceof library.ReplyError, `${words[0]}: ${error.constructor.name}`);
      assert.match(error.message, text);
      return true;
    });
  }
  assert.equal(await client.send(["CLIENT", "ID"]), id);
}

async function pipelines(client, library) {
  const words = Array.from({ length: DEPTH }, (_, number) =>
    number % 10 === 7
      ? ["VECSET", `deep:${number}`, "3", "1", "2", "3"]
      : ["VECSET", `deep:${number}`, "2", "FP32", blob([number, 1])],
  );
  const replies = await client.pipeline([...words, ["DBSIZE"]]);
  assert.equal(replies.length, DEPTH + 1);
  replies.slice(0, DEPTH).forEach((reply, number) => {
    if (number % 10 === 7) assert.ok(reply instanceof library.ReplyError, `${number}: ${reply}`);
    else assert.equal(reply, "OK");
  });
  assert.equal(replies[DEPTH], DEPTH * 0.9);
}

async function transactions(client, library) {
  await client.send(["HSET", "hash", "field", "1"]);
  const words = Array.from({ length: 200 }, (_, number) => ["SET", `key ${number}`, `${number}`]);
  const replies = await client.transaction([
    ...words,
    ["INCR", "key 7"],
    ["HINCRBY", "hash", "field", "41"],
    ["INCR", "hash"],
    ["MGET", "key 7", "nothing", "key 199"],
  ]);
  assert.deepEqual(replies.slice(0, 202), [...words.map(() => "OK"), 8, 42]);
  assert.ok(replies[202] instanceof library.ReplyError && replies[202].message.startsWith("WRONGTYPE"), `${replies[202]}`);
  assert.deepEqual(replies[203], ["8", null, "199"]);
  const found = [];
  let cursor = "0";
  do {
    const [next, keys] = await client.send(["SCAN", cursor, "MATCH", "key *", "COUNT", "50"]);
    found.push(...keys);
    cursor = next;
  } while (cursor !== "0");
  assert.equal(new Set(found).size, 200);
}

async function killed(client, library, { port, protocol }) {
  await client.send(["VECSET", "k:one", "2", "1", "2"]);
  const before = await client.send(["CLIENT", "ID"]);
  const other = await library.open({ port, protocol, name: "other" });
  try {
    const lost = client.dropped();
    assert.equal(await other.send(["CLIENT", "KILL", "ID", String(before)]), 1);
    await lost;
    // Asked at once: it waits in the library's queue for the new connection.
    assert.deepEqual((await client.send(["VECGET", "k:one"])).map(Number), [1, 2]);
    const after = await client.send(["CLIENT", "ID"]);
    assert.ok(after > before, `${before}, then ${after}`);
    assert.equal(await client.send(["CLIENT", "GETNAME"]), "javascript");
    client.noise.length = 0;
  } finally {
    await other.close();
  }
}

// rate-limiter-flexible over ioredis and node-redis: each of some users has five points, however many ask at once.
import assert from "node:assert/strict";

import Redis from "ioredis";
import { RateLimiterRedis } from "rate-limiter-flexible";
import { createClient } from "redis";

const port = Number(process.argv[2]);

async function limits(name, storeClient, more) {
  const limiter = new RateLimiterRedis({ storeClient, points: 5, duration: 60, keyPrefix: name, ...more });
  for (let user = 0; user < 10; user += 1) {
    const outcomes = await Promise.allSettled(Array.from({ length: 8 }, () => limiter.consume(`user${user}`)));
    const admitted = outcomes.filter((outcome) => outcome.status === "fulfilled");
    const refused = outcomes.filter((outcome) => outcome.status === "rejected");
    assert.equal(admitted.length, 5, String(refused[0]?.reason));
    assert.ok(refused.every((outcome) => outcome.reason.msBeforeNext > 0), String(refused[0]?.reason));
  }
  assert.equal((await limiter.get("user1")).consumedPoints, 8);
  await limiter.reward("user1", 3);
  assert.equal((await limiter.get("user1")).consumedPoints, 5);
  await limiter.block("user2", 30);
  await assert.rejects(limiter.consume("user2"));
  assert.equal(await limiter.delete("user1"), true);
  assert.equal(await limiter.get("user1"), null);
}

const one = new Redis({ port, enableOfflineQueue: false, lazyConnect: true });
await one.connect();
await limits("ioredis", one, {});
await one.quit();

const other = createClient({ socket: { port }, disableOfflineQueue: true });
await other.connect();
await limits("node-redis", other, { useRedisPackage: true });
await other.close();

console.log("limited");

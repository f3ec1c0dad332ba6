// ioredis: node ioredis.js PORT

import { Redis, ReplyError } from "ioredis";
import { declare } from "./scenario.js";

async function open({ port, protocol, name }) {
  const options = { host: "127.0.0.1", port, protocol, connectionName: name, lazyConnect: true };
  if (protocol === 3) options.replyMapping = "resp3";
  const client = new Redis({ ...options, retryStrategy: () => 10 });
  const noise = [];
  client.on("error", (error) => noise.push(error));
  await client.connect();
  return {
    noise,
    send: ([command, ...words]) => client.call(command, ...words),
    sendForBytes: ([command, ...words]) => client.callBuffer(command, ...words),
    pipeline: async (list) => {
      const pipeline = client.pipeline();
      list.forEach(([command, ...words]) => pipeline.call(command, ...words));
      return (await pipeline.exec()).map(([error, reply]) => error ?? reply);
    },
    transaction: async (list) => {
      const transaction = client.multi();
      list.forEach(([command, ...words]) => transaction.call(command, ...words));
      return (await transaction.exec()).map(([error, reply]) => error ?? reply);
    },
    dropped: () => new Promise((resolve) => client.once("close", resolve)),
    close: () => client.quit(),
  };
}

declare({ name: "ioredis", protocols: [2, 3], ReplyError, open }, Number(process.argv[2]));

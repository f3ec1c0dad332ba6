// node-redis: node node-redis.js PORT

import { createClient, ErrorReply, RESP_TYPES } from "redis";
import { declare } from "./scenario.js";

const AS_BYTES = { typeMapping: { [RESP_TYPES.BLOB_STRING]: Buffer } };

async function open({ port, protocol, name }) {
  const client = createClient({ RESP: protocol, name, socket: { port, host: "127.0.0.1", reconnectStrategy: () => 10 } });
  const noise = [];
  client.on("error", (error) => noise.push(error));
  await client.connect();
  return {
    noise,
    send: (words) => client.sendCommand(words),
    sendForBytes: (words) => client.sendCommand(words, AS_BYTES),
    // node-redis sends what is asked in one turn of the event loop as one pipeline.
    pipeline: async (list) => {
      const settled = await Promise.allSettled(list.map((words) => client.sendCommand(words)));
      return settled.map(({ value, reason }) => reason ?? value);
    },
    transaction: async (list) => {
      const transaction = client.multi();
      list.forEach((words) => transaction.addCommand(words));
      // It throws if one of the replies is an error; all of them come with that.
      return transaction.exec().catch((error) => error.replies ?? Promise.reject(error));
    },
    dropped: () => new Promise((resolve) => client.once("error", resolve)),
    close: () => client.close(),
  };
}

declare({ name: "node-redis", protocols: [2, 3], ReplyError: ErrorReply, open }, Number(process.argv[2]));

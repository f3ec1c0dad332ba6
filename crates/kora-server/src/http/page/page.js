'use strict';
// The live part of the page. It asks for INFO every two seconds and shows what changed in between.

const byId = id => document.getElementById(id);

const element = (name, text, classes) => {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (classes) made.className = classes;
  return made;
};

const trouble = text => {
  byId('trouble').hidden = !text;
  byId('trouble').textContent = text || '';
};

const ask = async (path, options) => {
  const response = await fetch(path, options);
  if (!response.ok) throw new Error(`${response.status}: ${(await response.text()).trim()}`);
  return response.json();
};

const number = value => {
  const size = Math.abs(value);
  if (size >= 1e9) return (value / 1e9).toFixed(2) + ' G';
  if (size >= 1e6) return (value / 1e6).toFixed(2) + ' M';
  if (size >= 1e4) return (value / 1e3).toFixed(1) + ' k';
  return Number.isInteger(value) ? String(value) : value.toFixed(size < 10 ? 2 : 1);
};

const bytes = value => {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) { value /= 1024; unit += 1; }
  return `${unit ? value.toFixed(1) : value} ${units[unit]}`;
};

const microseconds = us => us >= 1e6 ? `${(us / 1e6).toFixed(2)} s` : us >= 1e3 ? `${(us / 1e3).toFixed(2)} ms` : `${Math.round(us)} µs`;

const duration = seconds => {
  const days = Math.floor(seconds / 86400), hours = Math.floor(seconds / 3600) % 24, minutes = Math.floor(seconds / 60) % 60;
  return days ? `${days} d ${hours} h` : hours ? `${hours} h ${minutes} min` : minutes ? `${minutes} min` : `${seconds} s`;
};

// `a=1,b=2` as an object.
const parts = text => Object.fromEntries(text.split(',').map(part => part.split('=')));

const table = (id, titles, rows) => {
  const head = element('tr');
  for (const title of titles) head.append(element('th', title));
  const made = rows.map(row => {
    const line = element('tr');
    for (const cell of row) {
      if (cell instanceof Node) { const box = element('td'); box.append(cell); line.append(box); }
      else line.append(element('td', cell));
    }
    return line;
  });
  if (!made.length) {
    const line = element('tr'), cell = element('td', 'none');
    cell.colSpan = titles.length;
    line.append(cell);
    made.push(line);
  }
  byId(id).replaceChildren(head, ...made);
};

let before = null;
const rates = [];
const RATES_MAX = 90;

const show = info => {
  const at = performance.now() / 1000;
  const field = (section, name) => Number(info[section]?.[name] ?? 0);
  const since = before ? at - before.at : 0;
  const rate = (section, name) => since > 0 ? Math.max(0, (field(section, name) - Number(before.info[section]?.[name] ?? 0)) / since) : 0;
  const server = info.server ?? {};
  byId('server').textContent = `${server.kora_version} on ${server.os}, up ${duration(Number(server.uptime_in_seconds))}, ` +
    `${server.kora_workers} workers, ${server.kora_shards} shards`;

  const commands = Object.entries(info.commandstats ?? {}).map(([name, text]) => {
    const short = name.replace('cmdstat_', ''), now = parts(text);
    const then = parts(before?.info.commandstats?.[name] ?? 'calls=0,usec=0');
    const calls = since > 0 ? now.calls - then.calls : 0;
    const percentiles = parts(info.latencystats?.[`latency_percentiles_usec_${short}`] ?? '');
    return { short, now, rate: since > 0 ? calls / since : 0, mean: calls > 0 ? (now.usec - then.usec) / calls : null, percentiles };
  });
  const rateNow = rate('stats', 'total_commands_processed');
  if (since > 0) { rates.push(rateNow); rates.splice(0, rates.length - RATES_MAX); }
  const calls = commands.reduce((sum, one) => sum + one.rate, 0);
  const mean = calls > 0 ? commands.reduce((sum, one) => sum + (one.mean ?? 0) * one.rate, 0) / calls : 0;
  const keys = Object.entries(info.keyspace ?? {}).filter(([name]) => /^db\d+$/.test(name));
  const hits = field('stats', 'keyspace_hits'), misses = field('stats', 'keyspace_misses');
  const recalls = Object.values(info.recall ?? {}).map(parts);
  const recall = recalls.length ? Math.min(...recalls.map(one => Number(one.recall))) : null;
  const tiles = [
    ['Commands per second', number(rateNow)],
    ['Mean latency now', calls > 0 ? microseconds(mean) : '–'],
    ['Clients', number(field('clients', 'connected_clients'))],
    ['Keys and vectors', number(keys.reduce((sum, [, text]) => sum + Number(parts(text).keys), 0))],
    ['Memory', bytes(field('memory', 'used_memory'))],
    ['Hits', hits + misses > 0 ? `${(100 * hits / (hits + misses)).toFixed(1)} %` : '–'],
    ['Evicted', number(field('stats', 'evicted_keys'))],
    ['Expired', number(field('stats', 'expired_keys'))],
    ['Lowest recall', recall === null ? '–' : recall.toFixed(4)],
    ['Data on disk', info.persistence?.aof_last_write_status === 'err' ? 'failing' : 'ok'],
  ];
  byId('tiles').replaceChildren(...tiles.map(([title, value]) => {
    const tile = element('div', undefined, 'tile');
    tile.append(element('span', title), element('b', value));
    return tile;
  }));
  drawRates();

  const memory = info.memory ?? {};
  const clients = Number(memory.mem_clients_normal ?? 0), resident = Number(memory.used_memory_rss ?? 0);
  const data = Number(memory.used_memory_dataset ?? Math.max(0, Number(memory.used_memory ?? 0) - clients));
  const kinds = [['Data', data], ['Clients', clients], ['Other', Math.max(0, resident - data - clients)]];
  const whole = kinds.reduce((sum, [, size]) => sum + size, 0) || 1;
  byId('memory-bar').replaceChildren(...kinds.map(([, size], index) => {
    const piece = element('i', undefined, `c${index}`);
    piece.style.setProperty('flex-grow', String(size / whole));
    return piece;
  }));
  byId('memory-legend').replaceChildren(...kinds.map(([name, size], index) => {
    const line = element('li');
    line.append(element('i', undefined, `c${index}`), `${name} ${bytes(size)}`);
    return line;
  }));

  const workers = Object.entries(info.workers ?? {}).filter(([name]) => name.startsWith('worker'));
  const loads = workers.map(([name, text]) => {
    const now = parts(text), then = parts(before?.info.workers?.[name] ?? text);
    return { name, now, rate: since > 0 ? (now.commands - then.commands) / since : 0 };
  });
  const most = Math.max(1, ...loads.map(one => one.rate));
  table('workers', ['Worker', 'Commands/s', 'Share', 'Clients', 'Vectors', 'Keys', 'Queue', 'Longest slice'], loads.map(one => {
    const meter = element('meter');
    meter.max = most;
    meter.value = one.rate;
    return [one.name.replace('worker', ''), number(one.rate), meter, one.now.clients, number(Number(one.now.vectors)),
      number(Number(one.now.keys)), one.now.queue_depth, microseconds(Number(one.now.slice_us_max))];
  }));
  commands.sort((one, other) => other.rate - one.rate || other.now.calls - one.now.calls);
  table('commands', ['Command', 'Per second', 'Mean now', 'p50', 'p99', 'p99.9', 'Calls', 'Failed'], commands.slice(0, 20).map(one =>
    [one.short, number(one.rate), one.mean === null ? '–' : microseconds(one.mean),
      ...['p50', 'p99', 'p99.9'].map(name => one.percentiles[name] ? microseconds(Number(one.percentiles[name])) : '–'),
      number(Number(one.now.calls)), one.now.failed_calls]));
  before = { at, info };
  return recalls;
};

const drawRates = () => {
  const top = Math.max(1, ...rates);
  const path = document.createElementNS('http://www.w3.org/2000/svg', 'path');
  const points = rates.map((rate, index) =>
    `${(360 - (rates.length - 1 - index) * 360 / (RATES_MAX - 1)).toFixed(1)} ${(76 - rate / top * 70).toFixed(1)}`);
  path.setAttribute('d', points.length ? 'M' + points.join('L') : '');
  byId('rate').replaceChildren(path);
  byId('rate-now').textContent = rates.length ? `now ${number(rates.at(-1))}, at most ${number(top)}` : '';
};

const showCollections = ({ count, collections }, recalls) => {
  const recallOf = Object.fromEntries(recalls.map(one => [one.collection, one.recall]));
  table('collections', ['Collection', 'Vectors', 'Dim', 'Metric', 'Kept as', 'Deleted', 'Memory', 'Recall'], collections.map(one => {
    const link = element('a', one.collection);
    link.href = '#neighbourhood';
    link.addEventListener('click', () => choose(one.collection));
    const memory = ['vectors_bytes', 'links_bytes', 'keys_bytes', 'attributes_bytes'].reduce((sum, name) => sum + Number(one[name] ?? 0), 0);
    return [link, number(Number(one.vectors)), one.dimension, one.metric, one.quant, number(Number(one.deleted)), bytes(memory),
      recallOf[one.collection] ?? '–'];
  }));
  if (count > collections.length) byId('collections').append(element('caption', `The first ${collections.length} of ${count}.`));
  offer(collections.map(one => String(one.collection)));
};

const showSlow = slow => table('slow', ['Command', 'Took', 'When'], slow.map(one => {
  const when = new Date(Number(one.at) * 1000).toLocaleTimeString();
  return [one.command.slice(0, 200), microseconds(Number(one.us)), when];
}));

const look = async () => {
  try {
    const recalls = show(await ask('/api/info'));
    showCollections(await ask('/api/collections'), recalls);
    showSlow(await ask('/api/slow'));
    trouble('');
  } catch (error) {
    trouble(`The server does not answer: ${error.message}`);
  }
  setTimeout(look, document.hidden ? 10000 : 2000);
};

document.addEventListener('DOMContentLoaded', look);

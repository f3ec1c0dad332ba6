'use strict';
// Neighbours of an element, drawn by distance. A click on one goes on from there.

const trail = [];

const svg = (name, attributes, text) => {
  const made = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
};

// Fills the list of collections, and keeps the choice.
const offer = names => {
  const select = byId('collection');
  if (names.join('\n') === [...select.options].map(option => option.value).join('\n')) return;
  const chosen = select.value;
  select.replaceChildren(...names.map(name => {
    const option = element('option', name);
    option.value = name;
    return option;
  }));
  if (names.includes(chosen)) select.value = chosen;
  else if (names.length) anywhere();
};

const choose = name => {
  byId('collection').value = name;
  anywhere();
};

const short = (key, length) => {
  const collection = byId('collection').value;
  const element = key.startsWith(collection + ':') ? key.slice(collection.length + 1) : key;
  return element.length > length ? element.slice(0, length - 1) + '…' : element;
};

const walkTo = async key => {
  byId('key').value = key;
  const query = new URLSearchParams({ collection: byId('collection').value, key, k: byId('k').value });
  await present(() => ask(`/api/neighbours?${query}`), key);
};

const anywhere = async () => {
  const query = new URLSearchParams({ collection: byId('collection').value, k: byId('k').value });
  byId('key').value = '';
  await present(() => ask(`/api/neighbours?${query}`), null, 'a direction that came up by chance');
};

const searchVector = async () => {
  const text = byId('vector').value.trim().replace(/^\[|\]$/g, '');
  const vector = text.split(/[\s,]+/).filter(Boolean).map(Number);
  if (!vector.length || vector.some(Number.isNaN)) {
    byId('told').textContent = 'The vector needs numbers with commas or spaces between them.';
    return;
  }
  const body = JSON.stringify({ collection: byId('collection').value, k: Number(byId('k').value), vector });
  await present(() => ask('/api/search', { method: 'POST', body }), null, 'the vector that was given');
};

const present = async (fetchHits, key, name) => {
  try {
    const { hits, info } = await fetchHits();
    if (key && trail.at(-1) !== key) { trail.push(key); trail.splice(0, trail.length - 12); }
    draw(hits, key, name);
    const told = `${hits.length} found; ${info.mode}, ${info.distances} distances computed`;
    byId('told').textContent = hits.length ? told : 'Nothing is found: is the key one of this collection?';
  } catch (error) {
    byId('told').textContent = error.message;
  }
};

const draw = (hits, key, name) => {
  byId('trail').replaceChildren(...trail.map(step => {
    const button = element('button', short(step, 24));
    button.addEventListener('click', () => walkTo(step));
    return button;
  }));
  const others = hits.filter(hit => hit.key !== key);
  // From 0 where that leaves room for differences, else from below the nearest; the rings say what is what.
  const least = Math.min(...others.map(hit => hit.distance)), most = Math.max(...others.map(hit => hit.distance));
  const nearest = least > most / 2 ? least * 0.95 : Math.min(0, least);
  const farthest = Math.max(most - nearest, Number.MIN_VALUE);
  const map = [];
  for (const share of [1 / 3, 2 / 3, 1]) {
    const radius = 30 + 135 * share;
    map.push(svg('circle', { class: 'ring', r: radius }));
    map.push(svg('text', { class: 'scale', x: 2, y: -radius - 2 }, (nearest + farthest * share).toPrecision(3)));
  }
  const dots = [];
  others.forEach((hit, index) => {
    // The golden angle keeps those with close ranks apart.
    const angle = index * 2.399963, radius = 30 + 135 * (hit.distance - nearest) / farthest;
    const x = radius * Math.cos(angle), y = radius * Math.sin(angle);
    map.push(svg('line', { x1: 0, y1: 0, x2: x, y2: y }));
    const group = svg('g', { class: 'hit', tabindex: 0, role: 'button', transform: `translate(${x} ${y})` });
    group.append(svg('title', {}, `${hit.key}\n${hit.distance}`), svg('circle', { r: 5 }));
    if (others.length <= 40) {
      group.append(svg('text', { x: x < 0 ? -7 : 7, y: 3, 'text-anchor': x < 0 ? 'end' : 'start' }, short(hit.key, 16)));
    }
    group.addEventListener('click', () => walkTo(hit.key));
    group.addEventListener('keydown', event => { if (event.key === 'Enter') walkTo(hit.key); });
    dots.push(group);
  });
  const centre = svg('g', { class: 'centre' });
  centre.append(svg('circle', { r: 7 }), svg('text', { y: -11, 'text-anchor': 'middle' }, key ? short(key, 24) : ''));
  byId('map').replaceChildren(...map, ...dots, centre);
  byId('map').setAttribute('aria-label', `Neighbours of ${key ?? name ?? 'nothing'} by distance`);
  byId('hits').replaceChildren(...hits.map(hit => {
    const line = element('li'), link = element('a', short(hit.key, 80));
    link.href = '#neighbourhood';
    link.addEventListener('click', event => { event.preventDefault(); walkTo(hit.key); });
    line.append(link, element('span', hit.distance));
    return line;
  }));
};

byId('ask').addEventListener('submit', event => {
  event.preventDefault();
  if (byId('key').value) walkTo(byId('key').value); else anywhere();
});
byId('chance').addEventListener('click', anywhere);
byId('collection').addEventListener('change', anywhere);
byId('search').addEventListener('submit', event => { event.preventDefault(); searchVector(); });

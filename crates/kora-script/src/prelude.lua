-- The part of the sandbox that is easiest to say in Lua. Loaded once for each state, as `=(kora)`: places in it are not
-- shown to scripts. Scripts call its functions through one of C, so that a call in the last place of a function keeps its line.
-- It is given Lua's own functions and some of Rust's, and returns what the sandbox is made of.
local own, enter, leave, find, is_read_only = ...
local getinfo, xpcall, loadstring, type, tostring, error = own.getinfo, own.xpcall, own.loadstring, own.type, own.tostring, own.error
local rawset = own.rawset
local concat, sub, byte, floor, select, getn = own.concat, own.sub, own.byte, own.floor, own.select, own.getn
local result = {}

-- The first level that is a script's is where its error is said to be.
local function handle(err)
  if type(err) ~= 'table' then
    err = tostring(err)
    -- Lua's own functions of these names are in C, where an error says no place.
    if sub(err, 1, 7) == '(kora):' then err = sub(err, own.find(err, ': ', 1, true) + 2) end
    err = {err = 'ERR ' .. err}
  end
  local level = 2
  local info = getinfo(level, 'Sl')
  while info and (info.what == 'C' or info.source == '=(kora)') do
    level = level + 1
    info = getinfo(level, 'Sl')
  end
  if info then
    rawset(err, 'source', info.source)
    rawset(err, 'line', info.currentline)
  end
  return err
end

function result.driver(script, keys, arguments)
  local called = script
  if keys then
    called = function()
      -- No call in the last place: the function keeps its own.
      local value = script(keys, arguments)
      return value
    end
  end
  enter()
  local ok, value = xpcall(called, handle)
  leave()
  return ok, value
end

-- Lua's own would take bytecode, with which a script can do anything.
local function load_text(text, name)
  if type(text) == 'string' and byte(text, 1) == 27 then
    return nil, 'attempt to load a binary chunk'
  end
  return loadstring(text, name)
end

result.loadstring = load_text

function result.load(reader, name)
  if type(reader) ~= 'function' then
    error("bad argument #1 to 'load' (function expected, got " .. (reader == nil and 'no value' or type(reader)) .. ')', 3)
  end
  local pieces = {}
  while true do
    local piece = reader()
    if piece == nil or piece == '' then break end
    if type(piece) ~= 'string' then return nil, 'reader function must return a string' end
    pieces[#pieces + 1] = piece
  end
  return load_text(concat(pieces), name or '=(load)')
end

function result.gmatch(text, pattern)
  local at = 1
  return function()
    local found = {find(text, pattern, at, 'gmatch')}
    local first, last = found[1], found[2]
    if not first then return nil end
    at = last + 1
    if last < first then at = at + 1 end
    return own.unpack(found, 3, getn(found))
  end
end

function result.gsub(text, pattern, replacement, count_max)
  text, pattern = find(text, pattern, nil, 'texts')
  local kind = type(replacement)
  if kind == 'number' then replacement, kind = tostring(replacement), 'string' end
  if kind ~= 'string' and kind ~= 'table' and kind ~= 'function' then
    error("bad argument #3 to 'gsub' (string/function/table expected)", 3)
  end
  local anchored = sub(pattern, 1, 1) == '^'
  local pieces, at, count = {}, 1, 0
  while not count_max or count < count_max do
    local found = {find(text, pattern, at, 'gsub')}
    local first, last = found[1], found[2]
    if not first then break end
    count = count + 1
    local value
    if kind == 'string' then
      value = find(text, replacement, {own.unpack(found, 1, getn(found))}, 'expand')
    elseif kind == 'table' then
      value = replacement[found[3]]
    else
      value = replacement(own.unpack(found, 3, getn(found)))
    end
    local whole = sub(text, first, last)
    if not value then
      value = whole
    elseif type(value) ~= 'string' and type(value) ~= 'number' then
      error('invalid replacement value (a ' .. type(value) .. ')', 3)
    end
    pieces[#pieces + 1] = sub(text, at, first - 1)
    pieces[#pieces + 1] = value
    if last >= first then
      at = last + 1
    elseif first <= #text then
      pieces[#pieces + 1] = sub(text, first, first)
      at = first + 1
    else
      at = first + 1
      break
    end
    if anchored then break end
  end
  pieces[#pieces + 1] = sub(text, at)
  return concat(pieces), count
end

-- Quicksort as in Lua's ltablib.c, so that what it does is counted like any other instructions.
local function sort(array, low, high, before)
  while low < high do
    if before(array[high], array[low]) then array[low], array[high] = array[high], array[low] end
    if high - low == 1 then break end
    local middle = floor((low + high) / 2)
    if before(array[middle], array[low]) then
      array[middle], array[low] = array[low], array[middle]
    elseif before(array[high], array[middle]) then
      array[middle], array[high] = array[high], array[middle]
    end
    if high - low == 2 then break end
    local pivot = array[middle]
    array[middle], array[high - 1] = array[high - 1], array[middle]
    local i, j = low, high - 1
    while true do
      i = i + 1
      while before(array[i], pivot) do
        if i > high then error('invalid order function for sorting', 0) end
        i = i + 1
      end
      j = j - 1
      while before(pivot, array[j]) do
        if j < low then error('invalid order function for sorting', 0) end
        j = j - 1
      end
      if j < i then break end
      array[i], array[j] = array[j], array[i]
    end
    array[high - 1], array[i] = array[i], array[high - 1]
    if i - low < high - i then
      sort(array, low, i - 1, before)
      low = i + 1
    else
      sort(array, i + 1, high, before)
      high = i - 1
    end
  end
end

function result.sort(array, before)
  if type(array) ~= 'table' then
    error("bad argument #1 to 'sort' (table expected, got " .. (array == nil and 'no value' or type(array)) .. ')', 3)
  end
  if is_read_only(array) then error('Attempt to modify a readonly table', 0) end
  if before ~= nil and type(before) ~= 'function' then
    error("bad argument #2 to 'sort' (function expected, got " .. type(before) .. ')', 3)
  end
  sort(array, 1, getn(array), before or function(a, b) return a < b end)
end

return result

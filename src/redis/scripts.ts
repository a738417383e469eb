import { createHash } from 'node:crypto';

/**
 * The Lua scripts. Each touches the keys of one community only, which share a hash tag, so they run on
 * Redis Cluster. Time is Redis' own. `now` and leases are in ms since the epoch.
 *
 * Keys, in this order wherever a script says "the community's keys":
 *   1 entries   HASH  `<nodeId>\0<userId>\0<deviceId>` → the entry as JSON
 *   2 users     HASH  userId → lines `<0|1> <nodeId> <deviceId>`, 1 where others may see the entry
 *   3 nodes     ZSET  nodeId → when its lease ends
 *   4 standing  HASH  `epoch`: names the history; `version`: counts changes; `mark`: names the last change
 *
 * A publication is `<epoch> <version> <author> <mark before> <mark>` and then a line `<edge> <nodeId>
 * <operation>` for each change: the version is the first change's, the edge is `+`, `-` or `=` as the
 * user came, went or neither, and the author is empty where a dead node was swept.
 *
 * A replica that takes its master's place may have heard less than was committed. So nodes say with
 * what they do where they know the community to stand, and a history of which something is gone ends:
 * its epoch becomes another, and everybody writes and reads anew.
 */
export class Script {
  readonly source: string;
  readonly sha: string;

  constructor(source: string) {
    this.source = source;
    this.sha = createHash('sha1').update(source).digest('hex');
  }
}

const SHARED = `
local function now()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end
local function standing()
  local is = redis.call('HMGET', KEYS[4], 'epoch', 'version', 'mark')
  return is[1] or '', tonumber(is[2] or '0'), is[3] or ''
end
local function is_lost(epoch, version, mark, known_epoch, known_version, known_mark)
  if epoch == '' or epoch ~= known_epoch then return false end
  local known = tonumber(known_version)
  return version < known or (version == known and mark ~= known_mark)
end
local function begin(name)
  redis.call('HSET', KEYS[4], 'epoch', name)
  return name
end
local function change(node, user, device, value, visible, op)
  local lines = redis.call('HGET', KEYS[2], user) or ''
  local own = node .. ' ' .. device
  local before, after, kept = 0, 0, {}
  for line in string.gmatch(lines, '[^\\n]+') do
    local seen = string.sub(line, 1, 1) == '1'
    if seen then before = before + 1 end
    if string.sub(line, 3) ~= own then
      kept[#kept + 1] = line
      if seen then after = after + 1 end
    end
  end
  local field = node .. '\\0' .. user .. '\\0' .. device
  if value == '' then
    redis.call('HDEL', KEYS[1], field)
  else
    redis.call('HSET', KEYS[1], field, value)
    kept[#kept + 1] = visible .. ' ' .. own
    if visible == '1' then after = after + 1 end
  end
  if #kept == 0 then
    redis.call('HDEL', KEYS[2], user)
  else
    redis.call('HSET', KEYS[2], user, table.concat(kept, '\\n'))
  end
  local edge = '='
  if before == 0 and after > 0 then edge = '+' elseif before > 0 and after == 0 then edge = '-' end
  local version = redis.call('HINCRBY', KEYS[4], 'version', 1)
  return version, edge, edge .. ' ' .. node .. ' ' .. op
end
local function keep(ttl)
  for i = 1, 4 do redis.call('PEXPIRE', KEYS[i], ttl) end
end
`;

/**
 * Commits changes of one node's entries: checks its lease, changes the entries, counts each user's,
 * raises the version, publishes.
 *
 * KEYS: the community's. ARGV: 1 nodeId, 2 `1` to take a new lease, 3 lease in ms, 4 time to live of
 * the keys in ms, 5 name of this change, and of the history where one begins, 6 channel, 7 epoch,
 * 8 version and 9 mark as the node knows them, then for each change: userId, deviceId, entry or ''
 * where it goes, `1` where others may see it, operation.
 * Result: {0} where the node has no lease; else {1, epoch, version, users who went offline …}.
 */
export const WRITE = new Script(`${SHARED}
local node = ARGV[1]
local held = redis.call('ZSCORE', KEYS[3], node)
if not held and ARGV[2] ~= '1' then return {0} end
redis.call('ZADD', KEYS[3], now() + ARGV[3], node)
local epoch, had, before = standing()
if epoch == '' or is_lost(epoch, had, before, ARGV[7], ARGV[8], ARGV[9]) then
  epoch = begin(ARGV[5])
end
local first, last
local lines, result = {}, {1, epoch, 0}
for i = 10, #ARGV, 5 do
  local version, edge, line =
    change(node, ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4])
  first = first or version
  last = version
  lines[#lines + 1] = line
  if edge == '-' then result[#result + 1] = ARGV[i] end
end
keep(ARGV[4])
result[3] = last or 0
if first then
  redis.call('HSET', KEYS[4], 'mark', ARGV[5])
  local head = table.concat({epoch, first, node, before, ARGV[5]}, ' ')
  redis.call('PUBLISH', ARGV[6], head .. '\\n' .. table.concat(lines, '\\n'))
end
return result
`);

/**
 * Removes entries of a node whose lease has ended, or that has left. Checks what is there again, so of
 * several nodes that try exactly one does it and publishes it.
 *
 * KEYS: the community's. ARGV: 1 nodeId of the dead, 2 `all` where these are all of its entries, `some`
 * where they are not, `left` where the node writes no more whatever its lease says, 3 time to live in ms, 4 name of this change, and of the history where one begins, 5 channel, then for
 * each entry: userId, deviceId, operation.
 * Result: {0} where the node lives; else {1, epoch, version, users who went offline …}.
 */
export const SWEEP = new Script(`${SHARED}
local node = ARGV[1]
local lease = redis.call('ZSCORE', KEYS[3], node)
if ARGV[2] ~= 'left' and lease and tonumber(lease) > now() then return {0} end
local epoch, _, before = standing()
if epoch == '' then epoch = begin(ARGV[4]) end
local first
local lines, result = {}, {1, epoch, 0}
for i = 6, #ARGV, 3 do
  if redis.call('HEXISTS', KEYS[1], node .. '\\0' .. ARGV[i] .. '\\0' .. ARGV[i + 1]) == 1 then
    local version, edge, line = change(node, ARGV[i], ARGV[i + 1], '', '0', ARGV[i + 2])
    first = first or version
    result[3] = version
    lines[#lines + 1] = line
    if edge == '-' then result[#result + 1] = ARGV[i] end
  end
end
if ARGV[2] == 'all' then redis.call('ZREM', KEYS[3], node) end
keep(ARGV[3])
if first then
  redis.call('HSET', KEYS[4], 'mark', ARGV[4])
  local head = table.concat({epoch, first, '', before, ARGV[4]}, ' ')
  redis.call('PUBLISH', ARGV[5], head .. '\\n' .. table.concat(lines, '\\n'))
end
return result
`);

/**
 * Reads a community at one version.
 *
 * KEYS: the community's. ARGV: 1 for how long after its end a lease still counts, in ms.
 * Result: {epoch or '', version, mark or '', nodeIds that count …, '', fields and values of all entries …}.
 */
export const READ = new Script(`${SHARED}
local result = {standing()}
for _, node in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], now() - ARGV[1], '+inf')) do
  result[#result + 1] = node
end
result[#result + 1] = ''
for _, item in ipairs(redis.call('HGETALL', KEYS[1])) do result[#result + 1] = item end
return result
`);

/**
 * Lengthens a node's lease, if it has one, and tells how the community stands.
 *
 * KEYS: the community's. ARGV: 1 nodeId, 2 lease in ms, 3 time to live in ms, 4 name of the history
 * where one begins, 5 epoch, 6 version and 7 mark as the node knows them.
 * Result: {1 where it has a lease, epoch or '', version, nodeIds whose lease has not ended …}.
 */
export const RENEW = new Script(`${SHARED}
local held = redis.call('ZSCORE', KEYS[3], ARGV[1])
if held then redis.call('ZADD', KEYS[3], now() + ARGV[2], ARGV[1]) end
keep(ARGV[3])
local epoch, version, mark = standing()
if is_lost(epoch, version, mark, ARGV[5], ARGV[6], ARGV[7]) then epoch = begin(ARGV[4]) end
local result = {held and 1 or 0, epoch, version}
for _, node in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], now(), '+inf')) do
  result[#result + 1] = node
end
return result
`);

/**
 * Lets a node's lease end soon, because it leaves in order. KEYS: the community's. ARGV: 1 nodeId,
 * 2 in how many ms. Result: 1 where it had a lease.
 */
export const RETIRE = new Script(`${SHARED}
if not redis.call('ZSCORE', KEYS[3], ARGV[1]) then return 0 end
redis.call('ZADD', KEYS[3], now() + ARGV[2], ARGV[1])
return 1
`);

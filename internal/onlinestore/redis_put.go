package onlinestore

import (
	"context"

	"github.com/redis/rueidis"
)

// putScript replaces rows of one group. KEYS are the index and the keys of rows; ARGV are, for each row, its name in the
// index and its stored form. Positions are compared as four numbers of 32 bits, because a number of Lua holds no 64.
var putScript = newRedisScript(`
local function older(a, b)
  local a1, a2, a3, a4 = struct.unpack('>I4I4I4I4', a)
  local b1, b2, b3, b4 = struct.unpack('>I4I4I4I4', b)
  if a1 ~= b1 then return a1 < b1 end
  if a2 ~= b2 then return a2 < b2 end
  if a3 ~= b3 then return a3 < b3 end
  return a4 < b4
end
for i = 2, #KEYS do
  local name, row = ARGV[2*i-3], ARGV[2*i-2]
  local stored = redis.call('GETRANGE', KEYS[i], 1, 16)
  if #stored ~= 16 then
    redis.call('ZADD', KEYS[1], 0, name)
    redis.call('SET', KEYS[i], row)
  elseif not older(string.sub(row, 2, 17), stored) then
    redis.call('SET', KEYS[i], row)
  end
end
return 0`)

// Put implements Store. The comparison and the write of a row, and its entry in the index, are one script and so one step.
func (s *Redis) Put(ctx context.Context, rows []Row) error {
	client, leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	size := func(i int) int { return redisHeaderBytes + len(rows[i].Value) }
	return inPipelines(len(rows), size, func(from, to, bytes int) error {
		_, err := putScript.run(ctx, client, s.putCalls(rows[from:to], bytes))
		return redisError(ctx, "put online rows", err)
	})
}

// putCalls makes the scripts of a pipeline. size is that of all stored forms.
func (s *Redis) putCalls(rows []Row, size int) []scriptCall {
	buffer := make([]byte, 0, size)
	for i := range rows {
		buffer = appendRedisRow(buffer, rows[i])
	}
	stored := rueidis.BinaryString(buffer) // all arguments are parts of the one buffer, which nobody writes to any more
	calls := newScriptCalls(s.keys, len(rows))
	for i := range rows {
		length := redisHeaderBytes + len(rows[i].Value)
		calls.add(rows[i].Key, stored[:length])
		stored = stored[length:]
	}
	return calls.list
}

package onlinestore

import (
	"context"

	"github.com/redis/rueidis"
)

// putScript replaces rows of one group. KEYS are the index and the keys of rows; ARGV are where names begin in those keys,
// and the stored form of each row. Positions with versions are compared as five numbers of 32 bits, because a number of Lua
// holds no 64. Most of what it takes is not its own: Redis hashes every byte of every argument before a script begins, and
// prints every number that a script gives to a command, which is why the numbers here are strings.
var putScript = newRedisScript(`
local call, read = redis.call, struct.unpack
for i = 2, #KEYS do
  local key, row, older = KEYS[i], ARGV[i], false
  local stored = call('GETRANGE', key, '1', '20')
  if #stored ~= 20 then
    call('ZADD', KEYS[1], '0', string.sub(key, ARGV[1]))
  else
    local a1, a2, a3, a4, a5 = read('>I4I4I4I4I4', row, 2)
    local b1, b2, b3, b4, b5 = read('>I4I4I4I4I4', stored)
    older = a1 < b1 or a1 == b1 and (a2 < b2 or a2 == b2 and (a3 < b3 or a3 == b3 and (a4 < b4 or a4 == b4 and a5 < b5)))
  end
  if not older then
    call('SET', key, row)
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

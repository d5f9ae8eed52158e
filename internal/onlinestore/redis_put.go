package onlinestore

import (
	"context"
	"crypto/sha1"
	"encoding/hex"

	"github.com/redis/rueidis"
)

const (
	// redisScriptRows and redisScriptBytes bound what one script writes, and with it how long all others wait for it:
	// below a millisecond.
	redisScriptRows  = 100
	redisScriptBytes = 1 << 20
	// redisPipelineBytes bounds what is under way to the servers at once for one call.
	redisPipelineBytes = 8 << 20
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

// deleteScript removes rows of one group. KEYS are the index and the keys of rows, ARGV the names in the index.
var deleteScript = newRedisScript(`
for i = 2, #KEYS do
  redis.call('DEL', KEYS[i])
  redis.call('ZREM', KEYS[1], ARGV[i-1])
end
return 0`)

// redisScript is a script with the digest that Redis knows it by.
type redisScript struct {
	text, digest string
}

func newRedisScript(text string) redisScript {
	sum := sha1.Sum([]byte(text)) // names the script in EVALSHA; nothing relies on its strength
	return redisScript{text: text, digest: hex.EncodeToString(sum[:])}
}

// scriptCall is one run of a script, on keys of one slot.
type scriptCall struct {
	keys, args []string
}

// run sends calls as one pipeline. A server that does not know the script (it was restarted, or is new) gets its text with
// those calls again. The error is that of the first call that failed.
func (r redisScript) run(ctx context.Context, client rueidis.Client, calls []scriptCall) ([]rueidis.RedisResult, error) {
	within, cancel := context.WithTimeout(ctx, redisWorkTimeout)
	defer cancel()
	commands := make(rueidis.Commands, len(calls))
	for i, c := range calls {
		commands[i] = client.B().Evalsha().Sha1(r.digest).Numkeys(int64(len(c.keys))).Key(c.keys...).Arg(c.args...).Build()
	}
	results := client.DoMulti(within, commands...)
	var unknown []int
	commands = nil
	for i := range results {
		if answer, ok := rueidis.IsRedisErr(results[i].Error()); ok && answer.IsNoScript() {
			unknown = append(unknown, i)
			c := calls[i]
			commands = append(commands, client.B().Eval().Script(r.text).Numkeys(int64(len(c.keys))).Key(c.keys...).Arg(c.args...).Build())
		}
	}
	if len(unknown) > 0 {
		for j, result := range client.DoMulti(within, commands...) {
			results[unknown[j]] = result
		}
	}
	for i := range results {
		if err := results[i].Error(); err != nil {
			return nil, err
		}
	}
	return results, nil
}

// Put implements Store. The comparison and the write of a row, and its entry in the index, are one script and so one step.
func (s *Redis) Put(ctx context.Context, rows []Row) error {
	client, leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	for len(rows) > 0 {
		n, size := 0, 0
		for n < len(rows) && (n == 0 || size+redisHeaderBytes+len(rows[n].Value) <= redisPipelineBytes) {
			size += redisHeaderBytes + len(rows[n].Value)
			n++
		}
		if _, err := putScript.run(ctx, client, s.putCalls(rows[:n], size)); err != nil {
			return redisError(ctx, "put online rows", err)
		}
		rows = rows[n:]
	}
	return nil
}

// putCalls makes the scripts of a pipeline. Rows of a group keep their order. size is that of all stored forms.
func (s *Redis) putCalls(rows []Row, size int) []scriptCall {
	buffer := make([]byte, 0, size)
	for i := range rows {
		buffer = appendRedisRow(buffer, rows[i])
	}
	stored := rueidis.BinaryString(buffer) // all arguments are parts of the one buffer, which nobody writes to any more
	var open [redisGroups]struct{ call, bytes int }
	calls := make([]scriptCall, 0, min(len(rows), redisGroups))
	for i := range rows {
		group := groupOf(rows[i].Key)
		length := redisHeaderBytes + len(rows[i].Value)
		at := &open[group]
		if at.bytes == 0 || at.bytes+length > redisScriptBytes || len(calls[at.call].keys) > redisScriptRows {
			at.call, at.bytes = len(calls), 0
			calls = append(calls, scriptCall{keys: []string{s.keys.index(group)}})
		}
		at.bytes += length
		c := &calls[at.call]
		c.keys = append(c.keys, s.keys.row(group, rows[i].Key))
		c.args = append(c.args, rows[i].Key, stored[:length])
		stored = stored[length:]
	}
	return calls
}

// Delete implements Store.
func (s *Redis) Delete(ctx context.Context, keys ...string) error {
	client, leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	var open [redisGroups]int // 1 + the call of the group that takes more
	var calls []scriptCall
	for _, key := range keys {
		group := groupOf(key)
		if open[group] == 0 || len(calls[open[group]-1].keys) > redisScriptRows {
			calls = append(calls, scriptCall{keys: []string{s.keys.index(group)}})
			open[group] = len(calls)
		}
		c := &calls[open[group]-1]
		c.keys, c.args = append(c.keys, s.keys.row(group, key)), append(c.args, key)
	}
	if len(calls) == 0 {
		return nil
	}
	_, err = deleteScript.run(ctx, client, calls)
	return redisError(ctx, "delete online rows", err)
}

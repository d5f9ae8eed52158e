package onlinestore

import (
	"context"
)

// replaceScript corrects rows of one group. KEYS are the index and the keys of rows; ARGV are where names begin in those keys,
// and for each row the stored form that was seen, and the right one, empty where there is to be no row.
var replaceScript = newRedisScript(`
for i = 2, #KEYS do
  local seen, right = ARGV[2*i-2], ARGV[2*i-1]
  if redis.call('GET', KEYS[i]) == seen then
    if right == '' then
      redis.call('DEL', KEYS[i])
      redis.call('ZREM', KEYS[1], string.sub(KEYS[i], ARGV[1]))
    else
      redis.call('SET', KEYS[i], right)
    end
  end
end
return 0`)

// Replace implements Store.
func (s *Redis) Replace(ctx context.Context, wrong []Replacement) error {
	client, leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	seen, right := make([]string, len(wrong)), make([]string, len(wrong))
	for i, r := range wrong {
		seen[i] = string(appendRedisRow(nil, r.Seen))
		if r.Right != nil {
			right[i] = string(appendRedisRow(nil, *r.Right))
		}
	}
	size := func(i int) int { return len(seen[i]) + len(right[i]) }
	return inPipelines(len(wrong), size, func(from, to, _ int) error {
		calls := newScriptCalls(s.keys, to-from)
		for i := from; i < to; i++ {
			calls.add(wrong[i].Seen.Key, seen[i], right[i])
		}
		_, err := replaceScript.run(ctx, client, calls.list)
		return redisError(ctx, "replace online rows", err)
	})
}

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

// scriptCalls divides rows into calls of a script: each has the index of one group as its first key, then keys of rows, and as
// arguments where a row's name in the index begins in its key, then for every row what the script wants to know. Rows of a
// group keep their order.
type scriptCalls struct {
	keys *redisKeys
	list []scriptCall
	open [redisGroups]struct{ call, bytes int } // of the group's last call; 0 bytes: none yet
}

func newScriptCalls(keys *redisKeys, rows int) *scriptCalls {
	return &scriptCalls{keys: keys, list: make([]scriptCall, 0, min(rows, redisGroups))}
}

func (c *scriptCalls) add(key string, args ...string) {
	group, bytes := groupOf(key), 0
	for _, arg := range args {
		bytes += len(arg)
	}
	at := &c.open[group]
	if at.bytes == 0 || at.bytes+bytes > redisScriptBytes || len(c.list[at.call].keys) > redisScriptRows {
		at.call, at.bytes = len(c.list), 0
		c.list = append(c.list, scriptCall{keys: []string{c.keys.index(group)}, args: []string{c.keys.nameBegins(group)}})
	}
	at.bytes += bytes
	call := &c.list[at.call]
	call.keys = append(call.keys, c.keys.row(group, key))
	call.args = append(call.args, args...)
}

// inPipelines divides n rows into parts that may be under way to the servers at once, and sends them one after the other.
func inPipelines(n int, size func(i int) int, send func(from, to, bytes int) error) error {
	for from := 0; from < n; {
		to, bytes := from, 0
		for to < n && (to == from || bytes+size(to) <= redisPipelineBytes) {
			bytes += size(to)
			to++
		}
		if err := send(from, to, bytes); err != nil {
			return err
		}
		from = to
	}
	return nil
}

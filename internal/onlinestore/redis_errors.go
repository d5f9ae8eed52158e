package onlinestore

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/redis/rueidis"
)

// passing are the error codes of Redis that pass by themselves or by what an operator does to Redis alone: it starts or
// fails over (LOADING, MASTERDOWN, READONLY, NOREPLICAS), moves slots (CLUSTERDOWN, TRYAGAIN, and MOVED or ASK, of which
// the client has followed several), is held up by a script (BUSY), or has no room on its disk or in its memory (MISCONF,
// OOM).
var passing = map[string]bool{
	"LOADING": true, "MASTERDOWN": true, "READONLY": true, "NOREPLICAS": true, "CLUSTERDOWN": true, "TRYAGAIN": true,
	"MOVED": true, "ASK": true, "BUSY": true, "MISCONF": true, "OOM": true, "UNBLOCKED": true,
}

// redisError gives an error of the client its meaning for callers. ctx is the caller's: its end is no fault of the store.
func redisError(ctx context.Context, doing string, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", doing, ctx.Err())
	}
	answer, ok := rueidis.IsRedisErr(err)
	if !ok { // the network, a time-out, a closed connection
		return fmt.Errorf("%s: %w: %w", doing, ErrUnavailable, err)
	}
	code, _, _ := strings.Cut(answer.Error(), " ")
	switch {
	case passing[code]:
		return fmt.Errorf("%s: %w: %w", doing, ErrUnavailable, err)
	case code == "WRONGPASS" || code == "NOAUTH":
		return fmt.Errorf("%s: %w; check the user name and the password of the online store", doing, err)
	case code == "NOPERM":
		return fmt.Errorf("%s: %w; the user needs get, mget, set, getrange, del, zadd, zrem, zrangebylex, evalsha, eval and info", doing, err)
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// errEvicts tells of a Redis that throws rows away when its memory is full.
var errEvicts = errors.New("configure Redis: with this maxmemory-policy it removes rows when its memory is full, and nobody would " +
	"know; set maxmemory-policy to noeviction, or maxmemory to 0")

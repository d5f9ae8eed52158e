package onlinestore

import (
	"context"
	"fmt"

	"github.com/redis/rueidis"
)

// redisScanRows is how many rows of a group are read at once: 64 groups of profiles (2 KiB) hold 32 MiB while everything
// is scanned.
const redisScanRows = 256

// Scan implements Store. Each group's index is read in pages, in the order of keys, each page beginning behind the last
// key of the one before: a row that was there all the time is met whatever is written meanwhile. The pages of the groups
// are then merged. A row whose key was in a page, but which is gone by the time it is read, was deleted.
func (s *Redis) Scan(ctx context.Context, prefix string, f func(Row) error) error {
	client, leave, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	var heads []*groupScan
	if scope, whole := scopeOf(prefix); whole {
		heads = []*groupScan{s.groupScan(groupOf(scope), prefix)}
	} else {
		for g := range redisGroups {
			heads = append(heads, s.groupScan(g, prefix))
		}
	}
	if err := s.fill(ctx, client, heads); err != nil {
		return redisError(ctx, "scan online store", err)
	}
	for {
		var least *groupScan
		for _, head := range heads {
			if len(head.rows) > 0 && (least == nil || head.rows[0].Key < least.rows[0].Key) {
				least = head
			}
		}
		if least == nil {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		row := least.rows[0]
		least.rows = least.rows[1:]
		if err := f(row); err != nil {
			return err
		}
		if len(least.rows) == 0 {
			if err := s.fill(ctx, client, []*groupScan{least}); err != nil {
				return redisError(ctx, "scan online store", err)
			}
		}
	}
}

// groupScan is a scan's place in one group.
type groupScan struct {
	group    int
	from, to string // bounds of the rest, in the words of ZRANGEBYLEX
	rows     []Row
	done     bool // nothing is left in the index
}

func (s *Redis) groupScan(group int, prefix string) *groupScan {
	g := &groupScan{group: group, from: "-", to: "+"}
	if prefix != "" {
		g.from = "[" + prefix
	}
	if end := prefixEnd([]byte(prefix)); end != nil {
		g.to = "(" + string(end)
	}
	return g
}

// fill reads the next page of each group until it has a row or nothing is left.
func (s *Redis) fill(ctx context.Context, client rueidis.Client, groups []*groupScan) error {
	for {
		var empty []*groupScan
		for _, g := range groups {
			if !g.done && len(g.rows) == 0 {
				empty = append(empty, g)
			}
		}
		if len(empty) == 0 {
			return nil
		}
		if err := s.page(ctx, client, empty); err != nil {
			return err
		}
	}
}

// page reads one page of each group: first the keys of all, then their rows.
func (s *Redis) page(ctx context.Context, client rueidis.Client, groups []*groupScan) error {
	within, cancel := context.WithTimeout(ctx, redisWorkTimeout)
	defer cancel()
	commands := make(rueidis.Commands, len(groups))
	for i, g := range groups {
		commands[i] = client.B().Zrangebylex().Key(s.keys.index(g.group)).Min(g.from).Max(g.to).Limit(0, redisScanRows).Build()
	}
	names := make([][]string, 0, len(groups))
	var found []*groupScan
	for i, result := range client.DoMulti(within, commands...) {
		page, err := result.AsStrSlice()
		if err != nil {
			return err
		}
		if groups[i].done = len(page) < redisScanRows; len(page) > 0 {
			groups[i].from = "(" + page[len(page)-1]
			names, found = append(names, page), append(found, groups[i])
		}
	}
	if len(found) == 0 {
		return nil
	}
	commands = commands[:0]
	for i, g := range found {
		keys := make([]string, len(names[i]))
		for j, name := range names[i] {
			keys[j] = s.keys.row(g.group, name)
		}
		commands = append(commands, client.B().Mget().Key(keys...).Build())
	}
	for i, result := range client.DoMulti(within, commands...) {
		stored, err := result.ToArray()
		if err != nil {
			return err
		}
		for j := range stored {
			value, err := stored[j].ToString()
			if rueidis.IsRedisNil(err) {
				continue
			}
			if err != nil {
				return err
			}
			row, err := decodeRedisRow(names[i][j], value)
			if err != nil {
				return fmt.Errorf("online row %q: %w", names[i][j], err)
			}
			found[i].rows = append(found[i].rows, row)
		}
	}
	return nil
}

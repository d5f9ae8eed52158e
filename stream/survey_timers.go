package stream

import (
	"math"
	"strings"

	"github.com/millrace/millrace/internal/erasure"
	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/onlinestore"
	"github.com/millrace/millrace/internal/state"
)

// surveyTimers counts the timers of sessions that are about people in a ledger: by the record of the session where a timer has one,
// else by the profile that it is of.
func surveyTimers(from stateReader, ledger *erasure.Ledger, get getRow) (n int64, err error) {
	sites, err := from.TimerGroups()
	if err != nil {
		return 0, err
	}
	for _, site := range sites {
		for behind := state.FirstTimer(site); ; {
			due, err := from.Due(behind, math.MaxInt64-1, closedBatch)
			if err != nil {
				return n, err
			}
			if len(due) == 0 {
				break
			}
			behind = due[len(due)-1]
			for _, t := range due {
				covered, err := timerCovered(t, ledger, get)
				if err != nil {
					return n, err
				}
				if covered {
					n++
				}
			}
		}
	}
	return n, nil
}

func timerCovered(t state.Timer, ledger *erasure.Ledger, get getRow) (bool, error) {
	if len(t.Value) > 0 && t.Value[0] == timerRecord {
		c, err := event.UnmarshalClosedSession(t.Value[1:])
		return err == nil && sessionCovered(c, ledger), err
	}
	key, _, _ := strings.Cut(t.Name, "\x00")
	row, ok, err := get(key)
	if err != nil {
		return false, err
	}
	if !ok { // of a profile that is gone
		partial, err := onlinestore.ParseProfileKey(key)
		return err == nil && ledger.Covers(partialRow(partial, "", t.At)), err
	}
	r, named, err := whose(row, get)
	return named && ledger.Covers(r), err
}

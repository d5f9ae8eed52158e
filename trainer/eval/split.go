package eval

import (
	"fmt"
	"math"
	"time"

	"github.com/millrace/millrace/internal/model"
)

// Values of a split column.
const (
	splitTrain = "train"
	splitValid = "valid"
	splitTest  = "test"
)

// newestShare is the part of the sessions that is held out where a day is not a usable unit.
const newestShare = 0.1

// minDays is the least span, in days, of data that is split by its last day: a day each for test and validation, and
// more than that to learn from.
const minDays = 4

func splitNames() []string { return []string{splitTrain, splitValid, splitTest} }

// Dataset is a log in parts. Items are indices of Vocabulary, which holds the items of Train; an item outside it is -1 in
// tests where unseen items are counted.
type Dataset struct {
	Vocabulary *model.Vocabulary
	Train      *Part  // what the measured models are fitted on
	Test       *Test  // what they are measured on
	TuneTrain  *Part  // what models are fitted on while parameters are chosen
	Valid      *Test  // what parameters are chosen on; nothing of it is part of TuneTrain
	Split      string // how the parts were made, in words
}

// parts are the session numbers of each part of a log.
type parts struct {
	train, valid, test []int
	carved             bool // valid is the newest part of train
	how                string
}

// SplitLog makes the parts of a log: by its split column, else by the newest sessions.
func SplitLog(log *Log, c Config) (*Dataset, error) {
	var p parts
	switch {
	case log.Splits != nil:
		p = givenParts(log.Splits)
	case c.Holdout > 0:
		p = newestParts(log.Sessions.Len(), c.Holdout)
	default:
		p = lastDayParts(log)
	}
	t := log.take(p.roles(log), c.IncludeUnseen)
	d := &Dataset{
		Vocabulary: t.vocabulary, Split: p.how,
		Train: NewPart(t.train, t.vocabulary.Len(), nil), Test: NextItem(t.test),
		TuneTrain: NewPart(t.tuneTrain, t.vocabulary.Len(), nil), Valid: NextItem(t.valid),
	}
	if d.Train.Sessions.Len() == 0 {
		return nil, fmt.Errorf("the training part is empty (split: %s)", d.Split)
	}
	if d.Test.Len() == 0 {
		return nil, fmt.Errorf("the test part is empty (split: %s)", d.Split)
	}
	return d, nil
}

func givenParts(splits []string) parts {
	p := parts{how: "as given by the split column"}
	for i, split := range splits {
		switch split {
		case splitTrain:
			p.train = append(p.train, i)
		case splitValid:
			p.valid = append(p.valid, i)
		case splitTest:
			p.test = append(p.test, i)
		}
	}
	if len(p.valid) == 0 {
		p.valid, p.carved = newestOf(p.train, newestShare), true
		p.how += "; validation: newest 10 % of the training sessions"
	}
	return p
}

func newestParts(sessions int, share float64) parts {
	all := make([]int, sessions)
	for i := range all {
		all[i] = i
	}
	p := parts{test: newestOf(all, share), carved: true}
	p.train = all[:len(all)-len(p.test)]
	p.valid = newestOf(p.train, share)
	p.how = fmt.Sprintf("test: newest %g %% of the sessions; validation: newest %g %% of the rest", share*100, share*100)
	return p
}

// lastDayParts holds out the sessions that end in the last 24 hours, and for validation those of the 24 hours before.
// Data on a logical clock, and data of few days, is split by share instead.
func lastDayParts(log *Log) parts {
	last := log.Sessions.Newest()
	const day = int64(24 * time.Hour / time.Millisecond)
	byShare := newestParts(log.Sessions.Len(), newestShare)
	if log.Logical || last-log.First().UnixMilli() < minDays*day {
		return byShare
	}
	p := parts{carved: true, how: "test: sessions of the last day; validation: sessions of the day before"}
	for i := range log.Sessions.Len() {
		end := log.Sessions.Times[log.Sessions.Offsets[i+1]-1]
		switch {
		case end > last-day:
			p.test = append(p.test, i)
		case end > last-2*day:
			p.valid = append(p.valid, i)
			fallthrough
		default:
			p.train = append(p.train, i)
		}
	}
	if len(p.valid) == 0 || len(p.valid) == len(p.train) {
		return byShare
	}
	return p
}

// newestOf returns the last share of a list that is in order of time, at least one where there are two.
func newestOf(sessions []int, share float64) []int {
	n := int(math.Round(share * float64(len(sessions))))
	if len(sessions) > 1 {
		n = max(n, 1)
	}
	return sessions[len(sessions)-n:]
}

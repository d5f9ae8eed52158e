package eval

import (
	"fmt"

	"github.com/millrace/millrace/internal/model"
)

// Dataset is a log in parts. Items are indices of Vocabulary, which holds the items of Train, and behind them those of the
// catalogue where unseen items are counted; an item outside it is -1 in tests.
type Dataset struct {
	Vocabulary *model.Vocabulary
	Train      *Part  // what the measured models are fitted on
	Test       *Test  // what they are measured on
	TuneTrain  *Part  // what models are fitted on while parameters are chosen
	Valid      *Test  // what parameters are chosen on; nothing of it is part of TuneTrain
	Split      string // how the parts were made, in words
	ColdUsers  int    // visitors of the test of whom nothing was learned or told
	ColdEvents int    // events of the test whose items no model knows; they stay out unless unseen items are counted

	testPromise, validPromise promise
}

// promise is what a split promises of the order of events; that no case asks with, or models learn, what is wanted goes
// without saying.
type promise struct {
	order    bool // queries tell only what happened before what is wanted
	training trained
}

// trained says which events models may have learned of.
type trained int

const (
	trainedAnytime   trained = iota // any that no case wants
	trainedOwnBefore                // of the visitor who is asked about, only what happened before what is wanted
	trainedBefore                   // of everybody, only what happened before what is wanted
)

// SplitLog makes the parts of a log as the protocol of a configuration says; the seed is that of the configuration. Fields
// at zero mean their defaults, and no protocol means ProtocolNextItem.
func SplitLog(log *Log, c Config) (*Dataset, error) {
	if c.Protocol == "" {
		c.Protocol = ProtocolNextItem
	}
	p, err := protocolOf(c.Protocol)
	if err != nil {
		return nil, err
	}
	d, err := p.split(log, c, c.Seed)
	if err != nil {
		return nil, err
	}
	if d.Train.Sessions.Len() == 0 {
		return nil, fmt.Errorf("the training part is empty (split: %s)", d.Split)
	}
	if d.Test.Len() == 0 {
		return nil, fmt.Errorf("the test part is empty (split: %s)", d.Split)
	}
	if err := checkLeaks(log, d); err != nil {
		return nil, fmt.Errorf("%w (split: %s)", err, d.Split)
	}
	return d, nil
}

// dataset makes the training parts.
func (l *Log) dataset(r roles, n numbering, how string) *Dataset {
	return &Dataset{Vocabulary: n.vocabulary, Split: how, Train: l.part(r, forTrain, n), TuneTrain: l.part(r, forTuneTrain, n)}
}

package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/history"
	"github.com/millrace/millrace/internal/model/synthetic"
	"github.com/millrace/millrace/tracker/importer"
	"github.com/millrace/millrace/trainer"
)

const (
	// dataVariable names a folder of real click histories, as the tests' variable of the same name does.
	dataVariable = "MILLRACE_TEST_DATA"
	// shopFile is a shop of 36,968 items in that folder; shopItems and shopClicks are its size, which is made here where it is not.
	shopFile   = "retailrocket-sessions/events.csv.gz"
	shopItems  = 36_968
	shopClicks = 710_586
	// shopMapping is how its columns are read. It has no times, so its order is the clock.
	shopMapping = "anonymous_id=session_id,session_id=session_id,item_id=item_id"
	// askedFor is how many different visitors, and items, are asked for by turns: more than fit into a processor's caches.
	askedFor = 20_000
)

// fillShop brings in a shop's history through Kafka, stream and lake, trains as the nightly training does, and puts the version in
// force.
func fillShop(ctx context.Context, b *servingBench) error {
	file := filepath.Join(cmp.Or(b.options.data, os.Getenv(dataVariable)), shopFile)
	if _, err := os.Stat(file); err != nil {
		b.say("no %s in the folder that --data or %s names: a history of its size is made", shopFile, dataVariable)
		if file, err = madeShop(b.dir); err != nil {
			return err
		}
	}
	b.say("history of %s", file)
	mapping, err := history.ParseMapping(shopMapping)
	if err != nil {
		return err
	}
	a := &app{stdout: io.Discard, stderr: io.Discard}
	config := importer.Config{Site: event.DefaultSite, Type: event.ViewItem, Map: mapping, RejectDir: b.dir}
	running := adminClient{b.system.info}
	if err := a.importEvents(ctx, b.cfg, config, running, []string{file}, false); err != nil {
		return fmt.Errorf("import: %w", err)
	}
	b.say("imported; training")
	supervisor, err := newSupervisor(b.cfg, b.system.control, b.system.log, nil)
	if err != nil {
		return err
	}
	training, err := b.cfg.training(event.DefaultSite)
	if err != nil {
		return err
	}
	result, err := supervisor.Train(ctx, trainer.Request{Config: training, Why: "bench"})
	if err != nil {
		return fmt.Errorf("train: %w", err)
	}
	if !result.Promoted {
		return fmt.Errorf("the version was not put in force: %s", result.Reason)
	}
	if err := running.call(ctx, adminModels, nil, nil); err != nil {
		return err
	}
	return b.chooseFrom(file)
}

// madeShop writes a history of the size of shopFile and returns its path.
func madeShop(dir string) (path string, err error) {
	path = filepath.Join(dir, "made.csv")
	file, err := os.Create(path)
	if err != nil {
		return "", fmt.Errorf("make a history: %w", err)
	}
	defer func() { err = joinClose(err, file) }()
	out := bufio.NewWriter(file)
	fmt.Fprintln(out, "session_id,item_id")
	sessions := synthetic.Sessions(synthetic.Clicks{Clicks: shopClicks, Items: shopItems, Seed: 1})
	for i := range sessions.Len() {
		items, _ := sessions.At(i)
		for _, item := range items {
			fmt.Fprintf(out, "%d,%d\n", i, item)
		}
	}
	return path, out.Flush()
}

// chooseFrom picks who and what is asked for from the rows of a history: those of more clicks more often, as they come to a shop.
func (b *servingBench) chooseFrom(file string) (err error) {
	format, err := history.DetectFormat(file)
	if err != nil {
		return err
	}
	rows, err := history.Open(file, format)
	if err != nil {
		return err
	}
	defer func() { err = joinClose(err, rows) }()
	rng := rand.New(rand.NewPCG(1, 1))
	for n := 0; ; n++ {
		row, err := rows.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("choose who is asked for: %w", err)
		}
		visitor, item := row.Get("session_id"), row.Get("item_id")
		if n < askedFor {
			b.visitors, b.items = append(b.visitors, visitor), append(b.items, item)
		} else if place := rng.IntN(n + 1); place < askedFor { // reservoir sampling: every row with the same chance
			b.visitors[place], b.items[place] = visitor, item
		}
	}
}

// daysBefore is a time so many days ago, spread by a number below 1.
func daysBefore(now time.Time, days float64) time.Time {
	return now.Add(-time.Duration(days * 24 * float64(time.Hour)))
}

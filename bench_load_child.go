package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
)

// generator is the process that the load comes from.
type generator struct {
	command *exec.Cmd
	orders  io.WriteCloser
	reports *bufio.Scanner
}

// startGenerator starts this program again as a generator of load.
func startGenerator(ctx context.Context, errs io.Writer) (*generator, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find own program: %w", err)
	}
	command := exec.CommandContext(ctx, exe, loadCommand)
	command.Stderr = errs
	orders, err := command.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start generator of load: %w", err)
	}
	reports, err := command.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start generator of load: %w", err)
	}
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("start generator of load: %w", err)
	}
	return &generator{command: command, orders: orders, reports: bufio.NewScanner(reports)}, nil
}

// run gives one order and returns its report.
func (g *generator) run(order loadOrder) (report loadReport, err error) {
	text, err := json.Marshal(order)
	if err != nil {
		return report, fmt.Errorf("order load: %w", err)
	}
	if _, err := g.orders.Write(append(text, '\n')); err != nil {
		return report, fmt.Errorf("order load: %w", err)
	}
	if !g.reports.Scan() {
		return report, errors.Join(errors.New("the generator of load ended before its report"), g.reports.Err())
	}
	if err := json.Unmarshal(g.reports.Bytes(), &report); err != nil {
		return report, fmt.Errorf("read report of load: %w", err)
	}
	return report, nil
}

// stop ends the process.
func (g *generator) stop() error {
	return errors.Join(g.orders.Close(), g.command.Wait())
}

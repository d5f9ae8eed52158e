package main

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// userColumn names the ids of a file that has columns.
const userColumn = "user_id"

// maxUserLine bounds a line of a file of ids.
const maxUserLine = 1 << 20

// eachUser calls yield with every id of a file, or with what is wrong with its line: one id a line, a CSV file whose header names
// user_id, or JSON lines with user_id. An error of yield ends it.
func eachUser(in io.Reader, yield func(line int64, id string, err error) error) error {
	buffered := bufio.NewReaderSize(in, maxUserLine)
	first, err := buffered.Peek(maxUserLine)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	head, _, _ := strings.Cut(strings.TrimPrefix(string(first), "\ufeff"), "\n")
	names := strings.Split(strings.TrimSpace(head), ",")
	for i := range names {
		names[i] = strings.Trim(names[i], `" `)
	}
	if column := slices.Index(names, userColumn); column >= 0 {
		return eachCSVUser(buffered, column, yield)
	}
	lines := bufio.NewScanner(buffered)
	lines.Buffer(nil, maxUserLine)
	for n := int64(1); lines.Scan(); n++ {
		text := strings.TrimSpace(strings.TrimPrefix(lines.Text(), "\ufeff"))
		if text == "" {
			continue
		}
		id, err := text, error(nil)
		if strings.HasPrefix(text, "{") {
			id, err = jsonUser(text)
		}
		if err := yield(n, id, err); err != nil {
			return err
		}
	}
	return lines.Err()
}

func jsonUser(text string) (string, error) {
	var row struct {
		UserID string `json:"user_id"`
	}
	if err := json.Unmarshal([]byte(text), &row); err != nil {
		return "", fmt.Errorf("it is no JSON object with a text user_id: %w", err)
	}
	return row.UserID, nil
}

func eachCSVUser(in io.Reader, column int, yield func(int64, string, error) error) error {
	rows := csv.NewReader(in)
	rows.FieldsPerRecord, rows.ReuseRecord = -1, true
	for first := true; ; first = false {
		row, err := rows.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		var syntax *csv.ParseError
		if err != nil && !errors.As(err, &syntax) {
			return err
		}
		if first && err == nil {
			continue // the header
		}
		var id string
		var line int
		if err != nil {
			line = syntax.StartLine
		} else if line, _ = rows.FieldPos(0); column < len(row) {
			id = strings.Clone(row[column])
		}
		if err := yield(int64(line), id, err); err != nil {
			return err
		}
	}
}

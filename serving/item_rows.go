package serving

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/httpserver"
)

// decodeRow reads one catalogue row as a merge patch and its item_id.
func decodeRow(raw json.RawMessage) (id string, patch map[string]json.RawMessage, p *event.Problem) {
	if len(raw) > MaxItemBytes {
		return "", nil, tooLarge("the row has %d bytes, the limit is %d", len(raw), MaxItemBytes)
	}
	if !json.Valid(raw) {
		return "", nil, &event.Problem{Code: event.CodeInvalidJSON, Detail: "the row is not JSON"}
	}
	if json.Unmarshal(raw, &patch) != nil || patch == nil {
		return "", nil, &event.Problem{Code: event.CodeNotAnObject, Detail: "a catalogue row is a JSON object"}
	}
	given, ok := patch["item_id"]
	if !ok || isNull(given) {
		return "", nil, &event.Problem{Code: CodeMissingItemID, Detail: "the row has no item_id, so it names no item; add one", Pointer: "/item_id"}
	}
	if json.Unmarshal(given, &id) != nil {
		return "", nil, &event.Problem{Code: event.CodeWrongType, Detail: "must be a string", Pointer: "/item_id"}
	}
	if err := event.CheckID(id); err != nil {
		return "", nil, &event.Problem{Code: event.CodeInvalidID, Detail: err.Error(), Pointer: "/item_id"}
	}
	return id, patch, nil
}

// splitRows takes a body apart: a JSON array of rows, one JSON object, or one JSON object a line. A bad line is left in,
// to be refused by itself; a broken array has no safe end and is refused as a whole.
func splitRows(body []byte) ([]json.RawMessage, *httpserver.Problem) {
	body = bytes.TrimSpace(bytes.TrimPrefix(body, []byte("\xef\xbb\xbf")))
	var rows []json.RawMessage
	switch {
	case len(body) == 0:
		return nil, &httpserver.Problem{
			Type: httpserver.ProblemInvalidJSON, Title: "Empty body", Status: http.StatusBadRequest,
			Detail: "the body is empty", Hint: "send a JSON array of rows, or one row a line",
		}
	case body[0] == '[':
		if p := httpserver.DecodeJSON(body, &rows); p != nil {
			return nil, p
		}
	case json.Valid(body):
		rows = append(rows, body)
	default:
		for line := range bytes.Lines(body) {
			if line = bytes.TrimSpace(line); len(line) > 0 {
				rows = append(rows, line)
			}
		}
	}
	if len(rows) > MaxBulkRows {
		return nil, &httpserver.Problem{
			Type: "too-many-rows", Title: "Too many rows", Status: http.StatusRequestEntityTooLarge,
			Detail: fmt.Sprintf("the body has %d rows, the limit is %d", len(rows), MaxBulkRows),
			Hint:   "send the rows in several requests",
		}
	}
	return rows, nil
}

// listSeparator splits a text cell that holds several categories or labels.
const listSeparator = "|"

// RowFromText makes a catalogue row of the named text cells of one line of a CSV file: numbers, true and false are read
// where the item has them, several categories or labels stand between "|", and a column that is not a field of an item
// becomes one of its own fields. Empty cells say nothing and are left out. A cell that does not fit its field stays a
// text, so that the catalogue refuses the row and says why.
func RowFromText(cells map[string]string) (json.RawMessage, error) {
	row := make(map[string]any, len(cells))
	own := map[string]any{}
	for name, text := range cells {
		if text == "" {
			continue
		}
		switch name {
		case "price":
			row[name] = numberOrText(text)
		case "available":
			row[name] = boolOrText(text)
		case "categories", "labels":
			row[name] = splitList(text)
		case "published_at", "expires_at":
			row[name] = numberOrText(text)
		case "item_id", "item_group_id", "title", "brand", "currency", "url", "image_url":
			row[name] = text
		default:
			own[name] = text
		}
	}
	if len(own) > 0 {
		row["fields"] = own
	}
	raw, err := json.Marshal(row)
	if err != nil {
		return nil, fmt.Errorf("encode catalogue row: %w", err)
	}
	return raw, nil
}

func splitList(text string) []string {
	list := strings.Split(text, listSeparator)
	for i := range list {
		list[i] = strings.TrimSpace(list[i])
	}
	return list
}

func numberOrText(text string) any {
	if number := json.Number(strings.TrimSpace(text)); json.Valid([]byte(number)) {
		if _, err := number.Float64(); err == nil {
			return number
		}
	}
	return text
}

func boolOrText(text string) any {
	switch strings.ToLower(strings.TrimSpace(text)) {
	case "yes", "y":
		return true
	case "no", "n":
		return false
	}
	if b, err := strconv.ParseBool(strings.TrimSpace(text)); err == nil {
		return b
	}
	return text
}

// readRows reads the body of a bulk write.
func readRows(w http.ResponseWriter, r *http.Request) ([]json.RawMessage, *httpserver.Problem) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBulkBytes))
	if err != nil {
		return nil, httpserver.BodyProblem(err)
	}
	return splitRows(body)
}

// errNoRow means that the catalogue has no row of an item, or that it was deleted.
var errNoRow = errors.New("the catalogue has no such item")

func escapePointer(token string) string { return httpserver.EscapePointer(token) }

package serving

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/klauspost/compress/gzip"

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
			Type: ProblemTooManyRows, Title: "Too many rows", Status: http.StatusRequestEntityTooLarge,
			Detail: fmt.Sprintf("the body has %d rows, the limit is %d", len(rows), MaxBulkRows),
			Hint:   "send the rows in several requests",
		}
	}
	return rows, nil
}

// readRows reads the body of a bulk write, plain or as gzip. Both its forms have at most MaxBulkBytes: a small body that unpacks to
// more is given up there.
func readRows(w http.ResponseWriter, r *http.Request) ([]json.RawMessage, *httpserver.Problem) {
	var plain io.Reader = http.MaxBytesReader(w, r.Body, MaxBulkBytes)
	switch encoding := strings.ToLower(r.Header.Get("Content-Encoding")); encoding {
	case "", "identity":
	case "gzip", "x-gzip":
		unpacked, err := gzip.NewReader(plain)
		if err != nil {
			return nil, httpserver.BodyProblem(err)
		}
		plain = http.MaxBytesReader(w, unpacked, MaxBulkBytes)
	default:
		p := invalid("", "the body is encoded as %.40q", encoding)
		p.Hint = "send it plain or as gzip"
		return nil, p
	}
	body, err := io.ReadAll(plain)
	if err != nil {
		return nil, httpserver.BodyProblem(err)
	}
	return splitRows(body)
}

// errNoRow means that the catalogue has no row of an item, or that it was deleted.
var errNoRow = errors.New("the catalogue has no such item")

func escapePointer(token string) string { return httpserver.EscapePointer(token) }

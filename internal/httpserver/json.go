package httpserver

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// maxPooledBytes keeps one huge answer from pinning its buffer in the pool.
const maxPooledBytes = 1 << 20

// buffers recycles the memory of bodies read and written. It is the package's only shared state and holds no data.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

func releaseBuffer(b *bytes.Buffer) {
	if b.Cap() <= maxPooledBytes {
		b.Reset()
		buffers.Put(b)
	}
}

// ReadJSON decodes the one JSON value of a body of at most maxBytes into dst, strictly: an unknown field, a wrong type
// or anything after the value is a problem with a pointer. The content type is not looked at, because browsers send
// text/plain to save themselves the preflight.
func ReadJSON(w http.ResponseWriter, r *http.Request, maxBytes int64, dst any) *Problem {
	return ReadBody(w, r, maxBytes, func(body []byte) *Problem { return DecodeJSON(body, dst) })
}

// ReadBody reads a body of at most maxBytes and gives it to use, which must not keep it.
func ReadBody(w http.ResponseWriter, r *http.Request, maxBytes int64, use func(body []byte) *Problem) *Problem {
	body, _ := buffers.Get().(*bytes.Buffer)
	defer releaseBuffer(body)
	if _, err := body.ReadFrom(http.MaxBytesReader(w, r.Body, maxBytes)); err != nil {
		return BodyProblem(err)
	}
	return use(body.Bytes())
}

// BodyProblem explains an error met while a body was read: too large, or broken on the way.
func BodyProblem(err error) *Problem {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return &Problem{
			Type: ProblemBodyTooLarge, Title: "Body too large", Status: http.StatusRequestEntityTooLarge,
			Detail: fmt.Sprintf("the body has more than the %d bytes that this path reads", tooLarge.Limit),
			Hint:   "send fewer entries in one request",
		}
	}
	return &Problem{
		Type: ProblemUnreadable, Title: "Body not readable", Status: http.StatusBadRequest,
		Detail: "the body ended or broke off before it was complete: " + err.Error(),
		Hint:   "send the request again",
	}
}

// DecodeJSON decodes exactly one JSON value into dst, as strictly as ReadJSON.
func DecodeJSON(body []byte, dst any) *Problem {
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(dst); err != nil {
		return explainDecode(body, dst, err)
	}
	if rest := bytes.TrimLeft(body[decoder.InputOffset():], " \t\r\n"); len(rest) > 0 {
		return &Problem{
			Type: ProblemTrailingData, Title: "Data after the JSON value", Status: http.StatusBadRequest,
			Detail: "the body goes on after its JSON value, at " + position(body, int64(len(body)-len(rest))),
			Hint:   "send one JSON value",
		}
	}
	return nil
}

func explainDecode(body []byte, dst any, err error) *Problem {
	if len(bytes.TrimSpace(body)) == 0 {
		return &Problem{
			Type: ProblemInvalidJSON, Title: "Empty body", Status: http.StatusBadRequest,
			Detail: "the body is empty", Hint: "send a JSON value",
		}
	}
	var syntax *json.SyntaxError
	var mismatch *json.UnmarshalTypeError
	switch {
	case errors.As(err, &mismatch):
		pointer := pointerOf(body, mismatch)
		return &Problem{
			Type: ProblemInvalidField, Title: "Wrong type", Status: http.StatusBadRequest, Pointer: pointer,
			Detail: fmt.Sprintf("%s is a JSON %s, not %s", place(pointer), mismatch.Value, kindName(mismatch.Type)),
		}
	case errors.As(err, &syntax):
		return invalidJSON(fmt.Sprintf("%s at %s", syntax.Error(), position(body, syntax.Offset)))
	case errors.Is(err, io.ErrUnexpectedEOF):
		return invalidJSON("the JSON value ends too early, at " + position(body, int64(len(body))))
	}
	if quoted, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		if name, unquoteErr := strconv.Unquote(quoted); unquoteErr == nil {
			return unknownField(body, dst, name)
		}
	}
	return invalidJSON(err.Error())
}

func invalidJSON(detail string) *Problem {
	return &Problem{
		Type: ProblemInvalidJSON, Title: "Invalid JSON", Status: http.StatusBadRequest, Detail: detail,
		Hint: "check the body with a JSON parser",
	}
}

func unknownField(body []byte, dst any, name string) *Problem {
	p := &Problem{
		Type: ProblemUnknownField, Title: "Unknown field", Status: http.StatusBadRequest,
		Pointer: shallowest(body, name), Detail: fmt.Sprintf("%q is not a field of this request", name),
	}
	if known := fieldNames(reflect.TypeOf(dst)); strings.Count(p.Pointer, "/") == 1 && len(known) > 0 {
		p.Hint = "known fields: " + strings.Join(known, ", ")
	}
	return p
}

// shallowest is the pointer of the key nearest to the root that has this name: encoding/json names an unknown field
// but does not say where it stands.
func shallowest(body []byte, name string) string {
	var document any
	if err := json.Unmarshal(body, &document); err != nil {
		return ""
	}
	type node struct {
		value any
		path  string
	}
	for level := []node{{value: document}}; len(level) > 0; {
		var below []node
		for _, n := range level {
			switch v := n.value.(type) {
			case map[string]any:
				if _, ok := v[name]; ok {
					return n.path + "/" + EscapePointer(name)
				}
				for _, key := range slices.Sorted(maps.Keys(v)) {
					below = append(below, node{v[key], n.path + "/" + EscapePointer(key)})
				}
			case []any:
				for i, child := range v {
					below = append(below, node{child, n.path + "/" + strconv.Itoa(i)})
				}
			}
		}
		level = below
	}
	return ""
}

// EscapePointer escapes one reference token of a JSON pointer (RFC 6901).
func EscapePointer(token string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(token)
}

// fieldNames lists the JSON names of a struct in their order of declaration, or nothing for other types.
func fieldNames(t reflect.Type) []string {
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == nil || t.Kind() != reflect.Struct {
		return nil
	}
	var names []string
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		if name != "" && name != "-" {
			names = append(names, name)
		}
	}
	return names
}

func place(pointer string) string {
	if pointer == "" {
		return "the body"
	}
	return pointer
}

// kindName says in JSON's words what a Go type reads.
func kindName(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Bool:
		return "a boolean"
	case reflect.String:
		return "a string"
	case reflect.Slice, reflect.Array:
		return "an array"
	case reflect.Map, reflect.Struct:
		return "an object"
	case reflect.Float32, reflect.Float64:
		return "a number in range"
	default:
		return "an integer in range"
	}
}

// position says where a byte offset is, as an editor shows it.
func position(body []byte, offset int64) string {
	before := body[:min(max(offset, 0), int64(len(body)))]
	line := bytes.Count(before, []byte("\n")) + 1
	column := len(before) - bytes.LastIndexByte(before, '\n') - 1
	return fmt.Sprintf("line %d, column %d", line, max(column, 1))
}

// JSONAppender is an answer that writes itself: one that is sent thousands of times a second.
type JSONAppender interface {
	AppendJSON(b []byte) ([]byte, error)
}

// encode writes a value as JSON with a line end.
func encode(body *bytes.Buffer, v any) error {
	if own, ok := v.(JSONAppender); ok {
		b, err := own.AppendJSON(body.AvailableBuffer())
		if err != nil {
			return err
		}
		body.Write(append(b, '\n'))
		return nil
	}
	encoder := json.NewEncoder(body)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(v)
}

// WriteJSON answers with v as JSON. The value is encoded before the status is sent, so that one that does not encode
// becomes a 500 problem and never half a body; that error is returned for the caller to log.
func WriteJSON(w http.ResponseWriter, r *http.Request, status int, v any) error {
	body, _ := buffers.Get().(*bytes.Buffer)
	defer releaseBuffer(body)
	if err := encode(body, v); err != nil {
		WriteProblem(w, r, Internal())
		return fmt.Errorf("encode answer of %s: %w", r.URL.Path, err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(body.Len()))
	w.WriteHeader(status)
	_, _ = w.Write(body.Bytes()) // the client may be gone; there is nobody left to tell
	return nil
}

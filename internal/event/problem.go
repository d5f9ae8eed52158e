package event

import "strings"

// Codes of a Problem. They are part of the public API: a client may branch on them, so they never change.
const (
	CodeEmptyBody      = "empty_body"      // the request holds no event
	CodeInvalidJSON    = "invalid_json"    // not JSON, or JSON nested too deeply
	CodeInvalidUTF8    = "invalid_utf8"    // JSON must be UTF-8
	CodeNotAnObject    = "not_an_object"   // an event is a JSON object
	CodeBodyTooLarge   = "body_too_large"  // more than MaxBodyBytes
	CodeBatchTooLarge  = "batch_too_large" // more than MaxBatchEvents
	CodeEventTooLarge  = "event_too_large" // more than MaxEventBytes
	CodeWrongType      = "wrong_type"      // a field has another JSON type than the schema's
	CodeInvalidNumber  = "invalid_number"  // a number out of the field's range
	CodeInvalidTime    = "invalid_time"    // neither RFC 3339 nor Unix milliseconds
	CodeInvalidID      = "invalid_id"      // an id that is empty, too long or not printable
	CodeInvalidSite    = "invalid_site"    // a site name that breaks its pattern
	CodeMissingType    = "missing_type"    // no event type
	CodeInvalidType    = "invalid_type"    // an event type that breaks the pattern
	CodeMissingVisitor = "missing_visitor" // neither anonymous_id nor user_id
	CodeMissingUser    = "missing_user_id" // identify without a user_id
	CodeMissingItems   = "missing_items"   // an event about items that names none
	CodeMissingRating  = "missing_rating"  // rate_item without a rating
	CodeTooManyItems   = "too_many_items"  // more than MaxItems
)

// Problem says why a request or an event was refused. Code is stable, Detail is for people, Pointer is the JSON pointer
// (RFC 6901) of the offending value inside the event, empty where the whole is meant.
type Problem struct {
	Code    string `json:"code" doc:"What is wrong: stable." example:"missing_type"`
	Detail  string `json:"detail" doc:"The same in words." example:"an event needs a type, such as view_item"`
	Pointer string `json:"pointer" doc:"Where (RFC 6901); empty is the whole." example:"/type"`
}

// Error makes a Problem an error, for callers that pass it on.
func (p *Problem) Error() string {
	if p.Pointer == "" {
		return p.Code + ": " + p.Detail
	}
	return p.Code + " at " + p.Pointer + ": " + p.Detail
}

// pointerEscaper writes a field name as one reference token of a JSON pointer.
var pointerEscaper = strings.NewReplacer("~", "~0", "/", "~1")

// under puts the problem below one more field name: each level of the decoder adds its own on the way out, so that the
// good path builds no pointers.
func (p *Problem) under(token string) *Problem {
	if p != nil {
		p.Pointer = "/" + pointerEscaper.Replace(token) + p.Pointer
	}
	return p
}

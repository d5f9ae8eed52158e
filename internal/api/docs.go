package api

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

//go:embed docs.html
var docsHTML string

//go:embed docs.css
var docsStyle []byte

var docsTemplate = template.Must(template.New("docs").Funcs(template.FuncMap{"text": inlineCode}).Parse(docsHTML))

// docsPage is what docs.html shows.
type docsPage struct {
	Title, Version string
	About          []string // paragraphs
	Groups         []docsGroup
	Types          []docsType
	Problems       []Kind
}

type docsGroup struct {
	Name, Anchor, Text string
	Operations         []docsOperation
}

type docsOperation struct {
	ID, Method, Path, Summary string
	Text                      []string
	Keys, Scope               string
	Parameters                []docsField
	Body                      *docsContent
	Answers                   []docsContent
	Problems                  []string
	Curl                      string
}

// docsContent is a body that is sent or answered.
type docsContent struct {
	Status, Text string
	Type, Link   string
	Example      string
}

type docsType struct {
	Name   string
	Fields []docsField
}

type docsField struct {
	Name, Place string
	Type, Link  string
	Needed      bool
	Text        string
	Limits      string
}

// docs is the page: HTML alone, so that it needs no network, no script and no permission.
func (a *API) docs() ([]byte, error) {
	doc := a.huma.OpenAPI()
	page := docsPage{Title: doc.Info.Title, Version: doc.Info.Version, About: paragraphs(doc.Info.Description), Problems: Kinds}
	for _, tag := range doc.Tags {
		group := docsGroup{Name: tag.Name, Anchor: "tag-" + strings.ReplaceAll(strings.ToLower(tag.Name), " ", "-"), Text: tag.Description}
		for _, path := range slices.Sorted(maps.Keys(doc.Paths)) {
			for _, op := range operationsOf(doc.Paths[path]) {
				if slices.Contains(op.Tags, tag.Name) {
					group.Operations = append(group.Operations, a.docsOperation(op))
				}
			}
		}
		if len(group.Operations) > 0 {
			page.Groups = append(page.Groups, group)
		}
	}
	schemas := doc.Components.Schemas.Map()
	for _, name := range slices.Sorted(maps.Keys(schemas)) {
		page.Types = append(page.Types, docsType{Name: name, Fields: a.docsFields(schemas[name])})
	}
	var out bytes.Buffer
	if err := docsTemplate.Execute(&out, page); err != nil {
		return nil, fmt.Errorf("write the documentation: %w", err)
	}
	return out.Bytes(), nil
}

func operationsOf(item *huma.PathItem) (found []*huma.Operation) {
	for _, op := range []*huma.Operation{item.Get, item.Post, item.Put, item.Patch, item.Delete} {
		if op != nil {
			found = append(found, op)
		}
	}
	return found
}

func (a *API) docsOperation(op *huma.Operation) docsOperation {
	shown := docsOperation{
		ID: op.OperationID, Method: op.Method, Path: op.Path, Summary: op.Summary, Text: paragraphs(op.Description), Keys: "secret key",
	}
	switch {
	case len(op.Security) == 0:
		shown.Keys = "no key"
	case len(op.Security) > 2:
		shown.Keys = "secret or public key"
	}
	if len(op.Security) > 0 {
		shown.Scope = strings.Join(op.Security[0][schemeSecret], ", ")
	}
	for _, p := range op.Parameters {
		field := a.docsField(p.Name, p.Schema, p.Required)
		field.Place, field.Text = p.In, p.Description
		shown.Parameters = append(shown.Parameters, field)
	}
	if op.RequestBody != nil {
		body := a.docsContent(op.RequestBody.Content)
		body.Text = op.RequestBody.Description
		shown.Body = &body
	}
	for _, status := range slices.Sorted(maps.Keys(op.Responses)) {
		response := op.Responses[status]
		if _, names, ok := strings.Cut(response.Description, ": "); ok && status >= "4" {
			shown.Problems = append(shown.Problems, status+" "+names)
			continue
		}
		answer := a.docsContent(response.Content)
		answer.Status, answer.Text = status, response.Description
		shown.Answers = append(shown.Answers, answer)
	}
	shown.Curl = curl(op, shown.Body)
	return shown
}

func (a *API) docsContent(content map[string]*huma.MediaType) (shown docsContent) {
	for _, media := range content {
		if media.Schema != nil {
			shown.Type, shown.Link = a.docsTypeOf(media.Schema)
		}
		if example, err := json.MarshalIndent(media.Example, "", "  "); err == nil && media.Example != nil {
			shown.Example = string(example)
		}
	}
	return shown
}

func (a *API) docsFields(s *huma.Schema) (fields []docsField) {
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		field := a.docsField(name, s.Properties[name], slices.Contains(s.Required, name))
		field.Text = s.Properties[name].Description
		fields = append(fields, field)
	}
	return fields
}

func (a *API) docsField(name string, s *huma.Schema, needed bool) docsField {
	field := docsField{Name: name, Needed: needed, Limits: limits(s)}
	field.Type, field.Link = a.docsTypeOf(s)
	return field
}

// docsTypeOf names a type, and the component that it links to.
func (a *API) docsTypeOf(s *huma.Schema) (name, link string) {
	switch {
	case s == nil:
		return "anything", ""
	case s.Ref != "":
		name = s.Ref[strings.LastIndex(s.Ref, "/")+1:]
		return name, name
	case s.Type == huma.TypeArray:
		name, link = a.docsTypeOf(s.Items)
		return "list of " + name, link
	case s.Type == huma.TypeObject:
		if values, ok := s.AdditionalProperties.(*huma.Schema); ok {
			name, link = a.docsTypeOf(values)
			return "map of " + name, link
		}
		return "object", ""
	case s.Format == "date-time":
		return "time", ""
	case s.Type == "":
		return "anything", ""
	}
	return s.Type, ""
}

// limits are what a value must keep to, in words.
func limits(s *huma.Schema) string {
	var found []string
	number := func(v *float64) string { return strconv.FormatFloat(*v, 'f', -1, 64) }
	if len(s.Enum) > 0 {
		var values []string
		for _, v := range s.Enum {
			values = append(values, fmt.Sprint(v))
		}
		found = append(found, "one of "+strings.Join(values, ", "))
	}
	if s.Minimum != nil {
		found = append(found, "at least "+number(s.Minimum))
	}
	if s.Maximum != nil {
		found = append(found, "at most "+number(s.Maximum))
	}
	if s.MaxLength != nil {
		found = append(found, "at most "+strconv.Itoa(*s.MaxLength)+" characters")
	}
	if s.MaxItems != nil {
		found = append(found, "at most "+strconv.Itoa(*s.MaxItems)+" entries")
	}
	if s.Pattern != "" {
		found = append(found, "matches "+s.Pattern)
	}
	if s.Default != nil {
		found = append(found, fmt.Sprint("otherwise ", s.Default))
	}
	return strings.Join(found, "; ")
}

// curl is the operation as a command, with the examples of its parameters in the path.
func curl(op *huma.Operation, body *docsContent) string {
	path := op.Path
	var query []string
	for _, p := range op.Parameters {
		value := "..."
		if p.Schema != nil && len(p.Schema.Examples) > 0 {
			value = fmt.Sprint(p.Schema.Examples[0])
		}
		switch {
		case p.In == "path":
			path = strings.ReplaceAll(path, "{"+p.Name+"}", value)
		case p.In == "query" && p.Required:
			query = append(query, p.Name+"="+value)
		}
	}
	if len(query) > 0 {
		path += "?" + strings.Join(query, "&")
	}
	command := "curl"
	if op.Method != http.MethodGet && (op.Method != http.MethodPost || body == nil) {
		command += " -X " + op.Method
	}
	command += " 'http://127.0.0.1:8080" + path + "'"
	if len(op.Security) > 0 {
		command += " \\\n  -H 'Authorization: Bearer sk_...'"
	}
	if body != nil && body.Example != "" {
		compact := &bytes.Buffer{}
		if json.Compact(compact, []byte(body.Example)) == nil {
			command += " \\\n  -d '" + strings.ReplaceAll(compact.String(), "'", `'\''`) + "'"
		}
	}
	return command
}

func paragraphs(text string) []string { return strings.Split(text, "\n\n") }

// inlineCode is a text with what stands between backticks as code.
func inlineCode(text string) template.HTML {
	var out strings.Builder
	for i, part := range strings.Split(text, "`") {
		if part = template.HTMLEscapeString(part); i%2 == 1 {
			part = "<code>" + part + "</code>"
		}
		out.WriteString(part)
	}
	return template.HTML(out.String()) //nolint:gosec // every part is escaped
}

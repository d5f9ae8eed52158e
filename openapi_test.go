package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/millrace/millrace/internal/api"
	"github.com/millrace/millrace/internal/httpserver"
	"github.com/millrace/millrace/serving"
	"github.com/millrace/millrace/tracker"
)

var update = flag.Bool("update", false, "write the OpenAPI document and the catalogue of problems")

const (
	openAPIFile = "serving/openapi.json"
	// releasedFile is the document of the last release; a release replaces it.
	releasedFile = "serving/openapi.released.json"
)

// endpoints are those of every role, on roles that have nothing to answer with.
func endpoints() (*api.API, chi.Router) {
	router := chi.NewRouter()
	a := api.New(router, slog.New(slog.DiscardHandler))
	new(tracker.Tracker).Routes(a)
	new(serving.Serving).Routes(a)
	a.Mount()
	return a, router
}

// current is the document as the code makes it, and decoded.
func current(t *testing.T) ([]byte, map[string]any) {
	t.Helper()
	a, _ := endpoints()
	text, err := a.JSON()
	if err != nil {
		t.Fatal(err)
	}
	return text, decodeObject(t, text)
}

func decodeObject(t *testing.T, text []byte) map[string]any {
	t.Helper()
	var document map[string]any
	if err := json.Unmarshal(text, &document); err != nil {
		t.Fatal(err)
	}
	return document
}

// checkFile compares a file with what the code makes, or writes it.
func checkFile(t *testing.T, path string, want []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, want, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s is not what the code makes (%v): `make generate` writes it", path, err)
	}
}

func TestOpenAPIFiles(t *testing.T) {
	text, _ := current(t)
	checkFile(t, openAPIFile, text)
	checkFile(t, "docs/problems.md", []byte(api.ProblemsPage()))
}

// TestOpenAPIBreaksNothing: whoever programmed against the last release goes on.
func TestOpenAPIBreaksNothing(t *testing.T) {
	released, err := os.ReadFile(releasedFile)
	if err != nil {
		t.Fatal(err)
	}
	_, document := current(t)
	for _, breakage := range breaks(decodeObject(t, released), document) {
		t.Error(breakage)
	}
}

// TestEveryRouteIsDocumented: a shop may ask for nothing that the document does not have.
func TestEveryRouteIsDocumented(t *testing.T) {
	_, document := current(t)
	_, router := endpoints()
	paths, _ := document["paths"].(map[string]any)
	own := map[string]bool{api.PathJSON: true, api.PathYAML: true, api.PathJSON30: true, api.PathDocs: true, api.PathDocsStyle: true}
	err := chi.Walk(router, func(method, route string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		item, _ := paths[route].(map[string]any)
		if item[strings.ToLower(method)] == nil && method != http.MethodOptions && !own[route] && !strings.Contains(route, "millrace") {
			t.Errorf("%s %s is not in the document: register it by package api", method, route)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestDocumentIsComplete: everything in it says what it is, and its examples are what it says.
func TestDocumentIsComplete(t *testing.T) {
	_, document := current(t)
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("openapi.json", document); err != nil {
		t.Fatal(err)
	}
	each(document, "", func(pointer string, node map[string]any) {
		switch {
		case node["operationId"] != nil:
			for _, name := range []string{"summary", "description", "tags"} {
				if node[name] == nil || node[name] == "" {
					t.Errorf("%s has no %s", pointer, name)
				}
			}
		case node["in"] != nil && node["name"] != nil && node["description"] == nil:
			t.Errorf("%s has no description: give the field a tag doc", pointer)
		case node["example"] != nil && node["schema"] != nil:
			schema, err := compiler.Compile("openapi.json#" + pointer + "/schema")
			if err != nil {
				t.Errorf("%s: %v", pointer, err)
			} else if err := schema.Validate(node["example"]); err != nil {
				t.Errorf("the example of %s is not what its schema says: %v", pointer, err)
			}
		case strings.HasSuffix(pointer, "/content/application~1json"):
			t.Errorf("%s has no example", pointer)
		}
		properties, _ := node["properties"].(map[string]any)
		for name, property := range properties {
			if p, _ := property.(map[string]any); p["description"] == nil && p["$ref"] == nil && strings.HasPrefix(pointer, "/components/") {
				t.Errorf("%s/properties/%s has no description: give the field a tag doc", pointer, name)
			}
		}
	})
}

// each visits every object of a document with its pointer.
func each(value any, pointer string, visit func(pointer string, node map[string]any)) {
	switch v := value.(type) {
	case map[string]any:
		visit(pointer, v)
		for name, child := range v {
			if name != "example" && name != "examples" {
				each(child, pointer+"/"+httpserver.EscapePointer(name), visit)
			}
		}
	case []any:
		for i, child := range v {
			each(child, pointer+"/"+strconv.Itoa(i), visit)
		}
	}
}

// TestProblemsAreInTheCatalogue reads the code: the type of every problem that it makes is a kind, with its status.
func TestProblemsAreInTheCatalogue(t *testing.T) {
	kinds := map[string]int{}
	for _, kind := range api.Kinds {
		kinds[kind.Slug] = kind.Status
	}
	constants, used := map[string]string{}, map[string]string{}
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && strings.HasPrefix(entry.Name(), ".") && path != ".":
			return fs.SkipDir
		case strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go"):
			return readProblems(path, constants, used)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(used) < 20 {
		t.Fatalf("only %d problems were found in the code", len(used))
	}
	for slug, where := range used {
		if name, ok := constants[slug]; ok {
			slug = name
		}
		if _, ok := kinds[slug]; !ok {
			t.Errorf("%s answers the problem %q, which is not in internal/api/kinds.go", where, slug)
		}
	}
}

// readProblems collects the string constants of a file whose name begins with Problem, and what stands as Type in literals of Problem.
func readProblems(path string, constants, used map[string]string) error {
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ValueSpec:
			for i, name := range n.Names {
				if value, ok := text(n.Values, i); ok && strings.HasPrefix(strings.ToLower(name.Name), "problem") {
					constants[name.Name] = value
				}
			}
		case *ast.CompositeLit:
			if !strings.HasSuffix(typeName(n.Type), "Problem") {
				return true
			}
			for _, element := range n.Elts {
				if pair, ok := element.(*ast.KeyValueExpr); ok && typeName(pair.Key) == "Type" {
					if slug, ok := text([]ast.Expr{pair.Value}, 0); ok {
						used[slug] = path
					} else if name := typeName(pair.Value); name != "" {
						used[name] = path
					}
				}
			}
		}
		return true
	})
	return nil
}

// text is a string literal, or not.
func text(values []ast.Expr, i int) (string, bool) {
	if i >= len(values) {
		return "", false
	}
	literal, ok := values[i].(*ast.BasicLit)
	if !ok || literal.Kind != token.STRING {
		return "", false
	}
	value, err := strconv.Unquote(literal.Value)
	return value, err == nil
}

// typeName is a name without its package.
func typeName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	}
	return ""
}

package serving

import (
	"log/slog"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"

	"github.com/millrace/millrace/internal/api"
)

// apiSuite is where the programs over generated clients are, beside the linter.
const apiSuite = "../scripts/api-suite"

// runNode runs a program of the suite's packages in a directory that has them.
func runNode(t *testing.T, dir string, args ...string) string {
	t.Helper()
	return command(t, dir, "node", args...)
}

func command(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// nodeSuite is a directory with the suite's files and packages; without the packages the test is skipped, in CI it fails.
func nodeSuite(t *testing.T) string {
	t.Helper()
	packages := os.Getenv("MILLRACE_API_NODE_MODULES")
	if _, err := os.Stat(filepath.Join(packages, "@redocly")); packages == "" || err != nil {
		missing(t, "MILLRACE_API_NODE_MODULES names no packages (`make test-setup` fetches them)")
	}
	dir := t.TempDir()
	for _, name := range []string{"lint.mjs", "client.ts", "tsconfig.json", "package.json"} {
		copyFile(t, filepath.Join(apiSuite, name), filepath.Join(dir, name))
	}
	if err := os.WriteFile(filepath.Join(dir, "package.json"), []byte(`{"type":"module"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(packages, filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	return dir
}

func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(what)
	}
	t.Skip(what)
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	content, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// download keeps a page of a server in a file.
func download(t *testing.T, target string, h *httptest.Server, path string) {
	t.Helper()
	resp, err := h.Client().Get(h.URL + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	file, err := os.Create(target)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.ReadFrom(resp.Body); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestOpenAPILint: a public linter finds nothing in the document.
func TestOpenAPILint(t *testing.T) {
	dir := nodeSuite(t)
	a := api.New(chi.NewRouter(), slog.New(slog.DiscardHandler))
	new(Serving).Routes(a)
	document, err := a.JSON()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "openapi.json"), document, 0o600); err != nil {
		t.Fatal(err)
	}
	runNode(t, dir, "lint.mjs", "openapi.json")
}

// TestTypeScriptClient: a client that is made of the document compiles under strict rules, and works.
func TestTypeScriptClient(t *testing.T) {
	dir := nodeSuite(t)
	_, target := fuzzed(t)
	server := httptest.NewServer(target.Handler)
	defer server.Close()
	download(t, filepath.Join(dir, "openapi.json"), server, api.PathJSON)
	runNode(t, dir, "node_modules/openapi-typescript/bin/cli.js", "openapi.json", "-o", "schema.d.ts")
	runNode(t, dir, "node_modules/typescript/bin/tsc", "-p", ".")
	if out := runNode(t, dir, "client.js", server.URL, target.Secret()); !strings.Contains(out, "mat") {
		t.Errorf("the client printed %q", out)
	}
}

// TestGoClient: the same for Go, whose generator takes the rendition for version 3.0 only.
func TestGoClient(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"go.mod", "go.sum", "main.go"} {
		copyFile(t, filepath.Join(apiSuite, "go", name), filepath.Join(dir, name))
	}
	if err := exec.CommandContext(t.Context(), "go", "-C", dir, "mod", "download", "github.com/oapi-codegen/oapi-codegen/v2").Run(); err != nil {
		missing(t, "the generator of Go clients cannot be had; that suite needs the module proxy once")
	}
	_, target := fuzzed(t)
	server := httptest.NewServer(target.Handler)
	defer server.Close()
	download(t, filepath.Join(dir, "openapi.json"), server, api.PathJSON30)
	if err := os.Mkdir(filepath.Join(dir, "shop"), 0o700); err != nil {
		t.Fatal(err)
	}
	if out := command(t, dir, "go", "tool", "oapi-codegen", "-generate", "types,client", "-package", "shop", "-o", "shop/shop.go", "openapi.json"); strings.Contains(out, "WARNING") {
		t.Error(out)
	}
	if out := command(t, dir, "go", "run", ".", server.URL, target.Secret()); !strings.Contains(out, "mat") {
		t.Errorf("the client printed %q", out)
	}
}

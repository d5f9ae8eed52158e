// Command build bundles the beacon's TypeScript into the files of dist with esbuild's Go package, so that building Millrace
// needs no Node. Run it by `go generate ./tracker/beacon` after every change of src. It fails where a script is over its
// budget.
package main

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/evanw/esbuild/pkg/api"
)

// output is one built file.
type output struct {
	name   string // below dist
	entry  string // below src
	format api.Format
	core   bool // without what observes the page
	// Budgets of what a browser fetches, 0 for none: plain and gzipped.
	maxBytes, maxGzipBytes int
}

// What the scripts may cost a page: they are part of every first visit of a shop.
var outputs = []output{
	{name: "millrace.js", entry: "main.ts", format: api.FormatIIFE, maxGzipBytes: 4096},
	{name: "millrace.core.js", entry: "main.ts", format: api.FormatIIFE, core: true, maxGzipBytes: 3072},
	{name: "stub.js", entry: "stub.ts", format: api.FormatIIFE, maxBytes: 400},
	{name: "index.mjs", entry: "index.ts", format: api.FormatESModule},
}

// typesName is the declaration of the package: src/types.ts and the one function that it exports.
const (
	typesName    = "index.d.ts"
	declarations = "\n/** Starts the beacon on this page, or returns the one that runs. */\nexport declare function init(options: Options): Millrace;\n"
)

func main() {
	if err := run("."); err != nil {
		fmt.Fprintln(os.Stderr, "build beacon:", err)
		os.Exit(1) //nolint:forbidigo // this is a main of its own
	}
}

// run writes the files of dist in the beacon's folder.
func run(dir string) error {
	files, err := build(dir)
	if err != nil {
		return err
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, "dist", name), content, 0o644); err != nil {
			return fmt.Errorf("write bundle: %w", err)
		}
	}
	return nil
}

// build makes the files of dist by name, each within its budget.
func build(dir string) (map[string][]byte, error) {
	files := map[string][]byte{}
	for _, out := range outputs {
		code, err := out.bundle(dir)
		if err != nil {
			return nil, err
		}
		if err := out.check(code); err != nil {
			return nil, err
		}
		files[out.name] = code
	}
	types, err := os.ReadFile(filepath.Join(dir, "src", "types.ts"))
	if err != nil {
		return nil, fmt.Errorf("read the package's types: %w", err)
	}
	files[typesName] = append(types, declarations...)
	return files, nil
}

// bundle returns a minified script for browsers since 2022.
func (o output) bundle(dir string) ([]byte, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("find the beacon's folder: %w", err)
	}
	res := api.Build(api.BuildOptions{
		AbsWorkingDir:     abs,
		EntryPoints:       []string{"src/" + o.entry},
		Bundle:            true,
		Format:            o.format,
		Target:            api.ES2022,
		Charset:           api.CharsetUTF8,
		Define:            map[string]string{"OBSERVE": strconv.FormatBool(!o.core)},
		MinifyIdentifiers: true,
		MinifySyntax:      true,
		MinifyWhitespace:  true,
		LogLevel:          api.LogLevelSilent,
		TsconfigRaw:       "{}", // whatever tsconfig.json lies in a folder above
	})
	if len(res.Errors) > 0 {
		var all error
		for _, text := range api.FormatMessages(res.Errors, api.FormatMessagesOptions{}) {
			all = errors.Join(all, errors.New(text))
		}
		return nil, all
	}
	return res.OutputFiles[0].Contents, nil
}

// check fails over budget.
func (o output) check(code []byte) error {
	if o.maxBytes > 0 && len(code) > o.maxBytes {
		return fmt.Errorf("%s has %d bytes, its budget is %d", o.name, len(code), o.maxBytes)
	}
	packed, err := gzipped(code)
	if err != nil {
		return err
	}
	if o.maxGzipBytes > 0 && packed > o.maxGzipBytes {
		return fmt.Errorf("%s has %d bytes gzipped, its budget is %d", o.name, packed, o.maxGzipBytes)
	}
	return nil
}

// gzipped returns how many bytes the code has on the wire.
func gzipped(code []byte) (int, error) {
	var packed bytes.Buffer
	z, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return 0, fmt.Errorf("compress the script: %w", err)
	}
	if _, err := z.Write(code); err != nil {
		return 0, fmt.Errorf("compress the script: %w", err)
	}
	if err := z.Close(); err != nil {
		return 0, fmt.Errorf("compress the script: %w", err)
	}
	return packed.Len(), nil
}

// Command build bundles the beacon's TypeScript into dist/millrace.js with esbuild's Go package, so that building Millrace
// needs no Node. Run it by `go generate ./tracker/beacon` after every change of src.
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/evanw/esbuild/pkg/api"
)

// banner is the one comment that survives minification.
const banner = "/*! Millrace, Apache-2.0 */"

func main() {
	if err := run("."); err != nil {
		fmt.Fprintln(os.Stderr, "build beacon:", err)
		os.Exit(1) //nolint:forbidigo // this is a main of its own
	}
}

// run writes dist/millrace.js of the beacon's folder.
func run(dir string) error {
	code, err := bundle(dir)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "dist", "millrace.js"), code, 0o644); err != nil {
		return fmt.Errorf("write bundle: %w", err)
	}
	return nil
}

// bundle returns the minified script: one closure without a global of its own, for browsers since 2021.
func bundle(dir string) ([]byte, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("find the beacon's folder: %w", err)
	}
	res := api.Build(api.BuildOptions{
		AbsWorkingDir:     abs,
		EntryPoints:       []string{"src/main.ts"},
		Bundle:            true,
		Format:            api.FormatIIFE,
		Target:            api.ES2021,
		Charset:           api.CharsetUTF8,
		MinifyIdentifiers: true,
		MinifySyntax:      true,
		MinifyWhitespace:  true,
		Banner:            map[string]string{"js": banner},
		LogLevel:          api.LogLevelSilent,
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

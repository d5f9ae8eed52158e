// Command crawlers turns the list of the npm package crawler-user-agents (its JSON on standard input) into ../crawlers.txt (standard
// output): `make crawlers` does it for the newest version.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
)

func main() {
	if err := convert(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		panic(err)
	}
}

func convert() error {
	var list []struct {
		Pattern string `json:"pattern"`
	}
	if err := json.NewDecoder(os.Stdin).Decode(&list); err != nil {
		return fmt.Errorf("read the list: %w", err)
	}
	out := bufio.NewWriter(os.Stdout)
	for _, e := range list {
		if _, err := regexp.Compile(e.Pattern); err != nil {
			return fmt.Errorf("a pattern that Go does not read: %w", err)
		}
		fmt.Fprintln(out, e.Pattern)
	}
	return out.Flush()
}

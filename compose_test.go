package main

import (
	"io"
	"os"
	"strings"
	"testing"

	"github.com/knadh/koanf/parsers/yaml"
)

// TestComposeCommands parses docker-compose.yml and looks up every command and flag that its services are started with.
func TestComposeCommands(t *testing.T) {
	text, err := os.ReadFile("docker-compose.yml")
	if err != nil {
		t.Fatal(err)
	}
	compose, err := yaml.Parser().Unmarshal(text)
	if err != nil {
		t.Fatal(err)
	}
	services, _ := compose["services"].(map[string]any)
	if len(services) == 0 {
		t.Fatal("no services")
	}
	for name, service := range services {
		words, _ := service.(map[string]any)["command"].([]any)
		args := make([]string, len(words))
		for i, word := range words {
			args[i], _ = word.(string)
		}
		root := newRootCommand(&app{stdout: io.Discard, stderr: io.Discard})
		cmd, rest, err := root.Find(args)
		if err != nil || cmd == root {
			t.Errorf("service %s: no such command: %v (%v)", name, args, err)
			continue
		}
		if err := cmd.ParseFlags(rest); err != nil {
			t.Errorf("service %s: %s: %v", name, strings.Join(args, " "), err)
		}
	}
}

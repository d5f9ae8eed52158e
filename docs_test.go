package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/usertoken"
)

// codeOf are the pieces of code of a page, by language.
func codeOf(t *testing.T, page string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	pieces := map[string]string{}
	for _, found := range regexp.MustCompile("(?ms)^```([a-z]+)\\n(.*?)^```$").FindAllStringSubmatch(string(text), -1) {
		pieces[found[1]] += found[2]
	}
	return pieces
}

// TestTokensOfOtherLanguages runs the code of docs/access.md that makes user tokens: they are those that Millrace takes.
func TestTokensOfOtherLanguages(t *testing.T) {
	const secret, site, user, seconds = "ss_q5xw3m7k2ahd4e6fq5xw3m7k2ahd4e6fq5xw3m7k", "shop-2", "größe ~?/é 4711", 600
	code := codeOf(t, "docs/access.md")
	for _, c := range []struct {
		language, program string
		args              []string
		before, call      string
	}{
		{"js", "node", []string{"--input-type=module"}, "", "console.log(userToken(%q, %q, %q, %d))"},
		{"python", "python3", []string{"-"}, "", "print(user_token(%q, %q, %q, %d))"},
		{"php", "php", nil, "<?php\n", "echo user_token('%s', '%s', '%s', %d);"},
	} {
		t.Run(c.language, func(t *testing.T) {
			t.Parallel()
			program, err := exec.LookPath(c.program)
			if err != nil && os.Getenv("CI") == "true" {
				t.Fatalf("no %s", c.program)
			}
			if err != nil {
				t.Skipf("no %s", c.program)
			}
			if code[c.language] == "" {
				t.Fatalf("docs/access.md has no code in %s", c.language)
			}
			cmd := exec.CommandContext(t.Context(), program, c.args...)
			cmd.Stdin = strings.NewReader(c.before + code[c.language] + "\n" + fmt.Sprintf(c.call, secret, site, user, seconds) + "\n")
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			begun := time.Now().Truncate(time.Second)
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("%v: %s", err, stderr.String())
			}
			token := strings.TrimSpace(string(out))
			claims, err := usertoken.Verify([]string{secret}, site, token, time.Now())
			if err != nil || claims.User != user || claims.Expires.Before(begun.Add(seconds*time.Second)) || claims.Expires.After(time.Now().Add(seconds*time.Second)) {
				t.Fatalf("%s is a token for %+v, %v", token, claims, err)
			}
			if want := usertoken.Sign(secret, claims); token != want {
				t.Errorf("%s, Millrace makes %s", token, want)
			}
		})
	}
}

package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// Ids are read from every form of file, and a line without one says which it is.
func TestUsersOfAFile(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"lines":     {"\ufeffanna\n\n anonymous:b1 \r\n17", []string{"1 anna", "3 anonymous:b1", "4 17"}},
		"csv":       {"mail,user_id\nx@y,anna\n\"a,b\",\"b \"\"q\"\"\"\nz\n", []string{"2 anna", `3 b "q"`, "4 "}},
		"json":      {"{\"user_id\":\"anna\"}\n{\"user_id\":17}\n{\"user_id\":\"b\",\"x\":1}\n", []string{"1 anna", "2 bad", "3 b"}},
		"empty":     {"", nil},
		"no header": {"a,b\nc\n", []string{"1 a,b", "2 c"}},
	} {
		var got []string
		err := eachUser(strings.NewReader(c.text), func(line int64, id string, err error) error {
			if err != nil {
				id = "bad"
			}
			got = append(got, fmt.Sprint(line, " ", id))
			return nil
		})
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, %v, want %q", name, got, err, c.want)
		}
	}
}

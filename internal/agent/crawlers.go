package agent

import (
	_ "embed"
	"regexp"
	"regexp/syntax"
	"strings"
	"sync"
)

// crawlersText is the maintained list, one pattern a line behind a line that says where it is from.
//
//go:embed crawlers.txt
var crawlersText string

// crawlers finds what calls itself no browser. Nearly all patterns are plain text: those are looked up by their first letters,
// because 1,500 alternatives in one expression take milliseconds.
type crawlers struct {
	plain map[[plainKey]byte][]string
	short []string // plain ones of fewer letters
	rest  *regexp.Regexp
}

// plainKey is by how many letters plain patterns are looked up.
const plainKey = 3

// loadCrawlers reads the list once.
var loadCrawlers = sync.OnceValue(func() *crawlers { return newCrawlers(crawlersText) })

// libraries are patterns of the list that name no crawler: apps, kiosks and scripts of the shop itself send their events by them.
var libraries = map[string]bool{
	"Python-urllib": true, "python-requests": true, "aiohttp": true, "httpx": true, "libwww-perl": true, "Go-http-client": true, "okhttp": true,
	"^Apache-HttpClient": true, "axios": true, "^curl": true, "[wW]get": true, "^PHP-Curl-Class": true, "node-fetch": true, "CustomAsyncHttpClient": true,
	`^HTTPie\/`: true,
}

func newCrawlers(text string) *crawlers {
	c := &crawlers{plain: map[[plainKey]byte][]string{}}
	var rest []string
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if line == "" || line[0] == '#' || libraries[line] {
			continue
		}
		literal, ok := plainText(line)
		switch {
		case !ok:
			rest = append(rest, line)
		case len(literal) < plainKey:
			c.short = append(c.short, literal)
		default:
			key := [plainKey]byte([]byte(literal))
			c.plain[key] = append(c.plain[key], literal)
		}
	}
	c.rest = regexp.MustCompile(strings.Join(rest, "|")) // a test reads the list
	return c
}

// plainText is a pattern that only matches one text.
func plainText(pattern string) (string, bool) {
	re, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil || re.Op != syntax.OpLiteral || re.Flags&syntax.FoldCase != 0 {
		return "", false
	}
	return string(re.Rune), true
}

// match reports whether a header is on the list.
func (c *crawlers) match(header string) bool {
	for i := range len(header) - plainKey + 1 {
		for _, literal := range c.plain[[plainKey]byte([]byte(header[i:i+plainKey]))] {
			if strings.HasPrefix(header[i:], literal) {
				return true
			}
		}
	}
	for _, literal := range c.short {
		if strings.Contains(header, literal) {
			return true
		}
	}
	return c.rest.MatchString(header)
}

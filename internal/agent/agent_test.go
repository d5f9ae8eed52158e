package agent

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// TestBots: what is on the list is a bot, and browsers of people are none.
func TestBots(t *testing.T) {
	for _, header := range []string{
		"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/126.0.0.0 Safari/537.36",
		"Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com/gptbot)",
		"Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)",
		"Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; ClaudeBot/1.0; +claudebot@anthropic.com)",
		"Mozilla/5.0 (Linux; Android 5.0) AppleWebKit/537.36 (KHTML, like Gecko) Mobile Safari/537.36 (compatible; Bytespider; spider-feedback@bytedance.com)",
		"Mozilla/5.0 (Linux; Android 11; moto g power (2022)) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/109.0.0.0 Mobile Safari/537.36 Chrome-Lighthouse",
		"Mozilla/5.0 (compatible; SemrushBot/7~bl; +http://www.semrush.com/bot.html)",
	} {
		if a := Parse(header); !a.Bot {
			t.Errorf("no bot: %q", header)
		}
	}
	for _, header := range []string{
		"Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36 Edg/126.0.0.0",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:127.0) Gecko/20100101 Firefox/127.0",
		"Mozilla/5.0 (Linux; Android 14; SM-S921B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/25.0 Chrome/121.0.0.0 Mobile Safari/537.36",
		"Mozilla/5.0 (Linux; Android 12; CUBOT KINGKONG 7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/125.0.0.0 Mobile Safari/537.36",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 [FBAN/FBIOS;FBAV/468.0.0;FBDV/iPhone14,5]",
		"Mozilla/5.0 (Linux; Android 13; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/124.0.0.0 Mobile Safari/537.36 Instagram 330.0.0.40.92 Android",
		"Opera/9.80 (J2ME/MIDP; Opera Mini/8.0.35158/191.283; U; en) Presto/2.8.119 Version/11.10", "",
		"python-requests/2.32.3", "Go-http-client/1.1", "okhttp/4.12.0", "axios/1.7.2", // apps and scripts of the shop
	} {
		if a := Parse(header); a.Bot {
			t.Errorf("a bot: %q", header)
		}
	}
}

// TestCrawlersAreOneExpression holds the lookup by first letters against the plain way: every pattern in one expression.
func TestCrawlersAreOneExpression(t *testing.T) {
	var all []string
	for line := range strings.Lines(crawlersText) {
		if line[0] != '#' && !libraries[strings.TrimSuffix(line, "\n")] {
			all = append(all, "(?:"+strings.TrimSuffix(line, "\n")+")")
		}
	}
	if len(all) < 1000 {
		t.Fatalf("%d patterns", len(all))
	}
	oracle := regexp.MustCompile(strings.Join(all, "|"))
	fast := loadCrawlers()
	for i := 0; i < len(all); i += 10 { // the expression takes milliseconds
		pattern := all[i]
		words := strings.Trim(strings.NewReplacer("(?:", "", `\`, "", "[", "", "]", "", "^", "", "$", "", "(", "", ")", "").Replace(pattern), " ")
		for _, header := range []string{words, "Mozilla/5.0 (compatible; " + words + ")", words[:len(words)/2], strings.ToUpper(words)} {
			if got, want := fast.match(header), oracle.MatchString(header); got != want {
				t.Errorf("%q: %v, the one expression says %v", header, got, want)
			}
		}
	}
}

// TestParserIsBounded remembers and forgets.
func TestParserIsBounded(t *testing.T) {
	var p Parser
	const bot = "Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)"
	for i := range 3 * maxCached {
		if a := p.Parse(fmt.Sprint("Browser/", i)); a.Bot {
			t.Fatal(a)
		}
		if !p.Parse(bot).Bot {
			t.Fatal("a bot was remembered as none")
		}
		if n := len(p.now) + len(p.old); n > maxCached {
			t.Fatalf("%d headers are remembered", n)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	const header = "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile Safari/537.36"
	b.Run("first", func(b *testing.B) {
		for b.Loop() {
			Parse(header)
		}
	})
	b.Run("again", func(b *testing.B) {
		var p Parser
		for b.Loop() {
			p.Parse(header)
		}
	})
}

func TestParse(t *testing.T) {
	for header, want := range map[string]Agent{
		"Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Mobile Safari/537.36": {"Chrome", "mobile", false},
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4 Safari/605.1.15": {"Safari", "desktop", false},
		"Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)":                                              {"Googlebot", "", true},
		"": {},
	} {
		if got := Parse(header); got != want {
			t.Errorf("Parse(%q) = %+v, want %+v", header, got, want)
		}
	}
	if got := Parse(strings.Repeat("é", maxAgentBytes)); len(got.Family) > maxFamilyBytes {
		t.Errorf("family of %d bytes", len(got.Family))
	}
}

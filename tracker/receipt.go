package tracker

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/net/publicsuffix"

	"github.com/millrace/millrace/internal/event"
)

// A page that goes away does not see the answer to what it sent last. So the answer also sets a cookie that tells the
// visitor's next page which events have arrived: it drops them instead of sending them again. The cookie lives for
// receiptMaxAge seconds and reads tab-first-last, the numbers (seq) of a tab from first to last, several joined by dots.
// It only saves repeats; what removes them for certain is the event_id.
const (
	receiptName   = "mr.r" // and a digit
	receiptMaxAge = 60
	// receiptNames is how many cookies are used in turn: answers that come together do not overwrite each other, and a
	// browser never has more of them. What goes on where a cookie ends prolongs it.
	receiptNames = 8
	// maxReceiptRuns bounds the value: a batch has a run for each tab in it, and one more for each gap.
	maxReceiptRuns = 8
)

// tabPattern is what the beacon calls a tab; other clients' ids might not fit into a cookie.
var (
	tabPattern = regexp.MustCompile(`^[0-9a-z]{1,32}$`)
	runPattern = regexp.MustCompile(`^([0-9a-z]{1,32})-([0-9]{1,15})-([0-9]{1,15})$`)
)

// receipt collects what one request delivered.
type receipt struct {
	runs []run
}

// run is a part of a tab's events without a gap.
type run struct {
	tab         string
	first, last int64
}

// add notes an event that needs no second try.
func (c *receipt) add(e *event.Event) {
	if e.Seq == nil || !tabPattern.MatchString(e.TabID) {
		return
	}
	seq := *e.Seq
	for i := range c.runs {
		if r := &c.runs[i]; r.tab == e.TabID && r.last+1 == seq {
			r.last = seq
			return
		}
	}
	if len(c.runs) < maxReceiptRuns {
		c.runs = append(c.runs, run{tab: e.TabID, first: seq, last: seq})
	}
}

func (c *receipt) String() string {
	parts := make([]string, len(c.runs))
	for i, r := range c.runs {
		parts[i] = fmt.Sprintf("%s-%d-%d", r.tab, r.first, r.last)
	}
	return strings.Join(parts, ".")
}

// setReceipt hands the receipt to the browser where the page that sent can read it.
func (t *Tracker) setReceipt(w http.ResponseWriter, r *http.Request, c *receipt) {
	origin := r.Header.Get("Origin")
	if len(c.runs) == 0 || origin == "" {
		return
	}
	domain, ok := cookieDomain(origin, r.Host)
	if !ok {
		return
	}
	name := c.prolong(r.Cookies())
	for tried := 0; name == "" || tried > 0 && tried < receiptNames && hasCookie(r, name); tried++ {
		name = receiptName + strconv.Itoa(int(t.receipts.Add(1)%receiptNames))
	}
	http.SetCookie(w, &http.Cookie{
		Name: name, Value: c.String(), Domain: domain, Path: "/", MaxAge: receiptMaxAge, SameSite: http.SameSiteLaxMode,
	})
}

func hasCookie(r *http.Request, name string) bool {
	_, err := r.Cookie(name)
	return err == nil
}

// prolong takes the runs of earlier receipts that the first of ours continues into it, and returns the name of one of their
// cookies, empty where there is none.
func (c *receipt) prolong(cookies []*http.Cookie) (name string) {
	first := &c.runs[0]
	for range cookies { // one may continue another
		for _, cookie := range cookies {
			if !strings.HasPrefix(cookie.Name, receiptName) {
				continue
			}
			e, ok := parseRun(cookie.Value)
			if ok && e.tab == first.tab && e.first < first.first && e.last+1 >= first.first {
				first.first, first.last = e.first, max(e.last, first.last)
				name = cookie.Name
			}
		}
	}
	return name
}

// parseRun reads a receipt of one run.
func parseRun(value string) (r run, ok bool) {
	m := runPattern.FindStringSubmatch(value)
	if m == nil {
		return run{}, false
	}
	first, err := strconv.ParseInt(m[2], 10, 64)
	if err != nil {
		return run{}, false
	}
	last, err := strconv.ParseInt(m[3], 10, 64)
	return run{tab: m[1], first: first, last: last}, err == nil
}

// cookieDomain is where a cookie must belong so that both the page and the collector, called host, have it: nowhere in
// particular (empty) where they are one host, else the domain that both are under. ok is false where there is none.
func cookieDomain(origin, host string) (domain string, ok bool) {
	u, err := url.Parse(origin)
	if err != nil {
		return "", false
	}
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	page := u.Hostname()
	if page == host {
		return "", true
	}
	of, err := publicsuffix.EffectiveTLDPlusOne(host)
	if err != nil {
		return "", false
	}
	if other, err := publicsuffix.EffectiveTLDPlusOne(page); err != nil || other != of {
		return "", false
	}
	return of, true
}

package tracker

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/millrace/millrace/internal/event"
)

// The visitor's id is kept in a cookie that the collector sets, because browsers forget within a week what a script has stored. It
// is a first-party cookie: only requests of the shop's own pages get it. Pages may read it, to go on with the id.
const (
	idCookie = "mr_id"
	// idCookieAge is in seconds: 400 days, the longest that browsers keep one.
	idCookieAge = 400 * 24 * 60 * 60
	headerGPC   = "Sec-GPC"
)

// cookieID is the visitor that the request's cookie names; "" is nobody.
func cookieID(r *http.Request) string {
	c, err := r.Cookie(idCookie)
	if err != nil {
		return ""
	}
	id, err := url.QueryUnescape(c.Value)
	if err != nil || event.CheckID(id) != nil {
		return ""
	}
	return id
}

// idOfPixel is the visitor of a pixel that names none: who the cookie says, or somebody new. Global Privacy Control makes nobody new.
func (t *Tracker) idOfPixel(r *http.Request, query url.Values) string {
	if query.Get("anonymous_id") != "" || query.Get("user_id") != "" {
		return ""
	}
	if id := cookieID(r); id != "" || r.Header.Get(headerGPC) == "1" {
		return id
	}
	return event.NewID(t.deps.Now())
}

// keepID sets or renews the cookie with a visitor's id: for pages of the collector's own site, and not where the browser asks for privacy.
func (t *Tracker) keepID(w http.ResponseWriter, r *http.Request, id string) {
	if id == "" || !firstParty(r) || r.Header.Get(headerGPC) == "1" {
		return
	}
	http.SetCookie(w, &http.Cookie{
		Name: idCookie, Value: url.QueryEscape(id), Path: "/", Domain: t.cfg.CookieDomain, MaxAge: idCookieAge,
		Secure: overTLS(r), SameSite: http.SameSiteLaxMode,
	})
}

// firstParty reports whether a page of the collector's own site has sent the request.
func firstParty(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "same-origin", "same-site":
		return true
	case "":
		page, err := url.Parse(r.Header.Get("Origin"))
		return err == nil && page.Host != "" && page.Host == r.Host // browsers of before the header
	}
	return false
}

// overTLS reports whether the browser speaks TLS, to us or to the proxy before us.
func overTLS(r *http.Request) bool {
	return r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https" || strings.HasPrefix(r.Header.Get("Origin"), "https://")
}

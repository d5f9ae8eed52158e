package serving

import (
	"cmp"
	"context"
	"errors"
	"net/http"

	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/httpserver"
	"github.com/millrace/millrace/internal/usertoken"
)

// checkReader decides whether a key may ask for this list. A page with a public key needs an allowed origin, a placement opened for
// browsers and, for a named user, a token that the shop's server signed: then q names the token's user. Nothing is explained to it.
func (s *Serving) checkReader(r *http.Request, key control.Key, placement control.Placement, origin string, q *Request) *httpserver.Problem {
	switch {
	case key.Kind == control.KeySecret && !key.Allows(control.ScopeRecommend):
		return scopeProblem(control.ScopeRecommend)
	case key.Kind == control.KeySecret:
	case !key.AllowsReads(origin):
		return &httpserver.Problem{
			Type: ProblemOrigin, Title: "Origin not allowed", Status: http.StatusForbidden,
			Detail: "this public key does not read from pages of " + originName(origin),
			Hint:   "create a key that lists the origin: `millrace keys create --origin https://shop.example`",
		}
	case !placement.BrowserReadable:
		return &httpserver.Problem{
			Type: ProblemNotReadable, Title: "Placement not open to browsers", Status: http.StatusForbidden, Pointer: "/placement",
			Detail: "placement " + placement.Name + " is not marked browser-readable, so a public key cannot read it",
			Hint:   "ask from a server with a secret key, or mark the placement browser-readable",
		}
	case q.Explain: // it names rules and items that are not shown, and each makes a record a hundred times as large
		return &httpserver.Problem{
			Type: ProblemSecretKey, Title: "Secret key needed", Status: http.StatusForbidden, Pointer: "/explain",
			Detail: "a list is explained to the shop, not to whoever opens its pages", Hint: "leave explain out, or ask from a server with a secret key",
		}
	}
	token := cmp.Or(q.UserToken, r.Header.Get(HeaderUserToken))
	q.UserToken = "" // nothing behind this door sees it
	if token != "" {
		return s.checkUserToken(r.Context(), key.Site, token, q)
	}
	if key.Kind != control.KeySecret && q.UserID != "" {
		return &httpserver.Problem{
			Type: ProblemUserToken, Title: "User token needed", Status: http.StatusForbidden, Pointer: "/user_id",
			Detail: "a page with a public key may ask for its own anonymous_id only: anybody could name a user",
			Hint:   "send a user_token that your server signed, leave user_id out, or ask from a server with a secret key",
		}
	}
	return nil
}

// checkUserToken verifies a token, also where the key would not need one, and lets q name its user. No answer depends on whether
// the user is known.
func (s *Serving) checkUserToken(ctx context.Context, site, token string, q *Request) *httpserver.Problem {
	secrets, err := s.control.SigningTexts(ctx, site)
	if err != nil {
		s.lostSigning.warn(ctx, s.log, "user tokens cannot be checked", err)
		return &httpserver.Problem{
			Type: ProblemUnavailable, Title: "User tokens cannot be checked", Status: http.StatusServiceUnavailable,
			Detail: "the site's signing secrets cannot be read", Hint: "try again; if it persists, the log says why",
		}
	}
	claims, err := usertoken.Verify(secrets, site, token, s.now())
	p := &httpserver.Problem{
		Type: ProblemTokenInvalid, Title: "User token not valid", Status: http.StatusUnauthorized, Pointer: "/user_token",
		Hint: "docs/access.md has code that makes tokens; `millrace tokens sign USER_ID` makes one to compare with",
	}
	switch {
	case errors.Is(err, usertoken.ErrExpired):
		p.Type, p.Title, p.Detail, p.Hint = ProblemTokenExpired, "User token expired", err.Error(), "let your server sign a new one"
		return p
	case err != nil:
		p.Detail = err.Error()
		return p
	case q.UserID != "" && q.UserID != claims.User:
		return &httpserver.Problem{
			Type: ProblemTokenOther, Title: "User token of another user", Status: http.StatusForbidden, Pointer: "/user_id",
			Detail: "the token was not signed for this user_id", Hint: "leave user_id out: the token says it",
		}
	}
	q.UserID = claims.User
	return nil
}

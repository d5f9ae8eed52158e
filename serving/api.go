package serving

import (
	"cmp"
	"context"
	"net/http"

	"github.com/millrace/millrace/internal/api"
	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/httpserver"
)

// Routes mounts the public API, and describes it. Each family of endpoints registers itself beside its code.
func (s *Serving) Routes(a *api.API) {
	s.recommendEndpoints(a)
	s.recallEndpoints(a)
	s.itemEndpoints(a)
	s.historyEndpoints(a)
	s.feedEndpoints(a)
	s.userEndpoints(a)
	s.modelEndpoints(a)
	s.placementEndpoints(a)
	s.ruleEndpoints(a)
	s.experimentEndpoints(a)
	s.keyEndpoints(a)
	s.operationEndpoints(a)
	s.statusEndpoints(a)
}

type keyContext struct{}

// keyOf is the key that a guarded request came with.
func keyOf(ctx context.Context) control.Key {
	key, _ := ctx.Value(keyContext{}).(control.Key)
	return key
}

// secretEndpoint registers an endpoint for secret keys with the endpoint's scope; without one it is for ScopeAdmin alone. Its
// function gets the key's site, and the key itself by keyOf; what it changes is the key's in the audit log. A fault of ours is
// httpserver.Fault(err): the caller gets the problem `internal`, the log the cause.
func secretEndpoint[I, O any](s *Serving, a *api.API, e api.Endpoint, handle func(ctx context.Context, site string, in *I) (*O, *httpserver.Problem)) {
	scope := control.Scope(cmp.Or(e.Scope, string(control.ScopeAdmin)))
	e.Access, e.Scope = api.SecretKey, string(scope)
	e.Guard = func(w http.ResponseWriter, r *http.Request) (context.Context, *httpserver.Problem) {
		key, p := s.authenticateSecret(w, r, scope)
		return withKey(r.Context(), key), p
	}
	api.Register(a, e, func(ctx context.Context, in *I) (*O, *httpserver.Problem) {
		return handle(ctx, keyOf(ctx).Site, in)
	})
}

// requireSecret does the same for a bare handler.
func (s *Serving) requireSecret(scope control.Scope, handle func(w http.ResponseWriter, r *http.Request, site string)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		key, p := s.authenticateSecret(w, r, scope)
		if p != nil {
			writeProblem(w, r, p)
			return
		}
		handle(w, r.WithContext(withKey(r.Context(), key)), key.Site)
	}
}

func withKey(ctx context.Context, key control.Key) context.Context {
	return control.As(context.WithValue(ctx, keyContext{}, key), key.Actor())
}

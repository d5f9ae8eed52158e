package serving

import (
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
	s.feedEndpoints(a)
	s.userEndpoints(a)
	s.statusEndpoints(a)
}

type keyContext struct{}

// keyOf is the key that a guarded request came with.
func keyOf(ctx context.Context) control.Key {
	key, _ := ctx.Value(keyContext{}).(control.Key)
	return key
}

// secretEndpoint registers an endpoint for secret keys; its function gets the key's site, and the key itself by keyOf. A fault of
// ours is httpserver.Fault(err): the caller gets the problem `internal`, the log the cause.
func secretEndpoint[I, O any](s *Serving, a *api.API, e api.Endpoint, handle func(ctx context.Context, site string, in *I) (*O, *httpserver.Problem)) {
	e.Access, e.Guard = api.SecretKey, s.guardSecret
	api.Register(a, e, func(ctx context.Context, in *I) (*O, *httpserver.Problem) {
		return handle(ctx, keyOf(ctx).Site, in)
	})
}

// guardSecret lets requests with a secret key pass.
func (s *Serving) guardSecret(_ http.ResponseWriter, r *http.Request) (context.Context, *httpserver.Problem) {
	key, p := authenticateSecret(r.Context(), s.control, r)
	if p != nil {
		return nil, p
	}
	return context.WithValue(r.Context(), keyContext{}, key), nil
}

// requireSecret is guardSecret for a bare handler, which gets the key's site.
func (s *Serving) requireSecret(handle func(w http.ResponseWriter, r *http.Request, site string)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		key, p := authenticateSecret(r.Context(), s.control, r)
		if p != nil {
			writeProblem(w, r, p)
			return
		}
		handle(w, r, key.Site)
	}
}

package serving

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/millrace/millrace/internal/api"
	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/httpserver"
)

// Problem types of requests about keys.
const (
	ProblemNoSuchKey  = "no-such-key"
	ProblemMoreRights = "more-than-this-key"
	ProblemNoSealKey  = "no-seal-key"
)

func (s *Serving) keyEndpoints(a *api.API) {
	admin := string(control.ScopeAdmin)
	secretEndpoint(s, a, api.Endpoint{
		ID: "listKeys", Method: http.MethodGet, Path: "/v1/keys", Tag: api.TagKeys, Scope: admin, Summary: "List keys",
		Description: "The keys of the site, oldest first and revoked ones included, without their secrets.",
	}, s.listKeys)
	secretEndpoint(s, a, api.Endpoint{
		ID: "createKey", Method: http.MethodPost, Path: "/v1/keys", Tag: api.TagKeys, Scope: admin, Summary: "Make a key", Status: http.StatusCreated,
		Description:  "Makes a key of the site and shows its secret, this once. It may do no more than the key that makes it: no other scope, rate or end.",
		MaxBodyBytes: maxKeyBytes, Body: `{"kind":"secret","label":"backend","scopes":["recommend","items:write"],"rate":200}`,
		Problems: []string{ProblemMoreRights},
	}, s.createKey)
	secretEndpoint(s, a, api.Endpoint{
		ID: "rotateKey", Method: http.MethodPost, Path: "/v1/keys/{id}:rotate", Tag: api.TagKeys, Scope: admin, Summary: "Give a key another secret",
		Description: "Shows the new secret, this once. The one before works until the overlap is over; one that was left of an earlier rotation ends at once.",
		Problems:    []string{ProblemNoSuchKey, ProblemMoreRights, httpserver.ProblemNotFound},
	}, s.rotateKey)
	secretEndpoint(s, a, api.Endpoint{
		ID: "revokeKey", Method: http.MethodPost, Path: "/v1/keys/{id}:revoke", Tag: api.TagKeys, Scope: admin, Summary: "End a key",
		Description: "The key stops working with all its secrets: at once here, within a second elsewhere.", Problems: []string{ProblemNoSuchKey, httpserver.ProblemNotFound},
	}, s.revokeKey)
	secretEndpoint(s, a, api.Endpoint{
		ID: "listSigningSecrets", Method: http.MethodGet, Path: "/v1/signing-secrets", Tag: api.TagKeys, Scope: admin, Summary: "List signing secrets",
		Description: "What the shop's server signs user tokens with, without the secrets themselves.",
	}, s.listSigningSecrets)
	secretEndpoint(s, a, api.Endpoint{
		ID: "rotateSigningSecret", Method: http.MethodPost, Path: "/v1/signing-secrets:rotate", Tag: api.TagKeys, Scope: admin, Summary: "Make the next signing secret",
		Description: "Shows the new secret, this once. Tokens of the one before are taken until the overlap is over. It needs the scope recommend, too: who signs tokens reads lists.",
		Problems:    []string{ProblemNoSealKey, ProblemMoreRights},
	}, s.rotateSigningSecret)
}

// maxKeyBytes has room for a label and all origins.
const maxKeyBytes = 64 << 10

// shownKey is a key with its secret.
type shownKey struct {
	control.Key
	Secret string `json:"key" doc:"The secret. It is shown this once." example:"sk_..."`
}

type shownKeyOutput struct{ Body shownKey }

type keyOutput struct{ Body control.Key }

type keysOutput struct{ Body keyList }

type keyList struct {
	Keys []control.Key `json:"keys" doc:"Oldest first."`
}

// keyInput names a key.
type keyInput struct {
	ID string `path:"id" maxLength:"64" doc:"The key's id, which is no secret." example:"key_q5xw3m7k2ahd4e6f"`
}

// keyWrite is what the creator of a key chooses.
type keyWrite struct {
	Kind      control.KeyKind `json:"kind" enum:"write,read,secret" doc:"Where it belongs: write and read into pages, secret on servers." example:"secret"`
	Label     string          `json:"label,omitempty" maxLength:"200" doc:"What it is for." example:"backend"`
	Origins   []string        `json:"origins,omitempty" maxItems:"100" doc:"Pages that a public key may be used from." example:"[\"https://shop.example\"]"`
	Scopes    []control.Scope `json:"scopes,omitempty" maxItems:"20" doc:"What a secret key may do; none is everything." example:"[\"recommend\"]"`
	Rate      float64         `json:"rate,omitempty" minimum:"0" maximum:"1000000" doc:"Requests a second; 0 is the default of the installation." example:"200"`
	ExpiresAt time.Time       `json:"expires_at,omitzero" doc:"When it ends; never without it."`
}

type createKeyInput struct{ api.JSON[keyWrite] }

func (s *Serving) listKeys(ctx context.Context, site string, _ *struct{}) (*keysOutput, *httpserver.Problem) {
	keys, err := s.control.Keys(ctx, site)
	if err != nil {
		return nil, httpserver.Fault(err)
	}
	return &keysOutput{Body: keyList{Keys: append([]control.Key{}, keys...)}}, nil
}

func (s *Serving) createKey(ctx context.Context, site string, in *createKeyInput) (*shownKeyOutput, *httpserver.Problem) {
	w := in.Value
	wanted := control.NewKey{Site: site, Kind: w.Kind, Label: w.Label, Origins: w.Origins, Scopes: w.Scopes, Rate: w.Rate, ExpiresAt: w.ExpiresAt}
	planned, err := wanted.Key()
	if err != nil {
		return nil, invalid("", "the key: %v", err)
	}
	if p := mayGive(ctx, planned); p != nil {
		return nil, p
	}
	key, secret, err := s.control.CreateKey(ctx, wanted)
	if err != nil {
		return nil, keyProblem(err)
	}
	return &shownKeyOutput{Body: shownKey{key, secret}}, nil
}

// mayGive refuses to make, or to show, a key that may do more than the one that asks.
func mayGive(ctx context.Context, other control.Key) *httpserver.Problem {
	missing := keyOf(ctx).Lacks(other)
	if missing == "" {
		return nil
	}
	return &httpserver.Problem{
		Type: ProblemMoreRights, Title: "More than this key", Status: http.StatusForbidden,
		Detail: "the key that asks has not itself what it would give: " + missing, Hint: "ask with a stronger key, or on the machine with `millrace keys`",
	}
}

// Overlap is how long a rotated secret works on.
type Overlap struct {
	OverlapSeconds int64 `query:"overlap_seconds" minimum:"0" maximum:"7776000" default:"86400" doc:"How long the secret before works."`
}

func (o Overlap) duration() time.Duration { return time.Duration(o.OverlapSeconds) * time.Second }

type rotateKeyInput struct {
	ID string `path:"id" maxLength:"64" doc:"The key's id, which is no secret." example:"key_q5xw3m7k2ahd4e6f"`
	Overlap
}

func (s *Serving) rotateKey(ctx context.Context, site string, in *rotateKeyInput) (*shownKeyOutput, *httpserver.Problem) {
	key, err := s.control.KeyByID(ctx, site, in.ID)
	if err == nil {
		if p := mayGive(ctx, key); p != nil {
			return nil, p
		}
	}
	var secret string
	if err == nil {
		key, secret, err = s.control.RotateKey(ctx, site, in.ID, in.duration())
	}
	if err != nil {
		return nil, keyProblem(err)
	}
	return &shownKeyOutput{Body: shownKey{key, secret}}, nil
}

func (s *Serving) revokeKey(ctx context.Context, site string, in *keyInput) (*keyOutput, *httpserver.Problem) {
	if err := s.control.RevokeKey(ctx, site, in.ID); err != nil {
		return nil, keyProblem(err)
	}
	key, err := s.control.KeyByID(ctx, site, in.ID)
	if err != nil {
		return nil, keyProblem(err)
	}
	return &keyOutput{Body: key}, nil
}

func keyProblem(err error) *httpserver.Problem {
	switch {
	case errors.Is(err, control.ErrTooManyKeys):
		return atLimit(control.ErrTooManyKeys, "rotate a key rather than make another")
	case !errors.Is(err, control.ErrUnknownKey):
		return httpserver.Fault(err)
	}
	return &httpserver.Problem{
		Type: ProblemNoSuchKey, Title: "No such key", Status: http.StatusNotFound,
		Detail: "the site has no key in force with this id", Hint: "GET /v1/keys lists them",
	}
}

type signingList struct {
	SigningSecrets []control.SigningSecret `json:"signing_secrets" doc:"Oldest first, with those that ended lately."`
}

type signingsOutput struct{ Body signingList }

// shownSigning is a signing secret with its text.
type shownSigning struct {
	control.SigningSecret
	Secret string `json:"secret" doc:"What the shop's server signs with. It is shown this once." example:"ss_..."`
}

type shownSigningOutput struct{ Body shownSigning }

func (s *Serving) listSigningSecrets(ctx context.Context, site string, _ *struct{}) (*signingsOutput, *httpserver.Problem) {
	list, err := s.control.SigningSecrets(ctx, site)
	if err != nil {
		return nil, httpserver.Fault(err)
	}
	return &signingsOutput{Body: signingList{SigningSecrets: list}}, nil
}

func (s *Serving) rotateSigningSecret(ctx context.Context, site string, in *Overlap) (*shownSigningOutput, *httpserver.Problem) {
	if p := mayGive(ctx, control.Key{Site: site, Kind: control.KeyRead, Rate: keyOf(ctx).Rate, ExpiresAt: keyOf(ctx).ExpiresAt}); p != nil {
		return nil, p
	}
	made, text, err := s.control.RotateSigningSecret(ctx, site, in.duration())
	if errors.Is(err, control.ErrNoSealKey) {
		return nil, &httpserver.Problem{
			Type: ProblemNoSealKey, Title: "No seal key", Status: http.StatusServiceUnavailable,
			Detail: "signing secrets are stored sealed, and no key for that is configured; nothing was made",
			Hint:   "set access.seal_key for all processes: MILLRACE_ACCESS__SEAL_KEY_FILE names a file with the output of `openssl rand -hex 32`",
		}
	}
	if err != nil {
		return nil, httpserver.Fault(err)
	}
	return &shownSigningOutput{Body: shownSigning{made, text}}, nil
}

package serving

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace/millrace/internal/control"
)

// hangingAttributes is a control store that takes requests for attributes and does not answer, for as long as it is away.
type hangingAttributes struct {
	Attributes
	away  bool
	asked int
}

func (s *hangingAttributes) UserAttributes(ctx context.Context, site, user string) (control.UserAttributes, bool, error) {
	s.asked++
	if s.away {
		<-ctx.Done()
		return control.UserAttributes{}, false, ctx.Err()
	}
	return control.UserAttributes{Site: site, UserID: user, Attributes: []byte(`{"tier":"gold"}`)}, true, nil
}

// A control store that hangs costs one request a second a second, and the others nothing; when it answers again it is asked again.
func TestAttributesOfAStoreThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &hangingAttributes{away: true}
		a := &attributes{store: store}
		began := time.Now()
		for _, user := range []string{"ada", "bob", "eve", "ada"} {
			if _, err := a.of(t.Context(), testSite, user); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s: %v", user, err)
			}
		}
		if took := time.Since(began); took != attributesWait || store.asked != 1 {
			t.Errorf("four requests took %v and asked %d times", took, store.asked)
		}
		gone, leave := context.WithCancel(t.Context())
		leave()
		store.away = false
		<-time.After(attributesPause)
		if _, err := a.of(gone, testSite, "ada"); err != nil {
			t.Errorf("of a store that answers: %v", err)
		}
		values, err := a.of(t.Context(), testSite, "eve")
		if err != nil || values["tier"] != "gold" {
			t.Errorf("again: %v, %v", values, err)
		}
	})
}

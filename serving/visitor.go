package serving

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/millrace/millrace/internal/erasure"
	"github.com/millrace/millrace/internal/feature"
	"github.com/millrace/millrace/internal/onlinestore"
)

const (
	// MaxLinkedBrowsers is how many browsers of one user are merged into a profile, the newest ones.
	MaxLinkedBrowsers = 16
	// maxLinkedPartials bounds the partials of those browsers: a shared computer holds several users by turns.
	maxLinkedPartials = 32

	// AfterEventWait is how long a request waits for its after_event.
	AfterEventWait = 250 * time.Millisecond
	// The first looks come quickly, because an event takes a few milliseconds from acknowledgement to feature; then
	// they slow down, because one that is late is late by tens of milliseconds.
	afterEventFirst = time.Millisecond
	afterEventLast  = 8 * time.Millisecond
	// maxWaiting bounds the requests that wait at once; one more is answered at once and marked stale.
	maxWaiting = 512
)

// visitor is who asks, as far as the online features know. A visitor nobody met has an empty profile.
type visitor struct {
	profileID string // the key of the profile without its prefix, "" when no id was given
	profile   feature.Profile
	known     bool
	lost      bool             // the profile could not be read, or the store has not got it back yet
	stale     bool             // without the event that the request waited for
	loggedOut *feature.Profile // the person before, of a browser that nobody used since the logout
}

// reset forgets the visitor, and keeps the memory of the profile's lists for the next.
func (v *visitor) reset() {
	profile := v.profile
	profile.Forget()
	*v = visitor{profile: profile}
}

// hasApplied reports whether the event is among the last ones applied. A logout is applied to the person who leaves.
func (v *visitor) hasApplied(eventID string) bool {
	return v.profile.HasApplied(eventID) || v.loggedOut != nil && v.loggedOut.HasApplied(eventID)
}

// identity is how a request names its visitor; both empty is nobody.
type identity struct {
	anonymous, user string
}

// visitors reads profiles from the online store.
type visitors struct {
	online  OnlineStore
	control Control
	waiting chan struct{} // one token a waiting request
}

// load reads the visitor's profile as it is now into found: for a browser its newest partial, for a user the merged partials that
// are linked to it, for both the user's and this browser's.
func (v *visitors) load(ctx context.Context, found *visitor, site string, who identity) error {
	found.reset()
	who, err := v.remembered(ctx, site, who)
	if err != nil {
		return err
	}
	if who.user == "" && who.anonymous == "" {
		return nil
	}
	var partials []onlinestore.Partial
	if who.user != "" {
		found.profileID = site + ":" + onlinestore.KindUser + ":" + who.user
		linked, err := v.linked(ctx, site, who.user)
		if err != nil {
			return err
		}
		partials = append(linked, onlinestore.Partial{Site: site, Kind: onlinestore.KindUser, ID: who.user})
	}
	if who.anonymous != "" {
		newest, err := v.newest(ctx, site, who.anonymous)
		if err != nil {
			return err
		}
		if who.user == "" {
			found.profileID = fmt.Sprintf("%s:%s:%s:%d", site, onlinestore.KindBrowser, who.anonymous, newest.N)
		}
		if !slices.Contains(partials, newest) {
			partials = append(partials, newest)
		}
	}
	for _, partial := range partials {
		if err := v.merge(ctx, found, partial, who); err != nil {
			return err
		}
	}
	if last := len(partials) - 1; !found.known && who.user == "" && partials[last].N > 0 {
		partials[last].N--
		before := &feature.Profile{}
		ok, err := v.read(ctx, before, partials[last])
		if err != nil {
			return err
		}
		if ok {
			found.loggedOut = before
		}
	}
	return nil
}

// merge adds one partial to the visitor. A browser's partial that belongs to another user stays out.
func (v *visitors) merge(ctx context.Context, found *visitor, partial onlinestore.Partial, who identity) error {
	profile := &found.profile
	if found.known {
		profile = &feature.Profile{}
	}
	ok, err := v.read(ctx, profile, partial)
	switch {
	case err != nil:
		return err
	case !ok || who.user != "" && profile.UserID != "" && profile.UserID != who.user:
		if !found.known {
			found.profile.Forget()
		}
	case !found.known:
		found.known = true
	default:
		found.profile.Merge(profile)
	}
	return nil
}

// read reads one partial into a profile; ok is false where there is none. One of another feature version counts as none: the stream is replacing
// it, and until then the visitor gets the list of somebody new.
func (v *visitors) read(ctx context.Context, profile *feature.Profile, partial onlinestore.Partial) (ok bool, err error) {
	row, ok, err := v.online.Get(ctx, onlinestore.ProfileKey(partial))
	if err != nil || !ok {
		return false, wrap(err, "read a profile")
	}
	err = profile.Decode(row.Value)
	if errors.Is(err, feature.ErrVersion) {
		return false, nil
	}
	if err != nil {
		return false, wrap(err, "read a profile")
	}
	// The browsers of an erased user are found later; until then their profiles say whose they are.
	forgotten, err := v.control.Forgotten(ctx)
	if _, gone := forgotten.Until(erasure.Row{Site: partial.Site, User: profile.UserID}); gone {
		return false, err
	}
	return err == nil, err
}

// wrap adds context to an error that may be nil.
func wrap(err error, doing string) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// newest finds the newest partial of a browser. A browser that never changed hands has no row that says so.
func (v *visitors) newest(ctx context.Context, site, browser string) (onlinestore.Partial, error) {
	partial := onlinestore.Partial{Site: site, Kind: onlinestore.KindBrowser, ID: browser}
	row, ok, err := v.online.Get(ctx, onlinestore.NewestKey(site, browser))
	if err != nil || !ok {
		return partial, wrap(err, "read the newest partial of a browser")
	}
	partial.N, err = onlinestore.ParseNewestValue(row.Value)
	return partial, err
}

// linked lists the partials in which a user was seen, of the browsers that were linked last.
func (v *visitors) linked(ctx context.Context, site, user string) ([]onlinestore.Partial, error) {
	type seen struct {
		link onlinestore.Link
		at   int64
	}
	var links []seen
	err := v.online.Scan(ctx, onlinestore.LinkPrefix(site, user), func(row onlinestore.Row) error {
		link, err := onlinestore.ParseLinkKey(row.Key)
		if err != nil {
			return err
		}
		at, err := onlinestore.ParseLinkValue(row.Value)
		links = append(links, seen{link, at})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the browsers of a user: %w", err)
	}
	slices.SortFunc(links, func(a, b seen) int {
		return cmp.Or(cmp.Compare(b.at, a.at), cmp.Compare(a.link.Browser, b.link.Browser), cmp.Compare(b.link.N, a.link.N))
	})
	browsers := map[string]bool{}
	var partials []onlinestore.Partial
	for _, s := range links {
		if len(partials) == maxLinkedPartials {
			break
		}
		if !browsers[s.link.Browser] && len(browsers) == MaxLinkedBrowsers {
			continue
		}
		browsers[s.link.Browser] = true
		partials = append(partials, s.link.Profile())
	}
	return partials, nil
}

// loadAfter is load once the event is applied. It looks again and again for at most AfterEventWait; stale says that the
// event was not there by then.
func (v *visitors) loadAfter(ctx context.Context, found *visitor, site string, who identity, eventID string) (stale bool, err error) {
	err = v.load(ctx, found, site, who)
	if err != nil || eventID == "" || found.hasApplied(eventID) {
		return false, err
	}
	select {
	case v.waiting <- struct{}{}:
		defer func() { <-v.waiting }()
	default:
		return true, nil
	}
	deadline := time.Now().Add(AfterEventWait)
	for step := afterEventFirst; time.Now().Before(deadline); step = min(2*step, afterEventLast) {
		if err := pause(ctx, step); err != nil {
			return true, nil // the caller is going; what is there is good enough
		}
		if err = v.load(ctx, found, site, who); err != nil || found.hasApplied(eventID) {
			return false, err
		}
	}
	return true, nil
}

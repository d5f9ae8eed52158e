package control

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// While one request reads the table again, the others go on with the one that there is; when it is too old they wait.
func TestCacheIsReadAgainBesideWhoGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		loads := 0
		c := &cached[int]{load: func(context.Context) (int, error) {
			loads++
			<-time.After(CacheAge / 4) // a slow database
			return loads, nil
		}}
		expect := func(want int, waits time.Duration) {
			t.Helper()
			start := time.Now()
			got, err := c.get(t.Context())
			if took := time.Since(start); err != nil || got != want || took != waits {
				t.Errorf("got %d, %v after %s; want %d after %s", got, err, took, want, waits)
			}
		}
		expect(1, CacheAge/4)
		expect(1, 0)
		<-time.After(CacheAge / 4) // at half of its age somebody reads again
		go expect(2, CacheAge/4)
		synctest.Wait()
		expect(1, 0)
		<-time.After(CacheAge / 4)
		synctest.Wait()
		expect(2, 0)
		<-time.After(CacheAge) // nobody came for so long that it is too old for anybody
		expect(3, CacheAge/4)
		c.drop()
		expect(4, CacheAge/4)
		if loads != 4 {
			t.Errorf("%d loads, want 4", loads)
		}
	})
}

// A database that fails costs nobody anything while the table is young enough, and everybody after that.
func TestCacheOutlivesAFailingReadOnlyToItsAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		away := errors.New("away")
		var fails error
		c := &cached[int]{load: func(context.Context) (int, error) { return 7, fails }}
		if got, err := c.get(t.Context()); got != 7 || err != nil {
			t.Fatal(got, err)
		}
		fails = away
		<-time.After(CacheAge - time.Millisecond)
		if got, err := c.get(t.Context()); got != 7 || err != nil {
			t.Errorf("got %d, %v from a table that is young enough", got, err)
		}
		<-time.After(time.Millisecond)
		if _, err := c.get(t.Context()); !errors.Is(err, away) {
			t.Errorf("got %v from a table that is too old", err)
		}
	})
}

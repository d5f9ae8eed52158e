package filter

import (
	"fmt"
	"sync"
	"testing"
)

// TestCache asks for the same texts from many goroutines: each text is compiled once, a wrong one stays wrong, and old ones go.
func TestCache(t *testing.T) {
	c := NewCache()
	programs := make([]*Program, 16)
	var group sync.WaitGroup
	for i := range programs {
		group.Go(func() {
			p, err := c.Filter(threeConditions)
			if err != nil {
				t.Error(err)
			}
			if _, err := c.Filter("item.prize < 5"); err == nil {
				t.Error("a wrong filter compiled")
			}
			if _, err := c.Factor("item.price"); err != nil { // a text that is wrong as a filter
				t.Error(err)
			}
			programs[i] = p
		})
	}
	group.Wait()
	for _, p := range programs {
		if p != programs[0] {
			t.Fatal("one text was compiled twice")
		}
	}
	for i := range MaxCached {
		if _, err := c.Filter(fmt.Sprintf("item.price < %d", i)); err != nil {
			t.Fatal(err)
		}
	}
	if n := c.filters.Len(); n != MaxCached {
		t.Errorf("the cache holds %d filters, want %d", n, MaxCached)
	}
	if p, _ := c.Filter(threeConditions); p == programs[0] {
		t.Error("the oldest filter is still there")
	}
}

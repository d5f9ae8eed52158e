package trainer

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/trainer/eval"
)

// of makes an event of another type with items.
func of(kind string, i Interaction, items ...string) Interaction {
	i.Type, i.Items = kind, nil
	for _, id := range items {
		i.Items = append(i.Items, InteractionItem{ID: id})
	}
	return i
}

// basketText writes baskets of two or more as lines of item ids.
func basketText(d *dataset) string {
	var lines []string
	part := eval.NewPart(d.log.Sessions, d.log.Vocabulary.Len(), nil)
	part.Orders = d.log.Orders
	baskets := part.Baskets()
	for i := range baskets.Len() {
		items, _ := baskets.At(i)
		var ids []string
		for _, item := range items {
			ids = append(ids, d.log.Vocabulary.ID(item))
		}
		if len(ids) > 1 {
			lines = append(lines, strings.Join(ids, " "))
		}
	}
	return strings.Join(lines, "\n")
}

func TestCartsStandInForOrders(t *testing.T) {
	at := func(minutes int) time.Time { return testStart.Add(time.Duration(minutes) * time.Minute) }
	lone := of(event.Purchase, view("b", "", at(0)), "p", "q")
	lone.Personalized = false
	d := read(t, Config{},
		view("b", "x", at(0)), of(event.AddToCart, view("b", "", at(1)), "x"), of(event.AddToCart, view("b", "", at(2)), "y"),
		of(event.AddToCart, view("b", "", at(3)), "y"), // once more
		of(event.AddToCart, view("b", "", at(300)), "z"), of(event.Purchase, view("b", "", at(301)), "x", "z"),
		of(event.AddToCart, view("c", "", at(5)), "w"), lone)
	if got := basketText(d); got != "x y\nz x" {
		t.Errorf("baskets are\n%s", got)
	}
}

// Where there are enough orders, what is only laid into carts is no longer looked at.
func TestOrdersAreByTransaction(t *testing.T) {
	var events []Interaction
	order := func(browser, transaction string, minute int, items ...string) {
		e := of(event.Purchase, view(browser, "", testStart.Add(time.Duration(minute)*time.Minute)), items...)
		e.TransactionID = transaction
		events = append(events, e)
	}
	order("b", "1", 0, "x")
	order("b", "1", 9, "y", "x") // the shop sends an order in parts
	order("c", "1", 1, "v", "w") // the same name of somebody else
	order("d", "", 2, "q", "r")  // no name: each event is an order
	order("d", "", 90, "q", "s")
	order("e", "2", 4, "alone")
	for i := range minOrders {
		order(fmt.Sprint("f", i), "", 100+i, "m", "n")
	}
	events = append(events, of(event.AddToCart, view("g", "", testStart), "x", "q"))
	d := read(t, Config{}, events...)
	got := strings.Split(basketText(d), "\n")
	if len(got) != minOrders+4 {
		t.Fatalf("%d baskets", len(got))
	}
	if want := []string{"v w", "q r", "x y", "q s", "m n"}; !slices.Equal(got[:5], want) {
		t.Errorf("baskets begin with %q, want %q", got[:5], want)
	}
}

package control

import (
	"errors"
	"fmt"

	"github.com/millrace/millrace/internal/event"
)

// MaxPins is how many items a rule pins: each is looked up for every list that the rule is in force for.
const MaxPins = 20

// Pin gives a place of a list to an item.
type Pin struct {
	ItemID   string `json:"item_id" maxLength:"128" doc:"The item." example:"shoe-1"`
	Position int    `json:"position" minimum:"0" maximum:"99" doc:"Its place, from 0. A list that is shorter has it at its end; one whose limit is lower does not show it." example:"0"`
}

func checkPins(pins []Pin) error {
	if len(pins) > MaxPins {
		return fmt.Errorf("it pins %d items, the limit is %d", len(pins), MaxPins)
	}
	items, places := map[string]bool{}, map[int]bool{}
	for _, p := range pins {
		if err := event.CheckID(p.ItemID); err != nil {
			return fmt.Errorf("the item_id of a pin %w", err)
		}
		switch {
		case p.Position < 0 || p.Position >= MaxPlacementLimit:
			return fmt.Errorf("position %d of a pin is not within 0 to %d", p.Position, MaxPlacementLimit-1)
		case items[p.ItemID]:
			return errors.New("it pins one item twice")
		case places[p.Position]:
			return fmt.Errorf("it pins two items at position %d", p.Position)
		}
		items[p.ItemID], places[p.Position] = true, true
	}
	return nil
}

package eval

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/millrace/millrace/internal/history"
)

// readItems reads a catalogue file. Its items are added to the vocabulary, and what it says takes the place of what events
// say. A bad row is an error: a catalogue with holes would be blamed on the models.
func (l *Log) readItems(ctx context.Context, path string) error {
	var fields history.Mapping
	var description string
	var failed error
	err := eachRow(ctx, path, func(row history.Row) error {
		if fields == nil {
			var err error
			if fields, err = (history.Mapping{}).DetectItems(row.Columns()); err != nil {
				return usagef("items: %v", strings.ReplaceAll(err.Error(), "--map item_id=COLUMN", "the header item_id"))
			}
			description = descriptionColumn(row.Columns())
		}
		id := strings.TrimSpace(fields.Value(row, history.ItemFieldID))
		if id == "" {
			return errors.New("the item is empty")
		}
		item := Item{
			Title: fields.Value(row, history.ItemFieldTitle), Brand: fields.Value(row, history.ItemFieldBrand),
		}
		if text := row.Get(description); text != "" {
			item.Fields = map[string]any{"description": text}
		}
		if column := fields[history.ItemFieldCategories]; column != "" {
			var err error
			if item.Categories, err = row.List(column); err != nil {
				return fmt.Errorf("categories: %w", err)
			}
		}
		index := l.Vocabulary.Add(id)
		l.describe(index, item)
		l.Catalogue = append(l.Catalogue, index)
		return nil
	}, func(bad *history.RowError) {
		if failed == nil {
			failed = bad
		}
	})
	if err = errors.Join(err, failed); err != nil {
		return fmt.Errorf("read items %s: %w", path, err)
	}
	return nil
}

// descriptionColumn names the column with an item's text; "" where there is none.
func descriptionColumn(present []string) string {
	for _, name := range []string{"description", "item_description", "text"} {
		for _, column := range present {
			if column == name {
				return column
			}
		}
	}
	return ""
}

// describe notes what is said of an item; what is not said stays as it was.
func (l *Log) describe(index int32, said Item) {
	for int(index) >= len(l.Items) {
		l.Items = append(l.Items, make([]Item, max(l.Vocabulary.Len()-len(l.Items), 1))...)
	}
	item := &l.Items[index]
	for field, text := range map[*string]string{&item.Title: said.Title, &item.Brand: said.Brand} {
		if text != "" {
			*field = text
		}
	}
	if len(said.Fields) > 0 {
		item.Fields = said.Fields
	}
	if len(said.Categories) > 0 {
		item.Categories = said.Categories
	}
}

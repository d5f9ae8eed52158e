package feed

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
)

// errNoXMLFeed means that a document is XML, but no feed.
var errNoXMLFeed = errors.New("the document has no <item> of RSS and no <entry> of Atom")

// maxDepth bounds the elements within each other in an entry; shipping prices are the deepest, at three.
const maxDepth = 16

// parseXML reads RSS 2.0 and Atom. encoding/xml knows no entities but XML's own, so that a document cannot unfold to more than it is.
func parseXML(from *entryReader, yield func(*Entry) error) error {
	decoder := xml.NewDecoder(from)
	decoder.CharsetReader = charset
	entries, opened := 0, false
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			if entries == 0 && !opened {
				return broken(errNoXMLFeed, "of XML")
			}
			return nil
		}
		if err != nil {
			return broken(err, "of XML behind entry %d", entries)
		}
		start, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		switch start.Name.Local {
		case "channel", "feed":
			opened = true
		case "item", "entry":
			entries++
			entry := &Entry{Number: entries, Columns: map[string][]string{}}
			if err := entry.readXML(decoder); err != nil {
				return broken(err, "of XML at entry %d", entries)
			}
			from.next()
			if err := yield(entry); err != nil {
				return err
			}
		}
	}
}

// googleSpace is the namespace g:. What stands in it is meant before what RSS and Atom have under the same name, such as id.
const googleSpace = "http://base.google.com/ns/1.0"

// readXML reads the elements of an entry up to its end. Those within others, such as prices within shipping, are left out.
func (e *Entry) readXML(decoder *xml.Decoder) error {
	var text strings.Builder
	name, depth := xml.Name{}, 0
	google := map[string]bool{} // columns that came in its namespace
	for {
		token, err := decoder.Token()
		if err != nil {
			return err
		}
		switch token := token.(type) {
		case xml.StartElement:
			if depth++; depth > maxDepth {
				return fmt.Errorf("elements stand %d deep in each other", depth)
			}
			if depth == 1 {
				name = xml.Name{Space: token.Name.Space, Local: strings.ToLower(token.Name.Local)}
				text.Reset()
				text.WriteString(linkOf(token))
			}
		case xml.CharData:
			if depth == 1 {
				text.Write(token)
			}
		case xml.EndElement:
			if depth == 0 {
				return nil
			}
			if depth--; depth == 0 {
				if err := e.addXML(name, text.String(), google); err != nil {
					return err
				}
			}
		}
	}
}

func (e *Entry) addXML(name xml.Name, value string, google map[string]bool) error {
	inGoogle := name.Space == googleSpace || name.Space == "g" // a document that forgets to declare it means it
	switch {
	case inGoogle && !google[name.Local]:
		delete(e.Columns, name.Local)
		google[name.Local] = true
	case !inGoogle && google[name.Local]:
		return nil
	}
	return e.add(name.Local, value)
}

// linkOf is the address that a link of Atom has in an attribute.
func linkOf(e xml.StartElement) string {
	if e.Name.Local != "link" {
		return ""
	}
	for _, a := range e.Attr {
		if a.Name.Local == "href" {
			return a.Value
		}
	}
	return ""
}

func (e *Entry) add(name, value string) error {
	if value = strings.TrimSpace(value); value == "" {
		return nil
	}
	if e.Columns[name] == nil && len(e.Columns) >= MaxColumns {
		return ErrEntryTooLarge
	}
	e.Columns[name] = append(e.Columns[name], value)
	return nil
}

// charset refuses texts that are not in UTF-8, rather than to guess.
func charset(name string, from io.Reader) (io.Reader, error) {
	switch strings.ToLower(name) {
	case "utf-8", "utf8", "us-ascii", "ascii":
		return from, nil
	}
	return nil, fmt.Errorf("the document is in %s; write it in UTF-8", name)
}

package feed

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

const rss = `<?xml version="1.0"?>
<rss version="2.0" xmlns:g="http://base.google.com/ns/1.0"><channel><title>Shop</title><link>https://shop.example</link>
<item><g:id>TV-1</g:id><title>Plain</title><g:title>Tele &amp; Vision</g:title><link>https://shop.example/tv</link><g:image_link>https://shop.example/tv.jpg</g:image_link>
 <g:price>1,299.00 EUR</g:price><g:sale_price>999.50 EUR</g:sale_price><g:availability>in stock</g:availability><g:brand>LG</g:brand>
 <g:product_type>Home &gt; Electronics &gt; TV</g:product_type><g:google_product_category>404</g:google_product_category>
 <g:custom_label_1>sale</g:custom_label_1><g:custom_label_0>big</g:custom_label_0><g:item_group_id>TV</g:item_group_id>
 <g:shipping><g:country>US</g:country><g:price>6.49 USD</g:price></g:shipping><g:expiration_date>2026-07-11T11:07+0100</g:expiration_date>
 <description><![CDATA[<p>long</p>]]></description><g:color>black</g:color><g:size>S</g:size><g:size>M</g:size></item>
<item><g:id>TV-2</g:id><g:availability>out_of_stock</g:availability></item>
</channel></rss>`

const atom = `<feed xmlns="http://www.w3.org/2005/Atom" xmlns:g="http://base.google.com/ns/1.0"><title>x</title>
<entry><id>tag:shop,1</id><g:id>A1</g:id><title>Lamp</title><link href="https://shop.example/a1"/><g:price>5 EUR</g:price></entry></feed>`

// rows are the catalogue rows of a feed, or what is wrong with an entry.
func rows(t *testing.T, text string, format Format, m Mapping) (out []string) {
	t.Helper()
	err := Parse(t.Context(), strings.NewReader(text), format, func(e *Entry) error {
		row, err := m.Row(e)
		if err != nil {
			row = json.RawMessage(err.Error())
		}
		out = append(out, string(row))
		return nil
	})
	if err != nil {
		out = append(out, "error: "+err.Error())
	}
	return out
}

func TestFeedsAreRows(t *testing.T) {
	for _, c := range []struct {
		name, text string
		format     Format
		mapping    Mapping
		want       []string
	}{
		{"rss", rss, FormatAuto, nil, []string{
			`{"available":true,"brand":"LG","categories":["Home","Electronics","TV"],"currency":"EUR","expires_at":"2026-07-11T10:07:00Z","fields":{"color":"black","size":["S","M"]},"image_url":"https://shop.example/tv.jpg","item_group_id":"TV","item_id":"TV-1","labels":["big","sale"],"price":999.5,"title":"Tele \u0026 Vision","url":"https://shop.example/tv"}`,
			`{"available":false,"item_id":"TV-2"}`,
		}},
		{"atom", atom, FormatXML, nil, []string{`{"currency":"EUR","item_id":"A1","price":5,"title":"Lamp","url":"https://shop.example/a1"}`}},
		{"csv", "\xef\xbb\xbfid,Title,Price,availability,google product category\n1,\"A, b\",EUR 12.5,preorder,Media > Books\n2,C,free,in stock,\n3,D,,maybe\n,E\n", FormatAuto, nil, []string{
			`{"available":true,"categories":["Media","Books"]`, `price "free" is no number with a currency, such as 12.99 EUR`,
			`availability "maybe" is none of`, "the entry has no id",
		}},
		{"tsv", "item_id\ttitle\tcategories\tlabels\tavailable\tcolour\n1\tA\tx|y > z\tb|a\tfalse\tred\n", FormatAuto, nil, []string{
			`{"available":false,"categories":["x","y","z"],"fields":{"colour":"red"},"item_id":"1","labels":["a","b"],"title":"A"}`,
		}},
		{"mapped", "sku,id,name,kind,junk\n7,1,A,x,y\n", FormatCSV, Mapping{"sku": "item_id", "id": Ignore, "name": "title", "kind": "fields.type", "junk": Ignore}, []string{
			`{"fields":{"type":"x"},"item_id":"7","title":"A"}`,
		}},
		{"two names", "item_id,id,url,link,categories,product_type\n1,2,a,b,x,y > z\n", FormatCSV, nil, []string{
			`{"categories":["x","y","z"],"item_id":"2","url":"b"}`,
		}},
		{"no price", "id,price\n1,NaN EUR\n2,-Inf\n", FormatCSV, nil, []string{
			`price "NaN EUR" is no number`, `price "-Inf" is no number`,
		}},
		{"no id", "a,b\n1,2\n", FormatCSV, nil, []string{"error: read feed as a table: the first line"}},
		{"page", "<html><body>Not found</body></html>", FormatAuto, nil, []string{"error: read feed of XML: the document has no <item>"}},
		{"empty shop", `<rss><channel></channel></rss>`, FormatAuto, nil, nil},
		{"cut", rss[:len(rss)-16], FormatAuto, nil, []string{`{"available":true`, `{"available":false`, "error: read feed of XML behind entry 2: XML syntax error"}},
		{"latin", `<?xml version="1.0" encoding="ISO-8859-1"?><rss/>`, FormatAuto, nil, []string{"error: read feed of XML behind entry 0: xml: opening charset"}},
		{"bomb", `<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><rss><channel><item><id>&b;</id></item></channel></rss>`, FormatAuto, nil, []string{"error: read feed of XML at entry 1: XML syntax error"}},
		{"huge", "<rss><channel><item><id>" + strings.Repeat("x", 2*MaxEntryBytes), FormatAuto, nil, []string{"error: an entry has more"}},
		{"huge quote", "id,b\n1,\"" + strings.Repeat("x\n", MaxEntryBytes), FormatCSV, nil, []string{"error: an entry has more"}},
		{"deep", "<rss><channel><item>" + strings.Repeat("<a>", 100), FormatAuto, nil, []string{"error: read feed of XML at entry 1: elements stand"}},
	} {
		got := rows(t, c.text, c.format, c.mapping)
		if len(got) != len(c.want) {
			t.Errorf("%s: %d rows %q", c.name, len(got), got)
			continue
		}
		for range 10 { // in whatever order columns stand in memory
			if again := rows(t, c.text, c.format, c.mapping); !slices.Equal(again, got) {
				t.Errorf("%s: %q and then %q", c.name, got, again)
			}
		}
		for i, want := range c.want {
			if !strings.HasPrefix(got[i], want) {
				t.Errorf("%s, row %d:\n%s\nwant\n%s", c.name, i, got[i], want)
			}
		}
	}
}

func TestPrices(t *testing.T) {
	for text, want := range map[string]string{
		"12.99 EUR": "12.99 EUR", "12,99 eur": "12.99 EUR", "USD 1,234.50": "1234.5 USD", "1.234,50 EUR": "1234.5 EUR", "1,234 JPY": "1234 JPY", "7": "7 ",
		"12,5": "12.5 ", "1,234,567 EUR": "1.234567e+06 EUR",
	} {
		row := map[string]any{}
		if err := setPrice(row, &Entry{Columns: map[string][]string{"price": {text}}}); err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		currency, _ := row["currency"].(string)
		if got := fmt.Sprint(row["price"], " ", currency); got != want {
			t.Errorf("%q is %q, want %q", text, got, want)
		}
	}
}

// A feed is read from where the operator allows it, and from nowhere else, whatever a server says.
func TestPlaces(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"shop.csv", "sub/shop.csv"} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755), os.WriteFile(filepath.Join(dir, name), []byte("id\n1\n"), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/etc/hostname", filepath.Join(dir, "out")); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/loop":
			http.Redirect(w, r, "/loop", http.StatusFound)
		case "/file":
			http.Redirect(w, r, "file:///etc/hostname", http.StatusFound)
		case "/gone":
			http.NotFound(w, r)
		default:
			http.ServeContent(w, r, "", time.Time{}, strings.NewReader("id\n1\n"))
		}
	}))
	defer server.Close()
	with := Source{Dir: dir, Private: true}
	for _, c := range []struct {
		source Source
		place  string
		ok     bool
		says   string
	}{
		{with, "shop.csv", true, ""}, {with, "sub/shop.csv", true, ""}, {with, server.URL + "/shop.csv", true, ""},
		{with, "../shop.csv", false, "below the directory"}, {with, "/etc/hostname", false, "below the directory"}, {with, "out", false, "escapes"}, {with, "sub", false, "no file"},
		{with, "none.csv", false, "no such file"}, {with, "file:///etc/hostname", false, ""}, {with, "ftp://x/y", false, ""},
		{with, server.URL + "/loop", false, "more than 5 times"}, {with, server.URL + "/file", false, "neither http nor https"}, {with, server.URL + "/gone", false, "404"},
		{Source{}, "shop.csv", false, "serving.feeds_dir"}, {Source{Dir: dir}, server.URL + "/shop.csv", false, "serving.feeds_private"},
		{Source{}, "http://localhost:1/x", false, "serving.feeds_private"}, {Source{}, "http://169.254.169.254/latest", false, "serving.feeds_private"},
		{Source{}, "http://[::ffff:10.0.0.1]/", false, "serving.feeds_private"}, {Source{}, "http://[::1]/", false, "serving.feeds_private"},
		{with, "pipe", false, "no file"}, {with, "http:///x", false, "names no host"},
		{Source{}, "http://[::127.0.0.1]/", false, "serving.feeds_private"}, {Source{}, "http://[fec0::1]/", false, "serving.feeds_private"},
		{Source{}, "http://100.64.0.1/", false, "serving.feeds_private"}, {Source{}, "http://0.0.0.0:1/", false, "serving.feeds_private"},
	} {
		body, _, err := c.source.Open(t.Context(), c.place, Version{})
		if c.ok != (err == nil) || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", c.place, err, c.says)
		}
		if err == nil {
			if text, err := io.ReadAll(body); string(text) != "id\n1\n" || err != nil {
				t.Errorf("%s: %q, %v", c.place, text, err)
			}
			_ = body.Close()
		}
	}
}

// What has not changed is not read again, by URL and by path; what is packed is unpacked, whatever it is called.
func TestVersions(t *testing.T) {
	dir := t.TempDir()
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	_, _ = w.Write([]byte("id\n1\n"))
	_ = w.Close()
	if err := os.WriteFile(filepath.Join(dir, "shop"), packed.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"v1"`)
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(packed.Bytes()))
	}))
	defer server.Close()
	s := Source{Dir: dir, Private: true}
	for _, place := range []string{"shop", server.URL} {
		body, version, err := s.Open(t.Context(), place, Version{})
		if err != nil {
			t.Fatal(err)
		}
		if text, err := io.ReadAll(body); string(text) != "id\n1\n" || err != nil {
			t.Errorf("%s: %q, %v", place, text, err)
		}
		_ = body.Close()
		if _, _, err := s.Open(t.Context(), place, version); !errors.Is(err, ErrUnchanged) {
			t.Errorf("%s again: %v", place, err)
		}
		if _, _, err := s.Open(t.Context(), place, Version{ETag: "other"}); err != nil {
			t.Errorf("%s of another version: %v", place, err)
		}
	}
}

// A feed that unpacks to more than its limit fails, and does not pass for a shorter one.
func TestBounded(t *testing.T) {
	text, err := io.ReadAll(&bounded{strings.NewReader("12345"), 4})
	if !errors.Is(err, ErrTooLarge) || len(text) > 4 {
		t.Errorf("%q, %v", text, err)
	}
	if text, err := io.ReadAll(&bounded{strings.NewReader("12345"), 5}); string(text) != "12345" || err != nil {
		t.Errorf("%q, %v", text, err)
	}
}

// A server that falls silent in the middle of a feed ends the reading.
func TestSilentServer(t *testing.T) {
	begun, release := make(chan struct{}), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "id\n1\n")
		_ = http.NewResponseController(w).Flush()
		close(begun)
		<-release
	}))
	defer server.Close()
	defer close(release)
	response, err := http.Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	<-begun
	body := &heard{response.Body, 50 * time.Millisecond}
	defer body.Close()
	if text, err := io.ReadAll(body); string(text) != "id\n1\n" || !errors.Is(err, ErrSilent) {
		t.Errorf("%q, %v", text, err)
	}
}

// What the log and a job say of a feed that cannot be unpacked does not say its password.
func TestPasswordIsNotTold(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "\x1f\x8bno gzip at all") }))
	defer server.Close()
	place := strings.Replace(server.URL, "http://", "http://shop:s3cret@", 1)
	_, _, err := Source{Private: true}.Open(t.Context(), place, Version{})
	if err == nil || strings.Contains(err.Error(), "s3cret") || !strings.Contains(err.Error(), "shop:xxxxx@") {
		t.Errorf("%v", err)
	}
}

// FuzzFeeds: whatever a feed holds, it is taken apart within bounds, and each row is one that the catalogue can read.
func FuzzFeeds(f *testing.F) {
	f.Add([]byte(rss))
	f.Add([]byte(atom))
	f.Add([]byte("id,title,price\n1,\"a\",2 EUR\n"))
	f.Add([]byte("id\tlabels\n1\ta|b\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		entries := 0
		_ = Parse(context.Background(), bytes.NewReader(data), FormatAuto, func(e *Entry) error {
			if entries++; e.Number != entries || entries > len(data) {
				t.Fatalf("entry %d is number %d", entries, e.Number)
			}
			row, err := Mapping{}.Row(e)
			var read map[string]any
			if err == nil && (json.Unmarshal(row, &read) != nil || read["item_id"] == "") {
				t.Fatalf("row %s", row)
			}
			return nil
		})
	})
}

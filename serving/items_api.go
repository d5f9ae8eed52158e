package serving

import (
	"encoding/json"
	"net/http"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/millrace/millrace/internal/api"
	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/httpserver"
)

func (s *Serving) itemEndpoints(a *api.API) {
	secretEndpoint(s, a, api.Endpoint{
		ID: "listItems", Method: http.MethodGet, Path: "/v1/items", Tag: api.TagItems, Scope: string(control.ScopeItemsRead), Summary: "List the catalogue",
		Description: "The rows of the catalogue by item_id, a page at a time, that fulfil all of what is asked. Items that only events know are not listed.",
	}, s.listItems)
	api.Describe[bulkInput, bulkOutput](a, api.Endpoint{
		ID: "bulkWriteItems", Method: http.MethodPost, Path: "/v1/items:bulk", Tag: api.TagItems, Scope: string(control.ScopeItemsWrite), Summary: "Write many items",
		Description: "Merges up to 10,000 rows into the catalogue: an array, or one row a line (NDJSON). Fields that a row names replace, null clears, the others stay, " +
			"and an unknown item_id makes an item. gzip is taken (Content-Encoding). One bad row never costs its neighbours. The answer comes when all are in force on this node.",
		MaxBodyBytes: MaxBulkBytes, Body: `[{"item_id":"shoe-1","title":"Trail shoe","price":129.95,"currency":"EUR"}]`,
		Answer:   `{"accepted":1,"unchanged":0,"rejected":[]}`,
		Problems: []string{ProblemTooManyRows},
	}, s.requireSecret(control.ScopeItemsWrite, s.handleBulkItems))
	secretEndpoint(s, a, api.Endpoint{
		ID: "getItem", Method: http.MethodGet, Path: "/v1/items/{id}", Tag: api.TagItems, Scope: string(control.ScopeItemsRead), Summary: "Read an item",
		Description: "The item's row or, where it has none, what events said of it.", Problems: []string{ProblemUnknownItem},
	}, s.getItem)
	secretEndpoint(s, a, api.Endpoint{
		ID: "putItem", Method: http.MethodPut, Path: "/v1/items/{id}", Tag: api.TagItems, Scope: string(control.ScopeItemsWrite), Summary: "Replace or create an item",
		Description:  "The item becomes what the body says; fields that are not in it are cleared. 201 where the catalogue did not have it.",
		MaxBodyBytes: MaxItemBytes, Body: `{"title":"Trail shoe","categories":["Shoes"],"price":129.95,"currency":"EUR","available":true}`,
		Created:  true,
		Problems: []string{ProblemInvalidItem, ProblemConflict, ProblemPrecondition},
	}, s.putItem)
	secretEndpoint(s, a, api.Endpoint{
		ID: "patchItem", Method: http.MethodPatch, Path: "/v1/items/{id}", Tag: api.TagItems, Scope: string(control.ScopeItemsWrite), Summary: "Change an item",
		Description:  "Fields that the body names replace, null clears, the others stay (RFC 7396).",
		MaxBodyBytes: MaxItemBytes, Body: `{"available":false}`,
		Problems: []string{ProblemUnknownItem, ProblemInvalidItem, ProblemConflict, ProblemPrecondition},
	}, s.patchItem)
	secretEndpoint(s, a, api.Endpoint{
		ID: "deleteItem", Method: http.MethodDelete, Path: "/v1/items/{id}", Tag: api.TagItems, Scope: string(control.ScopeItemsWrite), Summary: "Delete an item",
		Description: "From the answer on the item is not recommended, also not where events go on to name it.",
		Problems:    []string{ProblemUnknownItem, ProblemConflict, ProblemPrecondition},
	}, s.deleteItem)
}

// itemAnswer is an item as the API shows it.
type itemAnswer struct {
	Item
	Revision  int64     `json:"revision" doc:"Counts its changes; 0 for an item that only events know." example:"3"`
	UpdatedAt time.Time `json:"updated_at,omitzero" doc:"When it was last changed."`
	Source    string    `json:"source" enum:"catalogue,events" doc:"Where it is known from." example:"catalogue"`
}

// itemInput names an item.
type itemInput struct {
	ID string `path:"id" minLength:"1" maxLength:"128" doc:"The item_id, percent-encoded." example:"shoe-1"`
}

func checkItemID(id string) *httpserver.Problem {
	if err := event.CheckID(id); err != nil {
		return invalid("", "the id in the path %s", err)
	}
	return nil
}

// itemOutput is one item.
type itemOutput struct {
	Status int
	ETag   string `header:"ETag" doc:"The item's revision; absent for an item that only events know."`
	Body   itemAnswer
}

// itemPatch is fields of an item as a write brings them. Its own code reads them, which takes more forms than it documents
// and gives each refusal its code.
type itemPatch map[string]json.RawMessage

// Schema is that of an item.
func (itemPatch) Schema(r huma.Registry) *huma.Schema {
	return r.Schema(reflect.TypeFor[itemWrite](), true, "")
}

// itemWrite is what an item may be written with.
type itemWrite struct {
	ItemID      string         `json:"item_id,omitempty" maxLength:"128" doc:"The shop's id of the item. In one with its id in the path it is left out, or the same." example:"shoe-1"`
	ItemGroupID string         `json:"item_group_id,omitempty" maxLength:"128" doc:"What the variants of one product share; a list shows one of them." example:"shoe"`
	Title       string         `json:"title,omitempty" maxLength:"1024" doc:"What it is called." example:"Trail shoe"`
	Categories  []string       `json:"categories,omitempty" maxItems:"20" doc:"The branches of the shop's category tree that it stands in." example:"[\"Shoes\",\"Outdoor\"]"`
	Brand       string         `json:"brand,omitempty" maxLength:"1024" doc:"Who makes it." example:"Salewa"`
	Price       *float64       `json:"price,omitempty" minimum:"0" doc:"In units of currency." example:"129.95"`
	Currency    string         `json:"currency,omitempty" maxLength:"3" doc:"ISO 4217." example:"EUR"`
	Available   *bool          `json:"available,omitempty" doc:"Whether it may be recommended; an item that does not say may." example:"true"`
	URL         string         `json:"url,omitempty" maxLength:"4096" doc:"Its page." example:"https://shop.example/p/shoe-1"`
	ImageURL    string         `json:"image_url,omitempty" maxLength:"4096" doc:"Its picture." example:"https://shop.example/i/shoe-1.webp"`
	PublishedAt time.Time      `json:"published_at,omitzero" doc:"Since when it is in the shop. Unix milliseconds are taken too." example:"2026-01-31T12:00:00Z"`
	ExpiresAt   time.Time      `json:"expires_at,omitzero" doc:"From then on it is not recommended. Unix milliseconds are taken too." example:"2026-12-31T23:00:00Z"`
	Labels      []string       `json:"labels,omitempty" maxItems:"50" doc:"Flags of the shop." example:"[\"sale\"]"`
	Fields      map[string]any `json:"fields,omitempty" doc:"The shop's own, at most 64: scalars or lists of scalars."`
}

// Precondition makes a write depend on what the item is.
type Precondition struct {
	IfMatch string `header:"If-Match" maxLength:"64" doc:"The ETag of the revision that the change is for; the item is changed only while it is in force. * is any." example:"\"3\""`
}

type deleteItemInput struct {
	ID string `path:"id" minLength:"1" maxLength:"128" doc:"The item_id, percent-encoded." example:"shoe-1"`
	Precondition
}

type writeItemInput struct {
	ID string `path:"id" minLength:"1" maxLength:"128" doc:"The item_id, percent-encoded." example:"shoe-1"`
	Precondition
	api.JSON[itemPatch]
}

// bulkInput documents the body of a bulk write, which handleBulkItems reads: it is an array, or one row a line.
type bulkInput struct {
	api.JSON[[]itemWrite]
}

type bulkOutput struct {
	Body UpsertReport
}

type listItemsInput struct {
	Limit     int    `query:"limit" minimum:"1" maximum:"1000" default:"100" doc:"Items on a page."`
	PageToken string `query:"page_token" maxLength:"256" doc:"The next_page_token of the page before, with the same parameters." example:"c2hvZS0x"`
	Query     string `query:"q" maxLength:"256" doc:"Words, or beginnings of words, of title, brand, categories, labels and item_id, all of which an item must have. One letter may be wrong where nothing is found otherwise." example:"trail sho"`
	Category  string `query:"category" maxLength:"1024" doc:"Items of this category." example:"Shoes"`
	Brand     string `query:"brand" maxLength:"1024" doc:"Items of this brand." example:"Salewa"`
	Available string `query:"available" enum:"true,false" doc:"Items that are available, or those that are not."`
	Filter    string `query:"filter" maxLength:"2048" doc:"Items that match an expression in CEL, as in a request for a list." example:"item.price < 50.0"`
}

type listItemsOutput struct {
	Body itemPage
}

// itemPage is a page of the catalogue.
type itemPage struct {
	Items         []itemAnswer `json:"items" doc:"By item_id; in a search those first that fit best."`
	Total         int          `json:"total" doc:"Items on all pages." example:"240"`
	NextPageToken string       `json:"next_page_token,omitempty" doc:"Asks for the next page; absent on the last." example:"c2hvZS0x"`
}

package serving

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/httpserver"
)

// ifMatch is the revision that a change is for; 0 for whatever there is, anyRevision for any that there is.
type ifMatch int64

const anyRevision ifMatch = -1

// etag is the entity tag of a revision.
func etag(revision int64) string { return `"` + strconv.FormatInt(revision, 10) + `"` }

// readIfMatch reads the header If-Match. Only one tag is taken: an item has one at a time.
func readIfMatch(header string) (ifMatch, *httpserver.Problem) {
	switch header = strings.TrimSpace(header); header {
	case "":
		return 0, nil
	case "*":
		return anyRevision, nil
	}
	tag, err := strconv.Unquote(header)
	revision, numberErr := strconv.ParseInt(tag, 10, 64)
	if err != nil || numberErr != nil || revision < 1 {
		p := invalid("", "If-Match is %q, which is no ETag of an item", header)
		p.Hint = `GET /v1/items/{id} answers the ETag, such as "3", with its quotes`
		return 0, p
	}
	return ifMatch(revision), nil
}

// check refuses a change of another revision than the one in force.
func (m ifMatch) check(current *event.CatalogueRow) *event.Problem {
	live := current != nil && !current.Deleted
	switch {
	case m == 0 || live && (m == anyRevision || int64(m) == current.Revision):
		return nil
	case !live:
		return &event.Problem{Code: CodePrecondition, Detail: "the catalogue has no row of the item"}
	}
	return &event.Problem{Code: CodePrecondition, Detail: fmt.Sprintf("the item is at revision %d, not %d", current.Revision, m)}
}

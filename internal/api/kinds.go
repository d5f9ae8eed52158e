package api

import (
	"net/http"
	"slices"
)

// Kind is one kind of problem in the catalogue.
type Kind struct {
	Slug    string // what stands behind httpserver.ProblemPrefix in type
	Status  int    // the HTTP status that it comes with
	Meaning string // what happened, for whoever reads the catalogue
	Remedy  string // what to do about it
}

// Kinds is every problem that an endpoint may answer, by slug. docs/problems.md is made of it by `make generate`.
var Kinds = []Kind{
	{"admin-call-failed", http.StatusInternalServerError, "A call of the command line to the running process failed; the detail has the cause.", "Do what the detail says."},
	{"admin-token", http.StatusUnauthorized, "A call to the admin listener came without the process's token.", "Use the command line with the same --data-dir; it reads the token."},
	{"batch-too-large", http.StatusRequestEntityTooLarge, "A request holds more events than it may.", "Send fewer events in one request."},
	{"body-too-large", http.StatusRequestEntityTooLarge, "The body has more bytes than the path reads.", "Send fewer entries in one request."},
	{"changed-meanwhile", http.StatusPreconditionFailed, "What is to be changed does not stand as If-Match or If-None-Match says.", "Read it again and send the change on top of that."},
	{"compact-record", http.StatusUnprocessableEntity, "The list was recorded compactly, without what it was made from, so it cannot be made again.", "Replay a list that was explained, or one of the sampled share."},
	{"conflict", http.StatusConflict, "Other writers changed the same thing again and again meanwhile.", "Read it and send the change again."},
	{"empty-body", http.StatusBadRequest, "The request holds no event.", "Send one event, an array, one event a line, or an envelope."},
	{"events-not-stored", http.StatusServiceUnavailable, "The events could not be written. Nothing of the request is acknowledged.", "Send it again, with the same event ids, after Retry-After seconds."},
	{"experiment-state", http.StatusConflict, "The experiment does not stand where this can be done: only a draft is changed or started, and one that runs is not deleted.", "Stop it, or begin another under a new id."},
	{"internal", http.StatusInternalServerError, "A fault in the server. Its log has the cause under the request id.", "Try again; if it persists, look for the request id in the log."},
	{"invalid-expression", http.StatusBadRequest, "A filter, boost or condition cannot be read, or reads what the request does not have; the detail says where.", "Correct it; docs/filters.md has the language."},
	{"invalid-field", http.StatusBadRequest, "A field or parameter has the wrong type, or a value beyond its limits.", "Correct what pointer names."},
	{"invalid-item", http.StatusBadRequest, "An item was refused; the detail begins with the code that a bulk write would give.", "Correct what pointer names."},
	{"invalid-json", http.StatusBadRequest, "The body is no JSON; the detail has line and column.", "Check the body with a JSON parser."},
	{"method-not-allowed", http.StatusMethodNotAllowed, "The path exists, but not with this method.", "Look the path up in /docs."},
	{"missing-key", http.StatusUnauthorized, "The request carries no key.", "Send `Authorization: Bearer sk_...`."},
	{"model-damaged", http.StatusConflict, "A file of the version is damaged, so the one in force stays.", "Promote another version, or train one."},
	{"more-than-this-key", http.StatusForbidden, "A key would make, or be shown, one that may do more than itself.", "Ask with a stronger key, or use `millrace keys` on the machine."},
	{"no-earlier-model", http.StatusConflict, "There is no earlier champion to go back to.", "Promote a version."},
	{"no-erasure-key", http.StatusServiceUnavailable, "People cannot be erased, because no key for the hashes of erased ids is configured. Nothing was erased.", "Set erasure.key for all roles."},
	{"no-lake", http.StatusNotImplemented, "This process does not read the lake.", "Run `millrace users export` where the stream's configuration is."},
	{"no-seal-key", http.StatusServiceUnavailable, "Signing secrets are stored sealed, and no key for that is configured. Nothing was made.", "Set access.seal_key for all processes."},
	{"no-such-key", http.StatusNotFound, "The site has no key in force with this id.", "GET /v1/keys lists them."},
	{"not-found", http.StatusNotFound, "Nothing is served at this path.", "Check the path and its version prefix."},
	{"origin-not-allowed", http.StatusForbidden, "The public key does not read from pages of this origin.", "Create a key that lists the origin."},
	{"placement-in-experiment", http.StatusConflict, "An experiment runs on the placement: no other can be started there, and the placement stays as it is.", "Stop the experiment first."},
	{"placement-not-browser-readable", http.StatusForbidden, "The placement is not open to public keys.", "Ask from a server with a secret key, or mark the placement browser-readable."},
	{"precondition-failed", http.StatusPreconditionFailed, "The item is no longer at the revision that If-Match names.", "Read the item again, and send the change with its ETag."},
	{"scope-needed", http.StatusForbidden, "The secret key lacks the scope that the call needs.", "Send a key with the scope that the detail names."},
	{"secret-key-in-browser", http.StatusForbidden, "A web page sent a secret key, where everybody can read it.", "Revoke it, and put a public key into the page."},
	{"secret-key-in-url", http.StatusUnauthorized, "A secret key stands in the URL, where logs keep it.", "Send it in a header, and replace the key: it has been seen."},
	{"secret-key-needed", http.StatusForbidden, "A public key may send events and read browser-readable placements, nothing else.", "Send a secret key from a server."},
	{"too-many-requests", http.StatusTooManyRequests, "The key, or the network, has made more requests than are allowed at once.", "Wait as long as Retry-After says."},
	{"too-many-rows", http.StatusRequestEntityTooLarge, "A bulk write has more rows than one request may have.", "Send the rows in several requests."},
	{"trailing-data", http.StatusBadRequest, "The body goes on after its JSON value.", "Send one JSON value."},
	{"unavailable", http.StatusServiceUnavailable, "A store or Kafka does not answer at this moment.", "Try again after Retry-After seconds."},
	{"unknown-erasure", http.StatusNotFound, "No erasure of this site has this id.", "Use the id that DELETE /v1/users/{id} answered."},
	{"unknown-experiment", http.StatusNotFound, "The site has no experiment of this id.", "GET /v1/experiments lists them."},
	{"unknown-feed", http.StatusNotFound, "The site has no feed of this name.", "Set it up with PUT /v1/feeds/{name}."},
	{"unknown-field", http.StatusBadRequest, "The body or the URL has a field or parameter that the request does not know.", "Leave it out, or correct its name; the hint lists the known ones."},
	{"unknown-item", http.StatusNotFound, "Neither the catalogue nor any event knows the item.", "Create it with PUT /v1/items/{id}."},
	{"unknown-job", http.StatusNotFound, "The site has no job with this id.", "GET /v1/jobs lists them."},
	{"unknown-key", http.StatusUnauthorized, "The key is unknown, was revoked or has expired.", "`millrace keys list` shows the keys."},
	{"unknown-model", http.StatusNotFound, "The site has no version of this name, or several that begin so.", "GET /v1/models lists them."},
	{"unknown-placement", http.StatusNotFound, "The site has no placement of this name.", "Use one that the hint lists."},
	{"unknown-recommendation", http.StatusNotFound, "No list of the site has this rec_id where it was looked for, or its visitor was erased.", "The answer of /v1/recommend has the rec_id; a dry run is not recorded."},
	{"unknown-rule", http.StatusNotFound, "The site has no rule of this id.", "GET /v1/rules lists them."},
	{"unknown-user", http.StatusNotFound, "The shop has said nothing of this user.", "PUT /v1/users/{id} does."},
	{"unknown-visitor", http.StatusNotFound, "No event of this visitor has been applied.", "Name a user_id, or a browser as anonymous:ID; a refused consent leaves no profile."},
	{"unreadable-body", http.StatusBadRequest, "The body broke off before it was complete.", "Send the request again."},
	{"unsupported-content-encoding", http.StatusUnsupportedMediaType, "The body is encoded in a way that is not read.", "Send it plain, or as gzip or zstd."},
	{"user-token-expired", http.StatusUnauthorized, "The user token has expired.", "Let the shop's server sign a new one."},
	{"user-token-invalid", http.StatusUnauthorized, "The user token was not signed with a signing secret in force of the site, or lives for more than a day.", "Compare with `millrace tokens sign`."},
	{"user-token-needed", http.StatusForbidden, "A page asked for a named user's list without proof that it is this user's page.", "Send a user_token, leave user_id out, or ask from a server with a secret key."},
	{"user-token-of-another", http.StatusForbidden, "The user token was signed for another user than user_id names.", "Leave user_id out: the token says it."},
}

// kindOf finds a kind in the catalogue.
func kindOf(slug string) (Kind, bool) {
	i := slices.IndexFunc(Kinds, func(k Kind) bool { return k.Slug == slug })
	if i < 0 {
		return Kind{}, false
	}
	return Kinds[i], true
}

package serving

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/millrace/millrace/internal/api"
	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/httpserver"
)

// ProblemUnknownUser is the type of a request for a user of whom the shop said nothing.
const ProblemUnknownUser = "unknown-user"

type putUserInput struct {
	ID string `path:"id" minLength:"1" maxLength:"138" doc:"A user_id." example:"customer-42"`
	api.JSON[userWrite]
}

type userOutput struct{ Body control.UserAttributes }

func (s *Serving) putUser(ctx context.Context, site string, in *putUserInput) (*userOutput, *httpserver.Problem) {
	user, p := userName(site, in.ID)
	if p == nil {
		p = checkAttributes(in.Value.Attributes)
	}
	if p != nil {
		return nil, p
	}
	text, err := json.Marshal(in.Value.Attributes)
	if err != nil {
		return nil, httpserver.Fault(err)
	}
	written, err := s.control.PutUserAttributes(ctx, control.UserAttributes{Site: site, UserID: user, Attributes: text})
	if err != nil {
		return nil, httpserver.Fault(err)
	}
	s.attributes.forget(site, user)
	return &userOutput{Body: written}, nil
}

func (s *Serving) getUser(ctx context.Context, site string, in *userInput) (*userOutput, *httpserver.Problem) {
	user, p := userName(site, in.ID)
	if p != nil {
		return nil, p
	}
	row, ok, err := s.control.UserAttributes(ctx, site, user)
	if err != nil {
		return nil, httpserver.Fault(err)
	}
	if !ok {
		return nil, unknownUser()
	}
	return &userOutput{Body: row}, nil
}

// userWrite is what a shop says of a user.
type userWrite struct {
	Attributes map[string]any `json:"attributes" maxProperties:"32" doc:"At most 32 texts, numbers and booleans by name. Filters know them as user.NAME." example:"{\"tier\":\"gold\",\"age\":42}"`
}

// checkAttributes refuses what is no bounded map of scalars.
func checkAttributes(values map[string]any) *httpserver.Problem {
	if len(values) > MaxAttributes {
		return invalid("/attributes", "attributes has %d entries, the limit is %d", len(values), MaxAttributes)
	}
	for name, value := range values {
		pointer := "/attributes/" + httpserver.EscapePointer(name)
		if !event.CheckType(name) {
			return invalid(pointer, "the name %.50q is not 1 to 40 characters of a-z, 0-9 and _, a letter first", name)
		}
		switch v := value.(type) {
		case bool, float64:
		case string:
			if len(v) > maxAttributeBytes {
				return invalid(pointer, "the text has more than %d bytes", maxAttributeBytes)
			}
		default:
			return invalid(pointer, "an attribute is a text, a number or a boolean")
		}
	}
	return nil
}

// userName is the user_id of a path; a browser has no attributes.
func userName(site, id string) (string, *httpserver.Problem) {
	who, p := who(site, id)
	if p == nil && who.User == "" {
		p = invalid("", "attributes are of users; anonymous:ID names a browser")
	}
	return who.User, p
}

func unknownUser() *httpserver.Problem {
	return &httpserver.Problem{
		Type: ProblemUnknownUser, Title: "Unknown user", Status: http.StatusNotFound,
		Detail: "the shop has said nothing of this user", Hint: "PUT /v1/users/{id} does; GET /v1/users/{id}/features tells what events say",
	}
}

package lake

import (
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/apache/iceberg-go/table"
)

// restServer stands in for the server of an Iceberg REST catalog: it knows the paths of the specification that a lake needs,
// checks requirements, applies updates and writes metadata itself, as servers do. A part of its answers gets lost or is a
// refusal.
type restServer struct {
	t     *testing.T
	files files // where it reads and writes metadata
	token string

	mu     sync.Mutex
	tables map[string]string // name -> metadata location
	random *rand.Rand
	faults map[string]int
}

// startRESTServer runs a server until the test ends, over the files of its lakes, and returns its URL.
func startRESTServer(t *testing.T, in files, seed uint64) (*restServer, string) {
	t.Helper()
	s := &restServer{t: t, files: in, token: "let me in", tables: make(map[string]string), random: rand.New(rand.NewPCG(seed, 5)), faults: make(map[string]int)}
	server := httptest.NewServer(s)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return s, server.URL
}

// fault draws what happens to a request.
func (s *restServer) fault() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := map[int]string{0: "lost", 1: "refused"}[s.random.IntN(12)]
	if name != "" {
		s.faults[name]++
	}
	return name
}

// ServeHTTP implements http.Handler.
func (s *restServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") != "Bearer "+s.token {
		answerError(w, http.StatusUnauthorized, "NotAuthorizedException")
		return
	}
	switch s.fault() {
	case "refused":
		answerError(w, http.StatusServiceUnavailable, "ServiceUnavailableException")
	case "lost":
		s.serve(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler)
	default:
		s.serve(w, r)
	}
}

func (s *restServer) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.files.close() // keeps no connection, for tests that look for what is left
	name, isTable := strings.CutPrefix(r.URL.Path, "/v1/namespaces/"+Namespace+"/tables/")
	switch {
	case r.URL.Path == "/v1/config":
		answer(w, map[string]any{"defaults": map[string]string{}, "overrides": map[string]string{}})
	case r.URL.Path == "/v1/namespaces":
		answerError(w, http.StatusConflict, "AlreadyExistsException")
	case r.URL.Path == "/v1/namespaces/"+Namespace+"/register":
		s.register(w, r)
	case isTable && s.tables[name] == "":
		answerError(w, http.StatusNotFound, "NoSuchTableException")
	case isTable && r.Method == http.MethodGet:
		s.answerTable(w, r, name)
	case isTable && r.Method == http.MethodPost:
		s.commit(w, r, name)
	default:
		answerError(w, http.StatusNotFound, "NotFoundException")
	}
}

func (s *restServer) register(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Name string `json:"name"`
		At   string `json:"metadata-location"`
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		answerError(w, http.StatusBadRequest, "BadRequestException")
		return
	}
	if s.tables[in.Name] != "" {
		answerError(w, http.StatusConflict, "AlreadyExistsException")
		return
	}
	s.tables[in.Name] = in.At
	s.answerTable(w, r, in.Name)
}

func (s *restServer) metadata(r *http.Request, name string) (table.Metadata, error) {
	text, err := readFile(r.Context(), s.files, s.tables[name])
	if err != nil {
		return nil, err
	}
	return table.ParseMetadataBytes(text)
}

func (s *restServer) answerTable(w http.ResponseWriter, r *http.Request, name string) {
	meta, err := s.metadata(r, name)
	if err != nil {
		answerError(w, http.StatusInternalServerError, err.Error())
		return
	}
	answer(w, map[string]any{"metadata-location": s.tables[name], "metadata": meta})
}

func (s *restServer) commit(w http.ResponseWriter, r *http.Request, name string) {
	var in struct {
		Requirements table.Requirements `json:"requirements"`
		Updates      table.Updates      `json:"updates"`
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		answerError(w, http.StatusBadRequest, err.Error())
		return
	}
	meta, err := s.metadata(r, name)
	if err != nil {
		answerError(w, http.StatusInternalServerError, err.Error())
		return
	}
	for _, required := range in.Requirements {
		if err := required.Validate(meta); err != nil {
			answerError(w, http.StatusConflict, "CommitFailedException")
			return
		}
	}
	next, err := table.UpdateTableMetadata(meta, in.Updates, s.tables[name])
	if err != nil {
		answerError(w, http.StatusBadRequest, err.Error())
		return
	}
	number, err := metadataNumber(s.tables[name])
	at := ""
	if err == nil {
		at, err = stage(r.Context(), s.files, next, number+1)
	}
	if err != nil {
		answerError(w, http.StatusInternalServerError, err.Error())
		return
	}
	s.tables[name] = at
	s.answerTable(w, r, name)
}

func answer(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body)
}

func answerError(w http.ResponseWriter, status int, kind string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"error": map[string]any{"message": kind, "type": kind, "code": status}})
}

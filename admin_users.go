package main

import (
	"context"
	"net/http"

	"github.com/go-chi/chi/v5"

	"github.com/millrace/millrace/internal/control"
	"github.com/millrace/millrace/internal/erasure"
	"github.com/millrace/millrace/internal/httpserver"
	"github.com/millrace/millrace/stream"
)

// userRequest names a person of a site: a user_id, or anonymous:ID for a browser.
type userRequest struct {
	Site string `json:"site"`
	ID   string `json:"id"`
}

// erasureRequest names an erasure of a site.
type erasureRequest struct {
	Site    string `json:"site"`
	Erasure string `json:"erasure"`
}

// userRoutes are the calls of commands about people.
func (s *system) userRoutes(r chi.Router) {
	answerBody(s, r, adminErase, func(ctx context.Context, q userRequest) (e control.Erasure, err error) {
		who, err := erasure.ParseWho(q.Site, q.ID)
		if err != nil {
			return e, err
		}
		return s.control.RequestErasure(ctx, who)
	})
	answerBody(s, r, adminErasure, func(ctx context.Context, q erasureRequest) (control.Erasure, error) {
		return s.control.Erasure(ctx, q.Site, q.Erasure)
	})
	answerBody(s, r, adminVerifyErased, func(ctx context.Context, q userRequest) (report stream.PersonReport, err error) {
		who, err := erasure.ParseWho(q.Site, q.ID)
		if err == nil {
			err = s.drained(ctx) // what is on its way counts, too
		}
		if err != nil {
			return report, err
		}
		return s.stream.VerifyErased(ctx, who)
	})
	r.Post(adminExport, s.handleExport)
}

// handleExport streams what is held about a person. An error in the middle cuts the connection.
func (s *system) handleExport(w http.ResponseWriter, req *http.Request) {
	var q userRequest
	if p := httpserver.ReadJSON(w, req, maxAdminRequestBytes, &q); p != nil {
		httpserver.WriteProblem(w, req, *p)
		return
	}
	who, err := erasure.ParseWho(q.Site, q.ID)
	if err != nil {
		s.answer(w, req, nil, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if err := s.stream.Export(req.Context(), who, w); err != nil {
		s.log.Error("an export was broken off", "error", err)
		panic(http.ErrAbortHandler)
	}
}

package main

import (
	"context"
	"net/http"

	"github.com/go-chi/chi/v5"

	"github.com/millrace/millrace/internal/event"
	"github.com/millrace/millrace/internal/httpserver"
	"github.com/millrace/millrace/stream"
)

// maxAdminRequestBytes bounds the body of a command's call: a cursor over some thousand partitions.
const maxAdminRequestBytes = 1 << 20

// listLettersRequest asks for the newest dead letters.
type listLettersRequest struct {
	Limit int `json:"limit"`
}

// rebuildStatusRequest asks how far the rebuild of a generation has come.
type rebuildStatusRequest struct {
	Generation int64 `json:"generation"`
}

// growRequest asks for a topic to have more partitions, and how far that has come.
type growRequest struct {
	Topic      string `json:"topic"`
	Partitions int32  `json:"partitions,omitempty"`
}

// streamRoutes are the calls of commands that the stream answers.
func (s *system) streamRoutes(r chi.Router) {
	r.Post(adminDrain, func(w http.ResponseWriter, req *http.Request) {
		s.answer(w, req, struct{}{}, s.drained(req.Context()))
	})
	r.Post(adminVerify, func(w http.ResponseWriter, req *http.Request) {
		report, err := s.verify(req.Context())
		s.answer(w, req, report, err)
	})
	r.Post(adminRebuild, func(w http.ResponseWriter, req *http.Request) {
		var status stream.RebuildStatus
		generation, err := s.control.RequestRebuild(req.Context(), event.TopicEvents)
		if err == nil {
			status, err = s.stream.RebuildStatus(req.Context(), generation)
		}
		s.answer(w, req, status, err)
	})
	answerBody(s, r, adminRebuildStatus, func(ctx context.Context, q rebuildStatusRequest) (stream.RebuildStatus, error) {
		return s.stream.RebuildStatus(ctx, q.Generation)
	})
	answerBody(s, r, adminGrow, func(ctx context.Context, q growRequest) (struct{}, error) {
		return struct{}{}, s.stream.Grow(ctx, q.Topic, q.Partitions)
	})
	answerBody(s, r, adminGrowStatus, func(ctx context.Context, q growRequest) (stream.GrowStatus, error) {
		return s.stream.GrowStatus(ctx, q.Topic)
	})
	answerBody(s, r, adminLetters, func(ctx context.Context, q listLettersRequest) (stream.LetterList, error) {
		return s.stream.Letters(ctx, q.Limit)
	})
	answerBody(s, r, adminReplayLetters, s.stream.ReplayLetters)
	s.userRoutes(r)
}

// answerBody serves a call of a command that sends a Q.
func answerBody[Q, A any](s *system, r chi.Router, path string, do func(context.Context, Q) (A, error)) {
	r.Post(path, func(w http.ResponseWriter, req *http.Request) {
		var body Q
		if p := httpserver.ReadJSON(w, req, maxAdminRequestBytes, &body); p != nil {
			httpserver.WriteProblem(w, req, *p)
			return
		}
		answer, err := do(req.Context(), body)
		s.answer(w, req, answer, err)
	})
}

package main

import (
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
	r.Post(adminRebuildStatus, func(w http.ResponseWriter, req *http.Request) {
		var body rebuildStatusRequest
		if p := httpserver.ReadJSON(w, req, maxAdminRequestBytes, &body); p != nil {
			httpserver.WriteProblem(w, req, *p)
			return
		}
		status, err := s.stream.RebuildStatus(req.Context(), body.Generation)
		s.answer(w, req, status, err)
	})
	r.Post(adminGrow, func(w http.ResponseWriter, req *http.Request) {
		var body growRequest
		if p := httpserver.ReadJSON(w, req, maxAdminRequestBytes, &body); p != nil {
			httpserver.WriteProblem(w, req, *p)
			return
		}
		s.answer(w, req, struct{}{}, s.stream.Grow(req.Context(), body.Topic, body.Partitions))
	})
	r.Post(adminGrowStatus, func(w http.ResponseWriter, req *http.Request) {
		var body growRequest
		if p := httpserver.ReadJSON(w, req, maxAdminRequestBytes, &body); p != nil {
			httpserver.WriteProblem(w, req, *p)
			return
		}
		status, err := s.stream.GrowStatus(req.Context(), body.Topic)
		s.answer(w, req, status, err)
	})
	r.Post(adminLetters, func(w http.ResponseWriter, req *http.Request) {
		var body listLettersRequest
		if p := httpserver.ReadJSON(w, req, maxAdminRequestBytes, &body); p != nil {
			httpserver.WriteProblem(w, req, *p)
			return
		}
		list, err := s.stream.Letters(req.Context(), body.Limit)
		s.answer(w, req, list, err)
	})
	r.Post(adminReplayLetters, func(w http.ResponseWriter, req *http.Request) {
		var body stream.ReplayRequest
		if p := httpserver.ReadJSON(w, req, maxAdminRequestBytes, &body); p != nil {
			httpserver.WriteProblem(w, req, *p)
			return
		}
		report, err := s.stream.ReplayLetters(req.Context(), body)
		s.answer(w, req, report, err)
	})
}

package importer

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/millrace/millrace/internal/event"
)

// maxAnswerBytes bounds what is read of an answer: a verdict on every row of a batch takes less.
const maxAnswerBytes = 1 << 20

// HTTPItems writes to the catalogue of a running Millrace through POST /v1/items:bulk. The secret key decides the site.
type HTTPItems struct {
	URL    string // base of the API, such as http://127.0.0.1:8080
	Key    string // sk_...
	Client *http.Client
}

// Upsert implements ItemSink.
func (h HTTPItems) Upsert(ctx context.Context, _ string, rows []json.RawMessage) (rejects []ItemReject, err error) {
	body, err := json.Marshal(rows)
	if err != nil {
		return nil, fmt.Errorf("encode items: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimRight(h.URL, "/")+"/v1/items:bulk", bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("write items: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+h.Key)
	resp, err := h.Client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("write items: %w", err)
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswerBytes))
	_ = resp.Body.Close() // read to its end, or useless
	if err != nil {
		return nil, fmt.Errorf("write items: read answer: %w", err)
	}
	if resp.StatusCode/100 != 2 {
		return nil, fmt.Errorf("write items: %s: %s", resp.Status, bytes.TrimSpace(text))
	}
	var answer struct {
		Rejected []struct {
			Index   int    `json:"index"`
			Code    string `json:"code"`
			Detail  string `json:"detail"`
			Pointer string `json:"pointer"`
		} `json:"rejected"`
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return nil, fmt.Errorf("write items: read answer: %w", err)
	}
	for _, r := range answer.Rejected {
		reason := event.Problem{Code: r.Code, Detail: r.Detail, Pointer: r.Pointer}
		rejects = append(rejects, ItemReject{Index: r.Index, Reason: reason.Error()})
	}
	return rejects, nil
}

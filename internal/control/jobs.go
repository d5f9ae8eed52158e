package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/millrace/millrace/internal/event"
)

// JobState is where a job stands. Only JobRunning changes.
type JobState string

// The states of a job.
const (
	JobRunning   JobState = "running"
	JobDone      JobState = "done"
	JobFailed    JobState = "failed"
	JobCancelled JobState = "cancelled" // its process was told to stop, or lost its lease; the work is still to be done
)

const (
	// JobTTL is how long a running job counts as alive after its last UpdateJob. A process that dies is noticed within
	// it; a living one updates at least every JobTTL/3.
	JobTTL = time.Minute
	// DefaultJobs is how many jobs a listing holds when no limit is given.
	DefaultJobs = 100
	// JobRetention is how long ended jobs stay listed.
	JobRetention = 180 * 24 * time.Hour
	// lostDetail is what a job says whose process ended without a word.
	lostDetail = "its process ended or hung before the job did"
)

// ErrJobEnded means that a job is not running any more, or that it never existed.
var ErrJobEnded = errors.New("job is not running")

// Job is one long piece of work and what became of it. Progress runs from 0 to 1; Result is a JSON document, present
// when the job is done. A job whose owner died reads as failed.
type Job struct {
	ID        string          `json:"id" doc:"Names the job." example:"job_q5xw3m7k2ahd4e6f"`
	Kind      string          `json:"kind" doc:"What it does." example:"train"`
	Site      string          `json:"site" doc:"For whom." example:"default"`
	State     JobState        `json:"state" enum:"running,done,failed,cancelled" doc:"Where it stands."`
	Progress  float64         `json:"progress" doc:"From 0 to 1."`
	Stage     string          `json:"stage,omitempty" doc:"What it is at."`
	Detail    string          `json:"detail,omitempty" doc:"Why it was started, or what became of it."`
	Result    json.RawMessage `json:"result,omitempty" doc:"What it made, when it is done."`
	StartedAt time.Time       `json:"started_at" doc:"When it began."`
	UpdatedAt time.Time       `json:"updated_at" doc:"When it was last heard of."`
	EndedAt   time.Time       `json:"ended_at,omitzero" doc:"When it ended."`
}

// JobProgress is what the owner of a running job tells.
type JobProgress struct {
	Progress float64 // 0 to 1
	Stage    string
	Detail   string
}

// JobOutcome is how a job ends: JobDone, JobFailed or JobCancelled. Result, if any, is stored as JSON.
type JobOutcome struct {
	State  JobState
	Detail string
	Result any
}

// JobFilter selects jobs; empty fields select all. Limit 0 means DefaultJobs.
type JobFilter struct {
	ID    string
	Kind  string
	Site  string
	State JobState
	Limit int
}

// StartJob records a job as running. It must be updated within JobTTL, again and again, until FinishJob.
func (s *Store) StartJob(ctx context.Context, kind, site, detail string) (Job, error) {
	if err := event.CheckSite(site); err != nil {
		return Job{}, fmt.Errorf("start job: %w", err)
	}
	now, err := s.now(ctx)
	if err != nil {
		return Job{}, fmt.Errorf("start job: %w", err)
	}
	_, err = s.db.ExecContext(ctx, `DELETE FROM jobs WHERE started_at < ? AND expires_at < ?`,
		millis(now.Add(-JobRetention)), millis(now))
	if err != nil {
		return Job{}, fmt.Errorf("forget old jobs: %w", err)
	}
	j := Job{ID: newID("job"), Kind: kind, Site: site, State: JobRunning, Detail: detail, StartedAt: now, UpdatedAt: now}
	_, err = s.db.ExecContext(ctx,
		`INSERT INTO jobs (id, kind, site, state, progress, stage, detail, result, started_at, updated_at, ended_at, expires_at)
		 VALUES (?, ?, ?, ?, 0, '', ?, '', ?, ?, 0, ?)`,
		j.ID, j.Kind, j.Site, string(j.State), j.Detail, millis(now), millis(now), millis(now.Add(JobTTL)))
	if err != nil {
		return Job{}, fmt.Errorf("start job %s: %w", kind, err)
	}
	return j, nil
}

// UpdateJob records progress and keeps the job alive for another JobTTL. ErrJobEnded tells the owner to stop.
func (s *Store) UpdateJob(ctx context.Context, id string, p JobProgress) error {
	now, err := s.now(ctx)
	if err != nil {
		return fmt.Errorf("update job %s: %w", clip(id), err)
	}
	res, err := s.db.ExecContext(ctx,
		`UPDATE jobs SET progress = ?, stage = ?, detail = ?, updated_at = ?, expires_at = ? WHERE id = ? AND state = ?`,
		min(max(p.Progress, 0), 1), p.Stage, p.Detail, millis(now), millis(now.Add(JobTTL)), id, string(JobRunning))
	return changedOne(res, err, "update job "+clip(id), ErrJobEnded)
}

// FinishJob ends a running job. ErrJobEnded means that somebody ended it before.
func (s *Store) FinishJob(ctx context.Context, id string, o JobOutcome) error {
	if o.State != JobDone && o.State != JobFailed && o.State != JobCancelled {
		return fmt.Errorf("finish job %s: %q is not an end state", clip(id), o.State)
	}
	var result []byte
	if o.Result != nil {
		var err error
		if result, err = json.Marshal(o.Result); err != nil {
			return fmt.Errorf("encode result of job %s: %w", clip(id), err)
		}
	}
	ended, err := s.now(ctx)
	if err != nil {
		return fmt.Errorf("finish job %s: %w", clip(id), err)
	}
	now := millis(ended)
	res, err := s.db.ExecContext(ctx,
		`UPDATE jobs SET state = ?, detail = ?, result = ?, progress = CASE WHEN ? = 'done' THEN 1 ELSE progress END,
		 updated_at = ?, ended_at = ? WHERE id = ? AND state = ?`,
		string(o.State), o.Detail, string(result), string(o.State), now, now, id, string(JobRunning))
	return changedOne(res, err, "finish job "+clip(id), ErrJobEnded)
}

// Jobs lists jobs, newest first.
func (s *Store) Jobs(ctx context.Context, f JobFilter) ([]Job, error) {
	if f.Limit <= 0 {
		f.Limit = DefaultJobs
	}
	now, err := s.now(ctx)
	if err != nil {
		return nil, fmt.Errorf("read jobs: %w", err)
	}
	// A lost job is failed in every reading although no one wrote it down: reading does not write.
	rows, err := s.db.QueryContext(ctx,
		`SELECT id, kind, site, shown, progress, stage, CASE WHEN shown = state THEN detail ELSE ? END,
		        result, started_at, updated_at, CASE WHEN shown = state THEN ended_at ELSE expires_at END
		 FROM (SELECT jobs.*, CASE WHEN state = 'running' AND expires_at <= ? THEN 'failed' ELSE state END AS shown FROM jobs) AS j
		 WHERE (? = '' OR id = ?) AND (? = '' OR kind = ?) AND (? = '' OR site = ?) AND (? = '' OR shown = ?)
		 ORDER BY started_at DESC, id DESC LIMIT ?`,
		lostDetail, millis(now), f.ID, f.ID, f.Kind, f.Kind, f.Site, f.Site, string(f.State), string(f.State), f.Limit)
	if err != nil {
		return nil, fmt.Errorf("read jobs: %w", err)
	}
	defer rows.Close()
	var jobs []Job
	for rows.Next() {
		var j Job
		var result string
		var started, updated, ended int64
		err := rows.Scan(&j.ID, &j.Kind, &j.Site, &j.State, &j.Progress, &j.Stage, &j.Detail, &result, &started, &updated, &ended)
		if err != nil {
			return nil, fmt.Errorf("read job: %w", err)
		}
		if result != "" {
			j.Result = json.RawMessage(result)
		}
		j.StartedAt, j.UpdatedAt, j.EndedAt = fromMillis(started), fromMillis(updated), fromMillis(ended)
		jobs = append(jobs, j)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read jobs: %w", err)
	}
	return jobs, nil
}

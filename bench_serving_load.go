package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/millrace/millrace/internal/event"
)

// samples is how many answers the usual one is chosen from.
const samples = 101

// fullLoad asks as fast as is answered, round for round beside the constant handler, and keeps the medians by placement.
func (b *servingBench) fullLoad(ctx context.Context) error {
	rates, constants := map[string][]float64{}, map[string][]float64{}
	var scans []float64
	for round := range servingRounds {
		for _, p := range b.load.placements {
			if round == 0 {
				if err := b.warm(ctx, p.name); err != nil {
					return err
				}
			}
			got, err := b.ask(ctx, p.name, loadOrder{Connections: servingConnections, Seconds: servingRound})
			if err != nil {
				return err
			}
			limit, err := b.askConstant(p.name, loadOrder{Connections: servingConnections, Seconds: servingRound})
			if err != nil {
				return err
			}
			rates[p.name], constants[p.name] = append(rates[p.name], got.perSecond()), append(constants[p.name], limit.perSecond())
			b.say("round %d of %d: %s %.0f/s (p50 %.2f, p99 %.2f ms), constant %.0f/s", round+1, servingRounds, p.name,
				got.perSecond(), got.P50, got.P99, limit.perSecond())
			if p.scan {
				scans = append(scans, scansPerSecond())
			}
		}
	}
	b.most, b.limits = map[string]float64{}, map[string]float64{}
	for _, p := range b.load.placements {
		b.most[p.name], b.limits[p.name] = median(rates[p.name]), median(constants[p.name])
		limit, what := b.limits[p.name], "the same HTTP stack with a constant answer"
		if p.scan {
			if err := b.emit(p.name+"_beside_constant", b.most[p.name], "req/s", limit, what); err != nil {
				return err
			}
			limit, what = median(scans), "scans of 100,000 x 64 factors on all processors"
		}
		if err := b.emit(p.name, b.most[p.name], "req/s", limit, what); err != nil {
			return err
		}
		if err := b.emit(p.name+"_beside_target", b.most[p.name], "req/s", p.target, "target"); err != nil {
			return err
		}
	}
	return nil
}

// halfLoad lets half as many requests arrive as the system can answer, and looks at how long each waits and what is recorded.
func (b *servingBench) halfLoad(ctx context.Context) error {
	dropped, err := b.dropped()
	if err != nil {
		return err
	}
	before, err := b.recorded(ctx)
	if err != nil {
		return err
	}
	answers := 0
	for _, p := range b.load.placements {
		n, err := b.halfOf(ctx, p.name)
		if err != nil {
			return err
		}
		answers += n
	}
	after, err := b.recorded(ctx)
	if err != nil {
		return err
	}
	now, err := b.dropped()
	if err != nil {
		return err
	}
	if err := b.emit("exposures_dropped", now-dropped, "lists", 0, "none may be"); err != nil {
		return err
	}
	return b.emit("exposures_recorded", float64(after-before), "lists", float64(answers), "answers")
}

// halfOf is half of the load of one placement, round for round beside the constant handler at half of its own: that is as busy a machine,
// and what anybody waits for on it.
func (b *servingBench) halfOf(ctx context.Context, placement string) (answers int, err error) {
	var p50, p99, limits []float64
	for round := range servingRounds {
		got, err := b.ask(ctx, placement, loadOrder{Connections: halfConnections, Seconds: servingHalf, Rate: b.most[placement] / 2})
		if err != nil {
			return 0, err
		}
		limit, err := b.askConstant(placement, loadOrder{Connections: halfConnections, Seconds: servingHalf, Rate: b.limits[placement] / 2})
		if err != nil {
			return 0, err
		}
		b.say("round %d of %d: %s at %.0f/s: p50 %.2f, p99 %.2f, p99.9 %.2f, slowest %.1f ms; constant at %.0f/s: p50 %.2f, p99 %.2f", round+1, servingRounds,
			placement, b.most[placement]/2, got.P50, got.P99, got.P999, got.Slowest, b.limits[placement]/2, limit.P50, limit.P99)
		answers += got.Answers
		p50, p99, limits = append(p50, got.P50), append(p99, got.P99), append(limits, limit.P99)
	}
	if err := b.emit(placement+"_half_p50", median(p50), "ms", halfLimit, "what is promised"); err != nil {
		return 0, err
	}
	if err := b.emit(placement+"_half_p99", median(p99), "ms", halfLimit, "what is promised"); err != nil {
		return 0, err
	}
	return answers, b.emit(placement+"_half_p99_beside_constant", median(p99), "ms", median(limits), "the constant answer at half of its own load")
}

// warm asks a placement for a while, and takes the constant answer from what came.
func (b *servingBench) warm(ctx context.Context, placement string) error {
	bodies := b.bodies(placement)
	var answers [][]byte
	for _, body := range bodies[:min(samples, len(bodies))] {
		answer, err := b.post(ctx, "/v1/recommend", body)
		if err != nil {
			return err
		}
		answers = append(answers, answer)
	}
	slices.SortFunc(answers, func(a, b []byte) int { return cmp.Compare(len(a), len(b)) })
	usual := answers[len(answers)/2]
	if err := checkUsual(usual); err != nil {
		return fmt.Errorf("placement %s: %w", placement, err)
	}
	b.constant.answer(placement, usual)
	if err := os.WriteFile(b.bodiesFile(placement), bytes.Join(append(bodies, nil), []byte("\n")), 0o600); err != nil {
		return fmt.Errorf("write the requests to send: %w", err)
	}
	_, err := b.ask(ctx, placement, loadOrder{Connections: servingConnections, Seconds: servingWarm})
	return err
}

// checkUsual reports an answer that does not come from where the placement's lists should.
func checkUsual(answer []byte) error {
	var list struct {
		ServedBy string            `json:"served_by"`
		Degraded string            `json:"degraded"`
		Items    []json.RawMessage `json:"items"`
	}
	if err := json.Unmarshal(answer, &list); err != nil {
		return fmt.Errorf("read an answer: %w", err)
	}
	if list.Degraded != "none" || len(list.Items) == 0 {
		return fmt.Errorf("the usual answer has %d items, served by %s, degraded %s", len(list.Items), list.ServedBy, list.Degraded)
	}
	return nil
}

// ask runs load against the recommendation API; every request must be answered with a list.
func (b *servingBench) ask(ctx context.Context, placement string, order loadOrder) (loadReport, error) {
	what := profileProcessors
	if order.Rate > 0 {
		what = profileWaits
	}
	stop, err := b.profile(ctx, placement, what, order)
	if err != nil {
		return loadReport{}, err
	}
	report, err := b.send(placement, b.toServing(order))
	return report, errors.Join(err, report.perfect(), stop())
}

// askConstant runs the same load against the constant handler.
func (b *servingBench) askConstant(placement string, order loadOrder) (loadReport, error) {
	report, err := b.send(placement, b.toConstant(placement, order))
	return report, errors.Join(err, report.perfect())
}

func (b *servingBench) toServing(order loadOrder) loadOrder {
	order.Address, order.Path = b.system.info.Listen, "/v1/recommend"
	return order
}

func (b *servingBench) toConstant(placement string, order loadOrder) loadOrder {
	order.Address, order.Path = b.constant.server.Addr(), "/"+placement
	return order
}

func (b *servingBench) send(placement string, order loadOrder) (loadReport, error) {
	order.Key, order.Bodies = b.secret, b.bodiesFile(placement)
	return b.generator.run(order)
}

func (b *servingBench) bodiesFile(placement string) string {
	return filepath.Join(b.dir, placement+".jsonl")
}

// bodies are the requests for a placement, one for each visitor or item in turn.
func (b *servingBench) bodies(placement string) [][]byte {
	var bodies [][]byte
	if placement == "item" {
		for _, id := range b.items {
			bodies = append(bodies, fmt.Appendf(nil, `{"placement":"item","item_ids":[%q]}`, id))
		}
		return bodies
	}
	for _, id := range b.visitors {
		bodies = append(bodies, fmt.Appendf(nil, `{"placement":%q,"anonymous_id":%q}`, placement, id))
	}
	return bodies
}

// post asks the recommendation API once.
func (b *servingBench) post(ctx context.Context, path string, body []byte) ([]byte, error) {
	return b.call(ctx, http.MethodPost, path, b.secret, body)
}

// call sends one request to the public listener.
func (b *servingBench) call(ctx context.Context, method, path, key string, body []byte) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, method, "http://"+b.system.info.Listen+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	r.Header.Set("Authorization", "Bearer "+key)
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAdminAnswerBytes))
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", method, path, err)
	}
	if response.StatusCode/100 != 2 {
		return nil, fmt.Errorf("%s %s: %s: %s", method, path, response.Status, answer)
	}
	return answer, nil
}

const (
	// recordedQuiet is how long the topic must stand still for everything to have arrived: some batches of exposures.
	recordedQuiet = 300 * time.Millisecond
	recordedPoll  = 20 * time.Millisecond
)

// recorded is how many lists the topic of exposures holds, once no more arrive.
func (b *servingBench) recorded(ctx context.Context) (int64, error) {
	last, since := int64(-1), time.Now()
	for {
		ranges, err := b.system.kafka.Offsets(ctx, event.TopicExposures)
		if err != nil {
			return 0, fmt.Errorf("count exposures: %w", err)
		}
		count := int64(0)
		for _, r := range ranges {
			count += r.End
		}
		if count != last {
			last, since = count, time.Now()
		}
		if time.Since(since) > recordedQuiet {
			return count, nil
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(recordedPoll):
		}
	}
}

// dropped is how many lists were not recorded, as the metric says.
func (b *servingBench) dropped() (float64, error) {
	families, err := b.system.metrics.Gather()
	if err != nil {
		return 0, fmt.Errorf("read metrics: %w", err)
	}
	for _, family := range families {
		if family.GetName() == "millrace_exposures_dropped_total" {
			return family.GetMetric()[0].GetCounter().GetValue(), nil
		}
	}
	return 0, errors.New("there is no metric of dropped exposures")
}

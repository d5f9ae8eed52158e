//go:build race

package stream

import "runtime/debug"

// raceCollects is how many percent the heap may grow between two collections under the race detector, where a fifth of the processor
// would go into collecting hundreds of short-lived lakes and databases, and into making again what a collection takes out of pools.
// Benchmarks, and tests that measure memory, run without the detector.
const raceCollects = 400

func init() { debug.SetGCPercent(raceCollects) }

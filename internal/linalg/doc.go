// Package linalg is the dense linear algebra under the models: what takes minutes in plain loops and seconds in kernels that
// use the vector units of a processor. It knows nothing of items and visitors.
//
// In double precision: Symmetric, a matrix in half the memory of a square one, inverted in its own place on all processors,
// and Cholesky, which solves one small system after the other. Both stand on one kernel, a product of two packed panels, of
// which every processor gets the fastest form that it can run. All forms add the same products in the same order, each with one
// rounding, so the results are the same bits on every processor and with any number of them.
package linalg

// Package linalg is the dense linear algebra under the models: what takes minutes in plain loops and seconds in kernels that
// use the vector units of a processor. It knows nothing of items and visitors.
//
// In double precision: Symmetric, a matrix in half the memory of a square one, inverted in its own place on all processors,
// and Cholesky, which solves one small system after the other. Both stand on one kernel, a product of two packed panels, of
// which every processor gets the fastest form that it can run. All forms add the same products in the same order, each with one
// rounding, so the results are the same bits on every processor and with any number of them.
//
// In single precision, where memory is scanned or gathered and no large matrix is multiplied: DotRows, AddRows and AddProjected over
// rows that lie one after the other, AddGram, and Triangle, which solves a system within a request. Each has a form in assembly and a
// plain one; they sum in different orders, so two kinds of processor differ in the last bits. One always gives the same.
package linalg

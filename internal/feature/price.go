package feature

import (
	"math"
	"strconv"
)

// PriceBand names the band of a price: floor(2 * log2(price)), so that a band ends where prices are 1.41 times those where
// it begins. Band 12 is from 64 to below 90.51. A price that is not above 0 has no band (""). The band is computed from
// the float's parts, because a logarithm may be rounded differently on another machine.
func PriceBand(price float64) string {
	if !(price > 0) || math.IsInf(price, 1) {
		return ""
	}
	fraction, exponent := math.Frexp(price) // price = fraction * 2^exponent, fraction in [0.5, 1)
	band := 2 * (exponent - 1)
	if fraction >= math.Sqrt2/2 {
		band++
	}
	return strconv.Itoa(band)
}

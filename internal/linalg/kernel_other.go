//go:build !amd64

package linalg

func fastest() kernel { return portable }

func kernels() []kernel { return []kernel{portable} }

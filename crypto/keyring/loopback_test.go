package keyring

import "context"

// loopback wraps nothing: for tests inside the package, which cannot import
// cryptotest.
type loopback struct{}

func (loopback) Wrap(_ context.Context, _ string, items []WrapItem) ([]WrapResult, error) {
	out := make([]WrapResult, len(items))
	for i, it := range items {
		out[i] = WrapResult{Blob: string(it.Plaintext), KeyVersion: 1}
	}
	return out, nil
}

func (loopback) Unwrap(_ context.Context, _ string, items []UnwrapItem) ([]UnwrapResult, error) {
	out := make([]UnwrapResult, len(items))
	for i, it := range items {
		out[i].Plaintext = []byte(it.Blob)
	}
	return out, nil
}

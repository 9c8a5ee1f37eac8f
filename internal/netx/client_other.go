//go:build !linux

package netx

// systemOptions is empty: NotSent and Timeout have no counterpart here.
func (o ClientOptions) systemOptions() []option { return nil }

package certs

import "crypto/tls"

// set is the certificates of a server.
type set []*pair

// choose is tls.Config.GetCertificate.
func (s set) choose(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	all := make([]*tls.Certificate, len(s))
	for i, p := range s {
		all[i] = p.get()
	}
	return choose(hello, all), nil
}

// choose takes the first certificate that is for the name and that the client can use;
// without one the first that it can use, under another name; without that the first, and
// the client will say what it misses.
func choose(hello *tls.ClientHelloInfo, all []*tls.Certificate) *tls.Certificate {
	if len(all) == 1 {
		return all[0]
	}
	unnamed := *hello
	unnamed.ServerName = ""
	for _, h := range []*tls.ClientHelloInfo{hello, &unnamed} {
		for _, c := range all {
			if h.SupportsCertificate(c) == nil {
				return c
			}
		}
	}
	return all[0]
}

package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net/netip"
	"net/url"
	"strconv"
	"time"
)

// The parameters of a request that are for this package alone.
const (
	paramToken   = "token"
	paramExpires = "expires"
	paramSign    = "sign"
	paramIP      = "ip"
)

// Sign returns the query that lets a request for path in until expires, in whole seconds.
// If ip is valid, that address alone may use it. path begins with a slash and is as the
// client will send it: percent-encoding is not touched on either side, so /udp/%32… and
// /udp/2… are two paths.
func Sign(secret []byte, path string, expires time.Time, ip netip.Addr) (query string) {
	seconds := strconv.FormatInt(expires.Unix(), 10)
	query = paramExpires + "=" + seconds
	signed := path + "\n" + seconds
	if ip.IsValid() {
		addr := ip.Unmap().WithZone("").String()
		query += "&" + paramIP + "=" + url.QueryEscape(addr)
		signed += "\n" + addr
	}
	return query + "&" + paramSign + "=" + hex.EncodeToString(signature(secret, signed))
}

func signature(secret []byte, signed string) []byte {
	h := hmac.New(sha256.New, secret)
	h.Write([]byte(signed))
	return h.Sum(nil)
}

// checkSigned judges the signature of a request, which has one.
func checkSigned(secrets [][]byte, q *Question, now time.Time) Answer {
	expires, ip := q.Query.Get(paramExpires), q.Query.Get(paramIP)
	signed := q.Path + "\n" + expires
	if q.Query.Has(paramIP) {
		signed += "\n" + ip
	}
	if !signedByAny(secrets, signed, q.Query.Get(paramSign)) {
		return refused("bad signature")
	}
	seconds, err := strconv.ParseInt(expires, 10, 64)
	if err != nil {
		return refused("bad time in a signed URL")
	}
	if now.Unix() >= seconds {
		return refused("signed URL has expired")
	}
	if q.Query.Has(paramIP) {
		if addr, err := netip.ParseAddr(ip); err != nil || addr.Unmap() != q.Peer.Addr().Unmap().WithZone("") {
			return refused("signed URL of another address")
		}
	}
	return Answer{}
}

// signedByAny tries every key, also when one has fitted.
func signedByAny(secrets [][]byte, signed, sign string) bool {
	got, err := hex.DecodeString(sign)
	if err != nil {
		return false
	}
	fits := 0
	for _, s := range secrets {
		fits |= subtle.ConstantTimeCompare(got, signature(s, signed))
	}
	return fits == 1
}

// token is a static token by its digest: digests are equally long, so that comparing them
// tells nothing.
type token struct {
	name   string
	digest [sha256.Size]byte
}

// nameOf is the name of the token with that value, "" if there is none. It compares with
// all of them, also when one has fitted.
func nameOf(tokens []token, value string) string {
	digest := sha256.Sum256([]byte(value))
	found := -1
	for i := range tokens {
		found = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(digest[:], tokens[i].digest[:]), i, found)
	}
	if found < 0 {
		return ""
	}
	return tokens[found].name
}

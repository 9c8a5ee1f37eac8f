package alias

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"sluice/internal/uri"
)

const (
	fetchTimeout = 10 * time.Second
	maxRedirects = 5
)

// origin is a playlist and where it came from.
type origin struct {
	text    []byte
	base    string // the URL, redirects followed, or the file: what relative URLs relate to
	foreign bool   // it came from the net, and not from this machine or link alone
}

// fetch gets a playlist. Its errors hold no URL: that may have credentials.
func fetch(ctx context.Context, from uri.End) (got origin, err error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, from.String(), http.NoBody)
	if err != nil {
		return got, withoutURL(err)
	}
	request.Header.Set("User-Agent", "sluice")
	var foreign atomic.Bool
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		if err == nil && !isLocalPeer(conn) {
			foreign.Store(true)
		}
		return conn, err
	}
	transport := &http.Transport{DialContext: dial, DisableKeepAlives: true} // which takes no proxy from the environment
	client := http.Client{Transport: transport, CheckRedirect: followFew}
	response, err := client.Do(request)
	if err != nil {
		return got, withoutURL(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return got, fmt.Errorf("the server answered %d", response.StatusCode)
	}
	got = origin{base: response.Request.URL.String(), foreign: foreign.Load()}
	got.text, err = readAll(response.Body)
	return got, withoutURL(err)
}

// isLocalPeer says whether the other end is this machine, or on this link only.
func isLocalPeer(conn net.Conn) bool {
	peer, ok := conn.RemoteAddr().(*net.TCPAddr)
	return ok && isLocalAddr(peer.AddrPort().Addr().Unmap())
}

// followFew bounds the redirects, whose servers do not learn from where: there may be a key
// in the query.
func followFew(next *http.Request, before []*http.Request) error {
	next.Header.Del("Referer")
	if len(before) > maxRedirects {
		return fmt.Errorf("more than %d redirects", maxRedirects)
	}
	return nil
}

// withoutURL takes the URL off an error of net/http.
func withoutURL(err error) error {
	var of *url.Error
	if errors.As(err, &of) {
		return of.Err
	}
	return err
}

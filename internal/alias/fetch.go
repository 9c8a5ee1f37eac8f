package alias

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"sluice/internal/uri"
)

const (
	fetchTimeout = 10 * time.Second
	maxRedirects = 5
)

// fetch gets a playlist, and tells from which URL, redirects followed. Its errors hold no
// URL: that may have credentials.
func fetch(ctx context.Context, from uri.End) (text []byte, base string, err error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, from.String(), http.NoBody)
	if err != nil {
		return nil, "", withoutURL(err)
	}
	request.Header.Set("User-Agent", "sluice")
	transport := &http.Transport{DisableKeepAlives: true} // which takes no proxy from the environment
	client := http.Client{Transport: transport, CheckRedirect: followFew}
	response, err := client.Do(request)
	if err != nil {
		return nil, "", withoutURL(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, "", fmt.Errorf("the server answered %d", response.StatusCode)
	}
	text, err = readAll(response.Body)
	return text, response.Request.URL.String(), withoutURL(err)
}

func followFew(_ *http.Request, before []*http.Request) error {
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

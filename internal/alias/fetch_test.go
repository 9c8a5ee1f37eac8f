package alias

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sluice/internal/lineup"
	"sluice/internal/testkit"
)

// provider is a server of playlists.
func provider(t *testing.T) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("/list.m3u", func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		if user != "me" || password != "p/w" || r.URL.RawQuery != "token=SECRET" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		fmt.Fprint(w, "#EXTM3U\n#EXTINF:-1,One\nudp://@239.1.1.1:5000\n#EXTINF:-1,Two\none/two.ts\n")
	})
	mux.HandleFunc("/moved/{n}", func(w http.ResponseWriter, r *http.Request) {
		var n int
		_, _ = fmt.Sscan(r.PathValue("n"), &n)
		to := fmt.Sprintf("/moved/%d", n-1)
		if n == 1 {
			to = "/below/list"
		}
		http.Redirect(w, r, to, http.StatusFound)
	})
	mux.HandleFunc("/below/list", func(w http.ResponseWriter, r *http.Request) {
		if r.Referer() != "" { // which would have the key of the one before
			w.WriteHeader(http.StatusTeapot)
			return
		}
		fmt.Fprint(w, "#EXTINF:-1,Two\ntwo.ts\n")
	})
	mux.HandleFunc("/endless", func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := w.Write([]byte(strings.Repeat("#", 1<<16))); err != nil {
				return
			}
		}
	})
	mux.HandleFunc("/silent", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server
}

func TestLoadPlaylistFromURL(t *testing.T) {
	testkit.NoLeaks(t)
	host := strings.TrimPrefix(provider(t).URL, "http://")
	got, err := LoadPlaylist(t.Context(), "http://me:p%2Fw@"+host+"/list.m3u?token=SECRET", lineup.Defaults())
	if err != nil || len(got.Channels) != 2 || got.Name != "http://-@"+host+"/list.m3u?-" {
		t.Fatalf("%+v, %v", got, err)
	}
	if s := got.Channels[1].Sources[0].String(); s != "http://me:p%2Fw@"+host+"/one/two.ts" {
		t.Errorf("relative to %s", s)
	}
	got, err = LoadPlaylist(t.Context(), "http://"+host+"/moved/5?key=SECRET", lineup.Defaults())
	if err != nil || got.Channels[0].Sources[0].String() != "http://"+host+"/below/two.ts" {
		t.Errorf("after redirects: %+v, %v", got, err)
	}
}

func TestLoadPlaylistFails(t *testing.T) {
	testkit.NoLeaks(t)
	host := strings.TrimPrefix(provider(t).URL, "http://")
	tls := httptest.NewUnstartedServer(http.NotFoundHandler()) // whose certificate nobody has signed
	tls.Config.ErrorLog = log.New(io.Discard, "", 0)
	tls.StartTLS()
	defer tls.Close()
	for where, want := range map[string]string{
		"http://me:SECRET@" + host + "/list.m3u?token=SECRET": "answered 401",
		"http://" + host + "/none?SECRET":                     "answered 404",
		"http://" + host + "/moved/6?SECRET":                  "more than 5 redirects",
		"http://" + host + "/endless?SECRET":                  "more than 8 MiB",
		"http://u:SECRET@127.0.0.1:1/list.m3u?SECRET":         "refused",
		"http://u:SECRET@h:x/?SECRET":                         "bad port",
		tls.URL + "/?SECRET":                                  "certificate",
		filepath.Join(t.TempDir(), "none.m3u"):                "no such file",
	} {
		_, err := LoadPlaylist(t.Context(), where, lineup.Defaults())
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "SECRET") {
			t.Errorf("%s: %v, want %s", where, err, want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := LoadPlaylist(ctx, "http://"+host+"/silent", lineup.Defaults()); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestLoadPlaylistFromFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "list.m3u")
	if err := os.WriteFile(path, []byte(somePlaylist), 0o644); err != nil {
		t.Fatal(err)
	}
	if got, err := LoadPlaylist(t.Context(), path, lineup.Defaults()); err != nil || len(got.Channels) != 9 || got.Name != path {
		t.Errorf("%+v, %v", got, err)
	}
}

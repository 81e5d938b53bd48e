package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"golang.org/x/sys/unix"
)

// ErrNotRunning means that no daemon listens on the socket.
var ErrNotRunning = errors.New("no daemon is running")

// Client asks a running daemon.
type Client struct {
	http http.Client
}

// NewClient returns a client for the socket at path.
func NewClient(path string) *Client {
	return &Client{http.Client{
		Transport: &http.Transport{
			DisableKeepAlives: true,
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				var d net.Dialer
				return d.DialContext(ctx, "unix", path)
			},
		},
	}}
}

// Status asks what the daemon is doing.
func (c *Client) Status(ctx context.Context) (Status, error) {
	var s Status
	err := c.ask(ctx, http.MethodGet, "/v1/status", nil, &s)
	return s, err
}

// Bans returns the running bans.
func (c *Client) Bans(ctx context.Context) ([]Ban, error) {
	var list []Ban
	err := c.ask(ctx, http.MethodGet, "/v1/bans", nil, &list)
	return list, err
}

// Ban bans an address; length 0 is for ever.
func (c *Client) Ban(ctx context.Context, set, address string, length time.Duration) (Ban, error) {
	var b Ban
	err := c.ask(ctx, http.MethodPost, "/v1/bans", banRequest{set, address, int64(length / time.Second)}, &b)
	return b, err
}

// Unban lifts the bans of an address, in all sets if set is "", and returns them.
func (c *Client) Unban(ctx context.Context, address netip.Addr, set string) ([]Ban, error) {
	var list []Ban
	q := url.Values{"address": {address.String()}, "set": {set}}
	err := c.ask(ctx, http.MethodDelete, "/v1/bans?"+q.Encode(), nil, &list)
	return list, err
}

// Reload has the daemon load its configuration anew, and returns when that is done.
func (c *Client) Reload(ctx context.Context, o ReloadOptions) (Reload, error) {
	var r Reload
	err := c.askWithin(ctx, reloadTimeout+2*requestTimeout, http.MethodPost, "/v1/reload", o, &r)
	return r, err
}

// RetryMail has a mail of the outbox sent at once.
func (c *Client) RetryMail(ctx context.Context, id int64) error {
	return c.ask(ctx, http.MethodPost, fmt.Sprintf("/v1/mail/%d/retry", id), nil, &struct{}{})
}

// DropMail removes a mail from the outbox.
func (c *Client) DropMail(ctx context.Context, id int64) error {
	return c.ask(ctx, http.MethodDelete, fmt.Sprintf("/v1/mail/%d", id), nil, &struct{}{})
}

// SendReport has a report mailed, and returns what it is about.
func (c *Client) SendReport(ctx context.Context, p Period) (string, error) {
	var s Sent
	err := c.askWithin(ctx, reportTimeout+2*requestTimeout, http.MethodPost, "/v1/report", p, &s)
	return s.Summary, err
}

func (c *Client) ask(ctx context.Context, method, path string, body, into any) error {
	return c.askWithin(ctx, 3*requestTimeout, method, path, body, into)
}

// askWithin sends a request, and waits for the answer for a bounded time.
func (c *Client) askWithin(ctx context.Context, limit time.Duration, method, path string, body, into any) (err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("there is no answer after %v", limit))
	defer cancel()
	var reader io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return fmt.Errorf("ask the daemon: %w", err)
		}
		reader = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://pyruse"+path, reader)
	if err != nil {
		return fmt.Errorf("ask the daemon: %w", err)
	}
	res, err := c.http.Do(req)
	if errors.Is(err, unix.ECONNREFUSED) || errors.Is(err, fs.ErrNotExist) {
		return errors.Join(ErrNotRunning, err)
	}
	if err != nil {
		return fmt.Errorf("ask the daemon: %w", err)
	}
	defer func() { err = errors.Join(err, res.Body.Close()) }()
	dec := json.NewDecoder(res.Body)
	if res.StatusCode != http.StatusOK {
		var f failure
		if err := dec.Decode(&f); err != nil {
			return fmt.Errorf("ask the daemon: it answered %s", res.Status)
		}
		return errors.New(f.Error)
	}
	if err := dec.Decode(into); err != nil {
		return fmt.Errorf("read the daemon's answer: %w", err)
	}
	return nil
}

package mail

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/textproto"
	"os"
	"time"
)

// tlsConfig returns how TLS is to be done; nil without TLS.
func (s *SMTP) tlsConfig() (*tls.Config, error) {
	if s.TLS == NoTLS {
		return nil, nil
	}
	conf := &tls.Config{ServerName: s.ServerName, MinVersion: tls.VersionTLS12}
	if conf.ServerName == "" {
		conf.ServerName = s.Host
	}
	if s.CAFile != "" {
		pem, err := os.ReadFile(s.CAFile)
		if err != nil {
			return nil, fmt.Errorf("read caFile: %w", err)
		}
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("read caFile: %s has no certificate in PEM", s.CAFile)
		}
	}
	if s.CertFile == "" {
		return conf, nil
	}
	cert, err := clientCertificate(s.CertFile, s.KeyFile)
	if err != nil {
		return nil, err
	}
	conf.Certificates = []tls.Certificate{cert}
	return conf, nil
}

// clientCertificate reads a certificate and its key, which is as secret as a password.
func clientCertificate(certFile, keyFile string) (tls.Certificate, error) {
	cert, err := os.ReadFile(certFile)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("read certificate: %w", err)
	}
	key, err := readSecretFile(keyFile)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("read key %s: %w", Visible(keyFile, ""), err)
	}
	pair, err := tls.X509KeyPair(cert, []byte(key))
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("use certificate %s: %w", Visible(certFile, ""), err)
	}
	return pair, nil
}

// startTLS asks for TLS (RFC 3207), and says EHLO again. Whatever the server, or somebody in between, has said in clear is
// forgotten, and what was sent in clear after the reply to STARTTLS breaks the handshake. go-smtp
// can do this too, but not with a name of its user's choice in the first EHLO.
func (c *session) startTLS(ctx context.Context, conf *tls.Config) error {
	if ok, _ := c.client.Extension("STARTTLS"); !ok {
		return errors.New(`server does not offer STARTTLS, and nothing is sent in clear; ` +
			`if it expects TLS from the start, set "tls" to "implicit"`)
	}
	if err := c.wire.SetDeadline(time.Now().Add(commandTimeout)); err != nil {
		return c.fail(err)
	}
	if _, err := c.wire.Write([]byte("STARTTLS\r\n")); err != nil {
		return c.fail(err)
	}
	reply := textproto.NewReader(bufio.NewReader(byteReader{c.wire}))
	if _, _, err := reply.ReadResponse(220); err != nil {
		return c.fail(err)
	}
	if err := c.handshake(ctx, conf); err != nil {
		return err
	}
	// The server does not greet again, but a new client of go-smtp waits for that.
	c.wire.ahead = []byte("220 \r\n")
	return c.hello()
}

// byteReader reads single bytes, so that nothing is read ahead.
type byteReader struct{ w *wire }

func (b byteReader) Read(p []byte) (int, error) { return b.w.Read(p[:min(len(p), 1)]) }

// handshake starts TLS on the connection.
func (c *session) handshake(ctx context.Context, conf *tls.Config) error {
	step := c.wire.step
	c.wire.begin("TLS handshake")
	c.wire.flush()
	if err := c.wire.SetDeadline(time.Now().Add(commandTimeout)); err != nil {
		return c.fail(err)
	}
	conn := tls.Client(c.wire.Conn, conf)
	if err := conn.HandshakeContext(ctx); err != nil {
		c.wire.failed(err)
		return fmt.Errorf("%w%s", c.fail(err), c.smtp.tlsHint(err))
	}
	c.wire.Conn = conn
	st := conn.ConnectionState()
	c.wire.note(fmt.Sprintf("   [%s, certificate of %s, valid until %s]", tls.VersionName(st.Version),
		c.wire.show(certificateName(st.PeerCertificates[0]), maxServerText), st.PeerCertificates[0].NotAfter.UTC().Format(time.DateOnly)))
	c.wire.begin(step)
	return nil
}

// certificateName returns the name that a certificate is known by.
func certificateName(cert *x509.Certificate) string {
	if len(cert.DNSNames) > 0 {
		return cert.DNSNames[0]
	}
	return cert.Subject.String()
}

// tlsHint says what can be done about an error of the handshake.
func (s *SMTP) tlsHint(err error) string {
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	var authority x509.UnknownAuthorityError
	var noTLS tls.RecordHeaderError
	switch {
	case errors.As(err, &name):
		return `; if this is the right server, set "serverName" to a name in its certificate`
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "; the server needs a new certificate, or this machine the right time"
	case errors.As(err, &authority) && s.CAFile != "":
		return fmt.Sprintf(`; the authority that signed it is not in "caFile" (%s)`, Visible(s.CAFile, ""))
	case errors.As(err, &authority):
		return `; set "caFile" to the certificate of the authority that signed it, if you trust that`
	case errors.As(err, &noTLS) && s.TLS == ImplicitTLS:
		return `; if the server speaks clear text first, as on port 587, set "tls" to "starttls"`
	}
	return ""
}

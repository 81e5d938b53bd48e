package mail

import (
	"bytes"
	"fmt"
	"io"
	"mime"
	"strings"

	"github.com/emersion/go-message"
)

// shownFields are the header fields that are of interest to people, in the order in which they are shown.
var shownFields = []string{"From", "To", "Subject", "Date", "Message-ID"}

// Readable returns a composed message as people read it: the header fields that matter, and the plain text, decoded, with nothing in
// it that could steer a terminal.
func Readable(data []byte) (string, error) {
	e, err := message.Read(bytes.NewReader(data))
	if err != nil {
		return "", fmt.Errorf("read the message: %w", err)
	}
	var b strings.Builder
	decoder := new(mime.WordDecoder)
	for _, name := range shownFields {
		value := e.Header.Get(name)
		if plain, err := decoder.DecodeHeader(value); err == nil {
			value = plain
		}
		if value != "" {
			fmt.Fprintf(&b, "%s: %s\n", name, Visible(value, ""))
		}
	}
	text, err := plainText(e)
	if err != nil {
		return "", fmt.Errorf("read the message: %w", err)
	}
	return b.String() + "\n" + Visible(text, "\n\t"), nil
}

// plainText returns the plain text of a message, or of its first part that is one.
func plainText(e *message.Entity) (string, error) {
	parts := e.MultipartReader()
	if parts == nil {
		text, err := io.ReadAll(io.LimitReader(e.Body, 2*maxText))
		return string(text), err
	}
	for {
		part, err := parts.NextPart()
		if err != nil {
			return "", err
		}
		if kind, _, err := part.Header.ContentType(); err == nil && kind == "text/plain" {
			return plainText(part)
		}
	}
}

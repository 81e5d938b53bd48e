package report

import (
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestMask(t *testing.T) {
	for _, c := range []struct{ line, want string }{
		{"", ""},
		{"no variable here", "no variable here"},
		{"a  b\tc\n", "a  b\tc\n"},
		{"12 -5 +7 3.14 1.2.3 100% 1,234", "<num> <num> <num> <num> <num> <num>% <num>,<num>"},
		{"12ms 4.5GB 1h2min3.5s 10µs 3rd", "<num>ms <num>GB <num>h<num>min<num>s <num>µs <num>rd"},
		{"12.5q 1_000", "<num>.5q <num>_<num>"},
		{"192.0.2.1 192.0.2.1:443 192.0.2.0/24 192.0.2.1#53 192.0.2.1.", "<ip> <ip>:<num> <ip>/<num> <ip>#<num> <ip>."},
		{"1.2.3.4.5 256.1.1.1 192.0.2.01", "<num> <num> <num>"},
		{"2001:db8::1 [2001:db8::1]:22 fe80::1%eth0 ::1 :: ::ffff:192.0.2.1 2001:db8::/32", "<ip> [<ip>]:<num> <ip>%eth0 <ip> <ip> <ip> <ip>/<num>"},
		{"Foo::Bar std::dead a:b:c", "Foo::Bar std::dead a:b:c"},
		{"52:54:00:12:34:56 52-54-00-12-34-56 52:54:00:12:34", "<mac> <mac> <num>:<num>:<num>:<num>:<num>"},
		{"0x1f 0xZZ deadbeef deadbeef1 12345678 da39a3ee5e6b4b0d3255bfef95601890afd80709", "<hex> 0xZZ deadbeef <hex> <num> <hex>"},
		{"3f2a6c1e-0d4b-4c55-9d7e-2b1a0c9e8f7d /x/3f2a6c1e-0d4b-4c55-9d7e-2b1a0c9e8f7d/y", "<uuid> /x/<uuid>/y"},
		{"0000:00:1f.6", "<pci>"},
		{"2026-11-25 2026-11-25T08:01:02Z 2026-11-25T08:01:02.123+01:00 2026/11/25 08:01:02,123 9:01:02 25/Nov/2026:08:01:02", "<time> <time> <time> <time> <time> <time> <time>"},
		{"Jan  2 03:04:05 x", "<date> x"},
		{"at Mon Jan  2 03:04:05 2006, Mon, 02 Jan 2006 15:04:05 GMT", "at <date>, <date> GMT"},
		{"Jan 2 is no date", "Jan <num> is no date"},
		{"4bKp2T3Qz6z1k 4F1A2B3C4D a1b2c3d veth4f3a2b1", "<id> <hex> <id> <id>"},
		{"ssh2 ipv4 IPv6 ext4 sha256 utf8 eth0 sda1 tls1.3 TLSv1.2 x86_64 md5 h2 HTTP/1.1 curve25519 sha256sum nvme0n1p2 enp0s31f6 python3.11",
			"ssh2 ipv4 IPv6 ext4 sha256 utf8 eth0 sda1 tls1.3 TLSv1.2 x86_64 md5 h2 HTTP/1.1 curve25519 sha256sum nvme0n1p2 enp0s31f6 python3.11"},
		{"req123456", "req<num>"},
		{"bob@example.org <bob+x@example.org>, user@1000.service root@localhost", `<email> \<<email>>, user@<num>.service root@localhost`},
		{"SHA256:q0k3V9bT2yHcXw7sLr1ZpM4uNfE8aGdJ6iOtKBxQRvY", "SHA256:<id>"},
		{"/run/user/1000: /a:b=c,d https://example.org:8443/a?x=1,2&y=(3): end", "/run/user/<num>: /a:b=c,d https://example.org:<num>/a?x=<num>,<num>&y=(<num>): end"},
		{"pid=4711, [12] (13) user=<bob>", `pid=<num>, [<num>] (<num>) user=\<bob>`},
		{`<ip> \ \<ip> <*>`, `\<ip> \\ \\\<ip> \<*>`},
		{`"GET / HTTP/1.1" "Mozilla/5.0 (X11; 1.2)" "HTTP/1.1 404"`, `"GET / HTTP/1.1" "<agent>" "HTTP/1.1 <num>"`},
		{"Jörg 日本語 \xff\xfe\x00", "Jörg 日本語 \ufffd\ufffd\x00"},
		{strings.Repeat("x ", 250), strings.Repeat("x ", 200) + "<...>"},
		{strings.Repeat("x", 5000), "<...>"},
		{"head " + strings.Repeat("x", 5000), "head <...>"},
	} {
		var m masker
		if got := string(m.mask(c.line)); got != c.want {
			t.Errorf("%q:\n got %q\nwant %q", c.line, got, c.want)
		}
	}
}

// checkMask checks what must hold for each line: the text of its template can be parsed, masking does not join or move white space,
// and the expression of the template matches the line.
func checkMask(t *testing.T, line string) {
	t.Helper()
	var m masker
	text := string(m.mask(line))
	if !utf8.ValidString(text) {
		t.Errorf("%q: the text %q is no UTF-8", line, text)
	}
	if _, err := ParseTemplate(text); err != nil {
		t.Errorf("%q: %q: %v", line, text, err)
	}
	re, err := regexp.Compile(Template{Text: text}.Regexp())
	if err != nil {
		t.Errorf("%q: %q: %v", line, text, err)
		return
	}
	if !re.MatchString(line) {
		t.Errorf("%s does not match %q", re, line)
	}
	// Any word may become a name.
	shape := shapeOf(text, nil)
	end, names := 0, ""
	for _, p := range shape {
		names += text[end:p.start]
		switch p.class {
		case openWord:
			names += anyWord
		case numberWord:
			names += anyID
		default:
			names += text[p.start:p.end]
		}
		end = p.end
	}
	names += text[end:]
	re, err = regexp.Compile(Template{Text: names}.Regexp())
	if err != nil {
		t.Errorf("%q: %q: %v", line, names, err)
	} else if !re.MatchString(line) {
		t.Errorf("%s does not match %q", re, line)
	}
	again := shapeOf(names, nil)
	if len(again) != len(shape) || string(appendBucketKey(nil, names, again)) != string(appendBucketKey(nil, text, shape)) {
		t.Errorf("%q and %q are not in one bucket", text, names)
	}
}

func FuzzMask(f *testing.F) {
	for _, line := range []string{
		"", "Failed password for invalid user bob from 192.0.2.7 port 40000 ssh2", `<ip> \ \<ip> <*> <`, "/a:b?c=d,e' f", "https://x\\<y", "Jan  2 03:04:05.1 x",
		"\xff<\x00\x1c\u2003", strings.Repeat("a b", 900), "::1.2 52-54-00-12-34-56", "user user user user", "user=user=for by x", "123é 1.2.3. ... !? a.",
		`"curl/8.5.0"`, "x86_64 HTTP/1.1x", "-1 +2s -x", "\r" + strings.Repeat("x", 2000), "0x 0x1", "a@b.cd a@b.service", "1h2m 3sx 4.5.6q",
	} {
		f.Add(line)
	}
	f.Fuzz(checkMask)
}

func BenchmarkMask(b *testing.B) {
	lines := []string{
		"Failed password for invalid user bob from 192.0.2.7 port 40000 ssh2",
		"4bKp2T3Qz6z1k: to=<bob@example.org>, relay=mx.example.org[192.0.2.25]:25, delay=0.52, dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as 4bKp2V5Hz1z9d)",
	}
	var m masker
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		m.mask(lines[i%2])
		i++
	}
}

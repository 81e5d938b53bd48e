package journal

import "testing"

func TestOriginOf(t *testing.T) {
	const id = "3d1219c7c4c5404aaa1f6d2a48adfda4"
	dir := place{dir: "/var/log/journal/remote", grouped: true}
	files := place{patterns: []string{"/a/*.journal"}, grouped: true}
	for _, c := range []struct {
		p          place
		path, want string
	}{
		{dir, "/var/log/journal/remote/remote-web.journal", "remote-web"},
		{dir, "/var/log/journal/remote/remote-web@0123-1-2.journal", "remote-web"},
		{dir, "/var/log/journal/remote/remote-192.0.2.1@0123-1.journal~", "remote-192.0.2.1"},
		{dir, "/var/log/journal/remote/system.journal", ""},
		{dir, "/var/log/journal/remote/" + id + "/system@1-2-3.journal", id + "/"},
		{dir, "/var/log/journal/remote/" + id + "/user-1000.journal", id + "/"},
		{dir, "/var/log/journal/remote/" + id + ".web/system.journal", id + ".web/"},
		{files, "/a/remote-web@1.journal", "/a/remote-web"},
		{files, "/a/system.journal", "/a/"},
		{place{patterns: []string{"/a/*.journal"}}, "/a/system.journal", ""},
	} {
		if got := c.p.originOf(c.path); got != c.want {
			t.Errorf("originOf(%q) = %q, want %q", c.path, got, c.want)
		}
	}
}

func TestIsMachineDir(t *testing.T) {
	for name, want := range map[string]bool{
		"3d1219c7c4c5404aaa1f6d2a48adfda4": true, "3d1219c7c4c5404aaa1f6d2a48adfda4.web": true,
		"remote": false, "": false, "3d1219c7c4c5404aaa1f6d2a48adfdaz": false, "3d1219c7": false,
	} {
		if isMachineDir(name) != want {
			t.Errorf("isMachineDir(%q) = %v", name, !want)
		}
	}
}

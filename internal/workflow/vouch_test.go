package workflow_test

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/pyruse/pyruse/internal/config"
	"github.com/pyruse/pyruse/internal/workflow"
)

// TestVouching says which questions are enough to ban.
func TestVouching(t *testing.T) {
	const (
		equals  = `"filter": "filter_equals", "args": {"field": %q, "value": %s}`
		in      = `"filter": "filter_in", "args": {"field": %q, "values": %s}`
		atLeast = `"filter": "filter_greaterOrEquals", "args": {"field": %q, "value": %s}`
		atMost  = `"filter": "filter_lowerOrEquals", "args": {"field": %q, "value": %s}`
		pcre    = `"filter": "filter_pcre", "args": {"field": %q, "re": %s}`
	)
	for _, x := range []struct {
		filter, field, value string
		then, els            bool // whether they are vouched for
	}{
		{equals, "_SYSTEMD_UNIT", `"ssh.service"`, true, false},
		{equals, "_SYSTEMD_UNIT", `"init.scope"`, true, false},
		{equals, "_SYSTEMD_UNIT", `"user@1000.service"`, false, false},
		{equals, "_SYSTEMD_UNIT", `"session-7.scope"`, false, false},
		{equals, "_SYSTEMD_UNIT", `"cron.service"`, false, false},
		{in, "_SYSTEMD_UNIT", `["ssh.service", "sshd.service"]`, true, false},
		{in, "_SYSTEMD_UNIT", `["ssh.service", null]`, false, false},
		{in, "_SYSTEMD_UNIT", `["ssh.service", "session-7.scope"]`, false, false},
		{pcre, "_SYSTEMD_UNIT", `"^ssh"`, true, false},
		{pcre, "_SYSTEMD_UNIT", `".*"`, false, false},
		{pcre, "_SYSTEMD_UNIT", `"service$"`, false, false},
		{pcre, "_SYSTEMD_UNIT", `"^$"`, false, false},
		{equals, "_SYSTEMD_UNIT", `"cronie.service"`, false, false},
		{equals, "_SYSTEMD_SLICE", `"system.slice"`, false, false},
		{in, "_SYSTEMD_SLICE", `["system-postfix.slice", "system.slice"]`, false, false},
		{equals, "_SYSTEMD_SLICE", `"system-postfix.slice"`, true, false},
		{pcre, "_SYSTEMD_SLICE", `"^system"`, false, false},
		{pcre, "_SYSTEMD_SLICE", `"^system-"`, true, false},
		{equals, "_SYSTEMD_SLICE", `"user-1000.slice"`, false, false},
		{pcre, "_SYSTEMD_CGROUP", `"^/system\\.slice/ssh"`, true, false},
		{pcre, "_SYSTEMD_CGROUP", `"^/system\\.slice/"`, false, false},
		{pcre, "_SYSTEMD_CGROUP", `"ssh\\.service$"`, false, false}, // of a user's own
		{pcre, "_SYSTEMD_CGROUP", `"^/system\\.slice/ssh\\.service$"`, true, false},
		{equals, "_SYSTEMD_CGROUP", `"/system.slice/cron.service/x"`, false, false},
		{equals, "_UID", `0`, true, false},
		{equals, "_UID", `1000`, true, false},
		{in, "_UID", `[0, 33]`, true, false},
		{atMost, "_UID", `999`, true, false},
		{atMost, "_UID", `1000`, false, false},
		{atLeast, "_UID", `1000`, false, true},
		{atLeast, "_UID", `500`, false, true},
		{atLeast, "_UID", `1001`, false, false},
		{atMost, "_UID", `0`, true, false},
		{pcre, "_UID", `"^0$"`, true, false},
		{pcre, "_UID", `"0"`, false, false},
		{equals, "_GID", `0`, true, false},
		{atMost, "_GID", `0`, true, false},
		{atMost, "_GID", `999`, false, false},
		{equals, "_AUDIT_LOGINUID", `0`, true, false},
		{atLeast, "_AUDIT_LOGINUID", `1000`, false, false},
		{equals, "_EXE", `"/usr/sbin/sshd"`, true, false},
		{equals, "_EXE", `"/usr/bin/logger"`, false, false},
		{equals, "_EXE", `"/usr/bin/python3.11"`, false, false},
		{equals, "_EXE", `"/usr/bin/shutdown"`, true, false},
		{equals, "_EXE", `"/home/me/server"`, false, false},
		{pcre, "_EXE", `".*"`, false, false},
		{pcre, "_EXE", `"."`, false, false},
		{pcre, "_EXE", `"/sshd$"`, false, false},
		{pcre, "_EXE", `"sshd"`, false, false},
		{pcre, "_EXE", `"(^|/)sshd$"`, false, false},
		{pcre, "_EXE", `"^.*/sshd$"`, false, false},
		{pcre, "_EXE", `"^/[^/]+/sshd$"`, false, false},
		{pcre, "_EXE", `"^/(?:usr|home)/.*/sshd$"`, false, false},
		{pcre, "_EXE", `"^/(?:usr/sbin|home/.*)/sshd$"`, false, false},
		{pcre, "_EXE", `"^/tmp/ssh"`, false, false},
		{pcre, "_EXE", `"/usr/sbin/sshd$"`, false, false},
		{pcre, "_EXE", `"^/usr/bin/m?awk$"`, false, false},
		{pcre, "_EXE", `"^/usr/bin/tclsh"`, false, false},
		{pcre, "_EXE", `"^/usr/sbin/sshd$"`, true, false},
		{pcre, "_EXE", `"^/usr/(?:sbin|lib/openssh)/sshd(?:-session)?$"`, true, false},
		{pcre, "_EXE", `"^/usr/sbin/(?P<name>[a-z]+)$"`, true, false},
		{in, "_EXE", `["/usr/sbin/sshd", "/usr/lib/openssh/sshd-session"]`, true, false},
		{in, "_EXE", `["/usr/sbin/sshd", "/usr/bin/mawk"]`, false, false},
		{equals, "_EXE", `"/usr/bin/original-awk"`, false, false},
		{equals, "_EXE", `"/bin/busybox"`, false, false},
		{equals, "_EXE", `"/usr/bin/tclsh8.6"`, false, false},
		{equals, "_EXE", `"/usr/bin/wish"`, false, false},
		{equals, "_EXE", `"/usr/bin/guile-3.0"`, false, false},
		{equals, "_EXE", `"/usr/bin/pwsh"`, false, false},
		{equals, "_EXE", `"/usr/bin/lua5.4"`, false, false},
		{equals, "_EXE", `"/usr/bin/php8.2"`, false, false},
		{equals, "_EXE", `"/usr/bin/gdb"`, false, false},
		{equals, "_EXE", `"/usr/bin/env"`, false, false},
		{equals, "_EXE", `"/usr/bin/cat"`, false, false},
		{equals, "_EXE", `"/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"`, false, false},
		{equals, "_EXE", `"/usr/sbin/catd"`, true, false},
		{equals, "_EXE", `"/usr/sbin/php-fpm8.2"`, true, false},
		{equals, "_TRANSPORT", `"kernel"`, true, false},
		{in, "_TRANSPORT", `["kernel", "audit", "driver"]`, true, false},
		{in, "_TRANSPORT", `["kernel", "syslog"]`, false, false},
		{equals, "_TRANSPORT", `"stdout"`, false, false},
		{equals, "_SELINUX_CONTEXT", `"system_u:system_r:sshd_t:s0"`, true, false},
		{equals, "_SELINUX_CONTEXT", `"unconfined"`, false, false},
		{equals, "_KERNEL_SUBSYSTEM", `"net"`, true, false},
		{equals, "_COMM", `"sshd"`, false, false},
		{equals, "_CMDLINE", `"sshd"`, false, false},
		{equals, "_SYSTEMD_USER_UNIT", `"x.service"`, false, false},
		{equals, "_HOSTNAME", `"server"`, false, false},
		{equals, "_PID", `1`, false, false},
		{equals, "_BOOT_ID", `"fc2e22bc6ee647b6b90729ab34a250b1"`, false, false},
		{equals, "SYSLOG_IDENTIFIER", `"sshd"`, false, false},
		{equals, "UNIT", `"ssh.service"`, false, false},
	} {
		const ban = `{"action": "action_nftBan", "args": {"IP": "IP", "nftSetIPv4": "inet pyruse ban4", "nftSetIPv6": "inet pyruse ban6"}}`
		source := fmt.Sprintf(`{"actions": {"a": [{`+x.filter+`, "then": "then", "else": "else"}], "then": [`+ban+`], "else": [`+ban+`]}}`, x.field, x.value)
		_, _, _, diags := compile(t, source)
		then, els := true, true
		for _, d := range diags.Sorted() {
			if d.Code == config.CodeForgeableBan {
				then = then && !strings.HasPrefix(d.Message, "then[0]")
				els = els && !strings.HasPrefix(d.Message, "else[0]")
			}
		}
		if then != x.then || els != x.els {
			t.Errorf(x.filter+": then is vouched for: %v, want %v; else: %v, want %v", x.field, x.value, then, x.then, els, x.els)
		}
	}
}

// TestQuote has a shell read what is quoted for it.
func TestQuote(t *testing.T) {
	for _, s := range []string{"", "a b", "it's", `'\''`, "$(id) `id` \\ \" ! * ; & | > ~", "--"} {
		out, err := exec.Command("sh", "-c", "printf %s "+workflow.Quote(s)).Output()
		if err != nil || string(out) != s {
			t.Errorf("%q becomes %q (%v)", s, out, err)
		}
	}
}

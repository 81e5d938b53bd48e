//go:build vm

package testvm

import (
	"fmt"
	"testing"
	"time"
)

// A side is one of the two families, with an attacker and somebody else who is as far away.
type side struct {
	name, set, host, attacker, other string
}

// The cases that are about packets have both sides, as twins.
var sides = []side{
	{"IPv4", set4, "203.0.113.1", attacker, "203.0.113.6"},
	{"IPv6", set6, "2001:db8::1", attacker6, "2001:db8::6"},
}

func twins(t *testing.T, run func(t *testing.T, s side)) {
	for _, s := range sides {
		t.Run(s.name, func(t *testing.T) { run(t, s) })
	}
}

// The echo server tells the addresses of attackers' connections apart from a dead machine.
const echoServer = `
import socket, threading
def serve(c):
    with c:
        while True:
            b = c.recv(100)
            if not b: return
            c.sendall(b)
s = socket.create_server(("::", 7777), family=socket.AF_INET6, dualstack_ipv6=True)
while True:
    c, _ = s.accept()
    threading.Thread(target=serve, args=(c,), daemon=True).start()
`

// The client keeps one connection open, and counts in a file the answers that it got.
const echoClient = `
import socket, sys, time
source, host, count = sys.argv[1:]
s = socket.create_connection((host, 7777), source_address=(source, 0))
n = 0
while True:
    s.sendall(b"x")
    s.recv(1)
    n += 1
    with open(count, "w") as f: f.write(str(n))
    time.sleep(0.1)
`

// network makes a network behind this machine, in a namespace, where an attacker and somebody else are at home.
func (g guest) network() {
	g.t.Helper()
	g.put("/root/server.py", 0o644, echoServer)
	g.put("/root/client.py", 0o644, echoClient)
	script := `set -e
ip netns add outside
ip link add near type veth peer name far netns outside
ip link set near up
ip -n outside link set lo up
ip -n outside link set far up
systemd-run --quiet --unit=echo python3 /root/server.py
`
	for _, s := range sides {
		length := map[string]string{set4: "/24", set6: "/64 nodad"}[s.set]
		script += fmt.Sprintf("ip addr add %s%s dev near\n", s.host, length)
		for _, a := range []string{s.attacker, s.other} {
			script += fmt.Sprintf("ip -n outside addr add %s%s dev far\n", a, length)
		}
	}
	g.sh(script)
	for _, s := range sides {
		g.eventually(20*time.Second, reach(s.host, s.attacker))
	}
}

// reach succeeds if a new connection from the address gets an answer.
func reach(host, from string) string {
	return fmt.Sprintf("echo hello | ip netns exec outside timeout 2 nc -N -s %s %s 7777 | grep -q hello", from, host)
}

// cutOff checks that new connections from the attacker get no answer, and those of somebody else do.
func (g guest) cutOff(s side) {
	g.t.Helper()
	if g.try(reach(s.host, s.attacker)).Code == 0 {
		g.t.Errorf("a new connection from %s got an answer", s.attacker)
	}
	g.sh(reach(s.host, s.other))
}

// hold opens a connection that stays open, and returns the file in which its answers are counted.
func (g guest) hold(host, from string) string {
	g.t.Helper()
	count := "/run/answers-" + from
	g.sh(fmt.Sprintf("systemd-run --quiet -p NetworkNamespacePath=/run/netns/outside python3 /root/client.py %s %s %s", from, host, count))
	g.eventually(20*time.Second, "test -s "+count)
	return count
}

// answersGoOn tells whether the connection got an answer within two seconds.
func (g guest) answersGoOn(count string) bool {
	g.t.Helper()
	return g.try(fmt.Sprintf(`before=$(cat %[1]s); sleep 2; [ "$(cat %[1]s)" != "$before" ]`, count)).Code == 0
}

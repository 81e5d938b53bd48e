//go:build vm

package testvm

import (
	"testing"
	"time"
)

const service = `
import socket, time
s = socket.create_server(("10.9.0.2", 7778))
while True:
    c, (address, port) = s.accept()
    time.sleep(0.5)  # who asks for a password takes longer; the line of the gateway's kernel comes first
    print(f"wrong password from {address} port {port}", flush=True)
    c.recv(10)
    c.sendall(b"no\n")
    c.close()
`

// The service sees the address of the gateway only. The gateway's log, in the same journal, knows whose connection it was.
func TestGateway(t *testing.T) {
	g := marked(t)
	g.network()
	g.put("/root/service.py", 0o644, service)
	g.fragment("40-gateway.json", `{"actions": {
  "gateway": {"order": 40, "steps": [
    {"filter": "filter_equals", "args": {"field": "_TRANSPORT", "value": "kernel"}},
    {"filter": "filter_pcre", "args": {"field": "MESSAGE", "re": "^gateway: .* SRC=(?P<client>[0-9.]+) .* SPT=(?P<port>[0-9]+) DPT=2222 "}},
    {"action": "action_dnatCapture", "args": {"saddr": "client", "sport": "port", "addrValue": "10.9.0.1", "port": "port"}}
  ]},
  "service": {"order": 41, "steps": [
    {"filter": "filter_equals", "args": {"field": "_SYSTEMD_UNIT", "value": "inside.service"}},
    {"filter": "filter_pcre", "args": {"field": "MESSAGE", "re": "^wrong password from (?P<seen>[0-9.]+) port (?P<seenPort>[0-9]+)$"}},
    {"action": "action_dnatReplace", "args": {"addr": "seen", "port": "seenPort", "saddrInto": "IP"}},
    {"action": "action_counterRaise", "args": {"counter": "service", "for": "IP", "keepSeconds": 600, "save": "n"}},
    {"filter": "filter_greaterOrEquals", "args": {"field": "n", "value": 3}},
    {"action": "action_nftBan", "args": {"IP": "IP", "banSeconds": 600, "nftSetIPv4": "inet pyruse ban4", "nftSetIPv6": "inet pyruse ban6"}}
  ]}
}}`)
	g.put("/root/gateway.nft", 0o644, `table ip gateway {
  chain pre {
    type nat hook prerouting priority dstnat;
    iifname "near" tcp dport 2222 log prefix "gateway: " dnat to 10.9.0.2:7778
  }
  chain post {
    type nat hook postrouting priority srcnat;
    oifname "lan" masquerade
  }
}
`)
	g.sh(`set -e
ip netns add inside
ip link add lan type veth peer name eth0 netns inside
ip addr add 10.9.0.1/24 dev lan; ip link set lan up
ip -n inside addr add 10.9.0.2/24 dev eth0; ip -n inside link set eth0 up; ip -n inside link set lo up
sysctl -q -w net.ipv4.ip_forward=1
nft -f /root/gateway.nft
systemd-run --quiet --unit=inside -p NetworkNamespacePath=/run/netns/inside python3 /root/service.py
systemctl reload pyruse`)
	try := func(from string) string {
		return "echo x | ip netns exec outside timeout 3 nc -s " + from + " 203.0.113.1 2222 | grep -q no"
	}
	for range 3 {
		g.eventually(20*time.Second, try(attacker))
	}
	// Somebody else mistypes once.
	g.sh(try("203.0.113.6"))
	if n := g.number("journalctl --sync; journalctl -q -u inside --grep 'from 10.9.0.1 port' | wc -l"); n < 4 {
		t.Fatalf("the service saw the gateway %d times", n)
	}
	g.bannedOnce(attacker)
	g.notBanned(set4, "10.9.0.1")
	g.notBanned(set4, "203.0.113.6")
	if g.try(try(attacker)).Code == 0 {
		t.Error("a new connection of the client goes through the gateway")
	}
	g.sh(try("203.0.113.6"))
}

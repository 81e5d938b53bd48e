package ban

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// nftDialect is the command line of nft(8). The words of a command are separate arguments, which nft joins
// with spaces; several commands, separated by ";", are one transaction.
type nftDialect struct{}

func (nftDialect) valid(set string) error {
	_, err := ParseNFTSet(set)
	return err
}

// chunk keeps the arguments below 64 KiB: an IPv6 address with its timeout is at most 60 bytes, and comes three times.
func (nftDialect) chunk() int { return 250 }

// setWords returns the name of a set as nft wants it. The set is valid.
func setWords(set string) []string {
	name, _ := ParseNFTSet(set) // was checked by valid
	return []string{name.Family, name.Table, name.Name}
}

func (nftDialect) change(c commandChange) invocation {
	set := setWords(c.set)
	statement := func(verb string, timeouts bool) []string {
		words := append([]string{verb, "element"}, set...)
		words = append(words, "{")
		for i, e := range c.elems {
			if i > 0 {
				words = append(words, ",")
			}
			words = append(words, e.Addr.String())
			if timeouts && e.Timeout > 0 {
				words = append(words, "timeout", nftSeconds(e.Timeout))
			}
		}
		return append(words, "}")
	}
	if c.deleting {
		return invocation{args: statement("delete", false)}
	}
	add := statement("add", !c.untimed)
	return invocation{args: slices.Concat(add, []string{";"}, statement("delete", false), []string{";"}, add)}
}

// nftSeconds returns a timeout in whole seconds, rounded up.
func nftSeconds(d time.Duration) string {
	return strconv.FormatInt(int64((d-1)/time.Second)+1, 10) + "s"
}

func (nftDialect) contains(set string, a netip.Addr) invocation {
	return invocation{args: slices.Concat([]string{"get", "element"}, setWords(set), []string{"{", a.String(), "}"})}
}

func (nftDialect) inspect(set string) invocation {
	return invocation{args: append([]string{"-j", "-t", "list", "set"}, setWords(set)...)}
}

// parse reads the JSON of nft, see libnftables-json(5).
func (nftDialect) parse(set string, out []byte) (SetInfo, error) {
	var list struct {
		NFTables []struct {
			Set *struct {
				Type    json.RawMessage `json:"type"`
				Flags   json.RawMessage `json:"flags"` // a string or a list of strings
				Timeout int             `json:"timeout"`
			} `json:"set"`
		} `json:"nftables"`
	}
	if err := json.Unmarshal(out, &list); err != nil {
		return SetInfo{}, fmt.Errorf("read what nft tells about set %q: %w", set, err)
	}
	for _, item := range list.NFTables {
		if item.Set == nil {
			continue
		}
		flag := func(name string) bool { return bytes.Contains(item.Set.Flags, []byte(strconv.Quote(name))) }
		info := SetInfo{
			Type:      strings.Trim(string(item.Set.Type), `"`),
			Timeouts:  flag("timeout") || item.Set.Timeout > 0,
			Intervals: flag("interval"),
		}
		info.IPv4, info.IPv6 = info.Type == "ipv4_addr", info.Type == "ipv6_addr"
		if !info.IPv4 && !info.IPv6 {
			return info, fmt.Errorf("nftables set %q has type %s: %w", set, quoted(info.Type), ErrType)
		}
		return info, nil
	}
	return SetInfo{}, fmt.Errorf("read what nft tells about set %q: no set in it", set)
}

// create makes a set of Pyruse's own with its rules; see nftNetlink.makeOwn. It is called when there is no such
// set, so there can be no rule either that looks into it.
func (nftDialect) create(set string, ipv6 bool) (invocation, bool) {
	name, err := ParseNFTSet(set)
	if err != nil || !name.Own() {
		return invocation{}, false
	}
	proto, typ := "ip", "ipv4_addr"
	if ipv6 {
		proto, typ = "ip6", "ipv6_addr"
	}
	table := ownFamily + " " + ownTable
	script := []string{
		"add table " + table,
		"add set " + name.String() + " { type " + typ + " ; flags timeout ; }",
	}
	for _, h := range ownHooks {
		script = append(script,
			fmt.Sprintf("add chain %s %s { type filter hook %s priority %d ; policy accept ; }", table, h.chain, h.chain, ownPriority),
			fmt.Sprintf("add rule %s %s %s saddr @%s drop", table, h.chain, proto, name.Name))
	}
	return invocation{args: strings.Fields(strings.Join(script, " ; "))}, true
}

// ipsetDialect is the command line of ipset(8).
type ipsetDialect struct{}

func (ipsetDialect) valid(set string) error { return ValidIPSetName(set) }

func (ipsetDialect) chunk() int { return 10000 }

// change hands a single element over as arguments, and several as a script for "ipset restore".
func (ipsetDialect) change(c commandChange) invocation {
	words := func(e Element) []string {
		if c.deleting {
			return []string{"del", c.set, e.Addr.String(), "-exist"}
		}
		w := []string{"add", c.set, e.Addr.String()}
		if !c.untimed {
			w = append(w, "timeout", strconv.FormatUint(uint64(ipsetSeconds(e.Timeout)), 10))
		}
		return append(w, "-exist")
	}
	if len(c.elems) == 1 {
		return invocation{args: words(c.elems[0])}
	}
	var script strings.Builder
	for _, e := range c.elems {
		script.WriteString(strings.Join(words(e), " "))
		script.WriteByte('\n')
	}
	return invocation{args: []string{"restore"}, stdin: script.String()}
}

func (ipsetDialect) contains(set string, a netip.Addr) invocation {
	return invocation{args: []string{"test", set, a.String()}}
}

func (ipsetDialect) inspect(set string) invocation {
	return invocation{args: []string{"list", set, "-terse"}}
}

// parse reads the lines "Type: hash:ip" and "Header: family inet hashsize 1024 maxelem 65536 timeout 0".
func (ipsetDialect) parse(set string, out []byte) (SetInfo, error) {
	var info SetInfo
	for line := range strings.Lines(string(out)) {
		name, value, _ := strings.Cut(line, ":")
		words := strings.Fields(value)
		switch {
		case name == "Type" && len(words) == 1:
			info.Type = words[0]
			info.Intervals = info.Type == "hash:net"
		case name == "Header":
			info.Timeouts = slices.Contains(words, "timeout")
			if i := slices.Index(words, "family"); i >= 0 && i+1 < len(words) {
				info.IPv4, info.IPv6 = words[i+1] == "inet", words[i+1] == "inet6"
				info.Type += " " + words[i+1]
			}
		}
	}
	if info.Type == "" {
		return info, fmt.Errorf("read what ipset tells about set %q: no type in it", set)
	}
	typ, _, _ := strings.Cut(info.Type, " ")
	return info, info.checkIPSet(set, typ)
}

func (ipsetDialect) create(set string, ipv6 bool) (invocation, bool) {
	family := "inet"
	if ipv6 {
		family = "inet6"
	}
	return invocation{args: []string{
		"create", set, ipsetType, "family", family, "timeout", "0", "maxelem", strconv.Itoa(ipsetMaxElem), "-exist",
	}}, true
}

package ban

import (
	"fmt"
	"slices"
	"strings"
)

// NFTSet names a set of nftables.
type NFTSet struct {
	Family string // ip, ip6, inet, arp, bridge or netdev
	Table  string
	Name   string
}

// nftNameMax is the longest name of a table or set in bytes: NFT_NAME_MAXLEN of
// linux/netfilter/nf_tables.h, less the final NUL.
const nftNameMax = 255

// nftFamilies are the address families that nft(8) knows.
var nftFamilies = []string{"ip", "ip6", "inet", "arp", "bridge", "netdev"}

// ParseNFTSet reads the name of a set as nft(8) writes it: "ip Inet4 mail_ban". As in nft, the family may
// be left out, which means ip. Names are what nft accepts without quotes: a letter or "_",
// then letters, digits, "_", "-", "." and "/".
func ParseNFTSet(s string) (NFTSet, error) {
	words := strings.Fields(s)
	if len(words) == 2 {
		words = slices.Insert(words, 0, "ip")
	}
	if len(words) != 3 {
		return NFTSet{}, fmt.Errorf(`nftables set %s: want "FAMILY TABLE SET", such as "ip filter banned"`, quoted(s))
	}
	if !slices.Contains(nftFamilies, words[0]) {
		return NFTSet{}, fmt.Errorf("nftables set %s: unknown family %s, want one of %s",
			quoted(s), quoted(words[0]), strings.Join(nftFamilies, ", "))
	}
	for i, what := range []string{"table", "set"} {
		if !validNFTName(words[i+1]) {
			return NFTSet{}, fmt.Errorf(`nftables set %s: bad %s name %s: want a letter or "_", then letters, digits, "_-./", at most %d`,
				quoted(s), what, quoted(words[i+1]), nftNameMax)
		}
	}
	return NFTSet{Family: words[0], Table: words[1], Name: words[2]}, nil
}

// String returns the name with all three parts, separated by single spaces.
func (s NFTSet) String() string { return s.Family + " " + s.Table + " " + s.Name }

// Own reports whether the set lies in Pyruse's own table "inet pyruse", whose parts
// are made on demand.
func (s NFTSet) Own() bool { return s.Family == ownFamily && s.Table == ownTable }

func validNFTName(s string) bool {
	if len(s) > nftNameMax {
		return false
	}
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c == '_':
		case i > 0 && (c >= '0' && c <= '9' || c == '-' || c == '.' || c == '/'):
		default:
			return false
		}
	}
	return s != ""
}

// ipsetNameMax is the longest name of an ipset in bytes: IPSET_MAXNAMELEN of
// linux/netfilter/ipset/ip_set.h, less the final NUL.
const ipsetNameMax = 31

// ValidIPSetName returns an error that says why s cannot name an ipset, nil if it can: 1 to 31
// printable ASCII characters without spaces, quotes and backslashes, the first not "-" or "#".
func ValidIPSetName(s string) error {
	if s == "" || len(s) > ipsetNameMax {
		return fmt.Errorf("ipset name %s: want 1 to %d characters", quoted(s), ipsetNameMax)
	}
	if s[0] == '-' || s[0] == '#' {
		return fmt.Errorf("ipset name %s: must not begin with %q", quoted(s), s[0])
	}
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c > '~' || strings.IndexByte("\"'`\\", c) >= 0 {
			return fmt.Errorf("ipset name %s: want printable ASCII without spaces, quotes and backslashes", quoted(s))
		}
	}
	return nil
}

package ban

import (
	"errors"
	"fmt"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Pyruse's own table. Its chains come before those that filter packets at the usual priority 0, so that a
// banned address is dropped even where an established connection would be accepted.
const (
	ownFamily   = "inet"
	ownTable    = "pyruse"
	ownPriority = -10
)

var ownHooks = []struct {
	chain string
	hook  *nftables.ChainHook
}{
	{"input", nftables.ChainHookInput},
	{"forward", nftables.ChainHookForward},
}

// makeOwn makes what is not there yet of:
//
//	table inet pyruse {
//		set NAME { type ipv4_addr; flags timeout; }
//		chain input { type filter hook input priority -10; policy accept; ip saddr @NAME drop; }
//		chain forward { type filter hook forward priority -10; policy accept; ip saddr @NAME drop; }
//	}
//
// A set that exists decides about the address family of its rules, whatever ipv6 says.
func (n *nftNetlink) makeOwn(name NFTSet, ipv6 bool) error {
	_, info, err := n.lookup(name)
	found := err == nil
	if err != nil && !errors.Is(err, ErrNoSet) {
		return err
	}
	chains, err := n.conn.ListChainsOfTableFamily(nftables.TableFamilyINet)
	if err != nil {
		return errors.Join(fmt.Errorf("list the chains of nftables: %w", err), n.Close())
	}
	table := &nftables.Table{Name: ownTable, Family: nftables.TableFamilyINet}
	set := &nftables.Set{Table: table, Name: name.Name, HasTimeout: true, KeyType: nftables.TypeIPAddr}
	if found {
		ipv6 = info.IPv6
	}
	if ipv6 {
		set.KeyType = nftables.TypeIP6Addr
	}
	var chainsLacking []int
	var rules []*nftables.Rule
	for i, h := range ownHooks {
		chain := &nftables.Chain{Table: table, Name: h.chain}
		if !hasChain(chains, h.chain) {
			chainsLacking = append(chainsLacking, i)
		} else if found {
			dropping, err := n.hasRule(chain, name.Name)
			if err != nil {
				return err
			}
			if dropping {
				continue
			}
		}
		rules = append(rules, &nftables.Rule{Table: table, Chain: chain, Exprs: dropExprs(name.Name, ipv6)})
	}
	if found && len(rules) == 0 {
		return nil
	}
	err = n.commit(func() error {
		n.conn.AddTable(table)
		if !found {
			if err := n.conn.AddSet(set, nil); err != nil {
				return err
			}
		}
		for _, i := range chainsLacking {
			n.conn.AddChain(ownChain(table, i))
		}
		for _, r := range rules {
			n.conn.AddRule(r)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("make nftables set %q with its rules: %w", name, err)
	}
	return n.connect()
}

func ownChain(table *nftables.Table, i int) *nftables.Chain {
	accept := nftables.ChainPolicyAccept
	return &nftables.Chain{
		Table: table, Name: ownHooks[i].chain, Type: nftables.ChainTypeFilter, Hooknum: ownHooks[i].hook,
		Priority: nftables.ChainPriorityRef(ownPriority), Policy: &accept,
	}
}

func hasChain(chains []*nftables.Chain, name string) bool {
	for _, c := range chains {
		if c.Table != nil && c.Table.Name == ownTable && c.Name == name {
			return true
		}
	}
	return false
}

// hasRule reports whether a chain has a rule that looks into the set.
func (n *nftNetlink) hasRule(chain *nftables.Chain, set string) (bool, error) {
	rules, err := n.conn.GetRules(chain.Table, chain)
	if err != nil {
		return false, errors.Join(fmt.Errorf("list the rules of nftables chain %q: %w", chain.Name, err), n.Close())
	}
	for _, r := range rules {
		for _, e := range r.Exprs {
			if l, ok := e.(*expr.Lookup); ok && l.SetName == set {
				return true, nil
			}
		}
	}
	return false, nil
}

// dropExprs returns "ip saddr @set drop", or "ip6 saddr @set drop". Where the source address is in the
// header: RFC 791, section 3.1, and RFC 8200, section 3.
func dropExprs(set string, ipv6 bool) []expr.Any {
	proto, offset, length := byte(unix.NFPROTO_IPV4), uint32(12), uint32(4)
	if ipv6 {
		proto, offset, length = unix.NFPROTO_IPV6, 8, 16
	}
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{proto}},
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: length},
		&expr.Lookup{SourceRegister: 1, SetName: set},
		&expr.Verdict{Kind: expr.VerdictDrop},
	}
}

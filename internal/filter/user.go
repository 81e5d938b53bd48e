package filter

import (
	"errors"
	"fmt"
	"os/user"
	"strings"

	"github.com/pyruse/pyruse/internal/entry"
	"github.com/pyruse/pyruse/internal/workflow"
)

// userExists is filter_userExists.
type userExists struct {
	field entry.Slot
	users *userCache
}

func newUserExists(b *workflow.Build, users *userCache) workflow.Filter {
	var args struct {
		Field string `json:"field" need:"true"`
	}
	if !b.Args(&args) {
		return nil
	}
	field, ok := fieldSlot(b, args.Field)
	if !ok {
		return nil
	}
	return &userExists{field, users}
}

// Match reports whether the name service knows the user. A missing or null field does not pass.
func (f *userExists) Match(e *entry.Entry) (bool, error) {
	v := e.Get(f.field)
	if v.IsNone() {
		return false, nil
	}
	return f.users.exists(v.Text(), e.UnixMicro())
}

// maxNameLen is the length of the longest user name: LOGIN_NAME_MAX of Linux, without its final NUL.
const maxNameLen = 255

// isUserName reports whether a name service can know s. It keeps what attackers send
// from reaching the modules of the name service.
func isUserName(s string) bool {
	return s != "" && len(s) <= maxNameLen && s[0] != '-' &&
		!strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f || r == '/' || r == ':' })
}

// lookupUser asks the name service (getpwnam_r of the C library, so whatever nsswitch.conf names).
func lookupUser(name string) (bool, error) {
	_, err := user.Lookup(name)
	var unknown user.UnknownUserError
	if errors.As(err, &unknown) {
		return false, nil
	}
	return err == nil, err
}

// Bounds of a userCache.
const (
	userCacheLife = 60_000_000 // microseconds of the entries' time
	userCacheSize = 1024       // names
)

// userCache remembers answers of the name service: with LDAP, each question goes over
// the network, and attackers try many names. It keeps the names that were asked for last.
type userCache struct {
	lookup func(name string) (bool, error)
	// Names move to young when they are asked for; when that has half of the names, it becomes old, and
	// the old ones are forgotten.
	young, old map[string]userAnswer
}

type userAnswer struct {
	known bool
	err   error
	at    int64 // microseconds since 1970
}

func newUserCache(lookup func(string) (bool, error)) *userCache {
	return &userCache{lookup: lookup, young: map[string]userAnswer{}}
}

// exists reports whether there is a user of that name. now is the time of the entry, in microseconds.
func (c *userCache) exists(name string, now int64) (bool, error) {
	if !isUserName(name) {
		return false, nil
	}
	answer, young := c.young[name]
	found := young
	if !young {
		answer, found = c.old[name]
	}
	// The clock of the entries may jump back, when several hosts write to one journal.
	fresh := found && answer.at <= now && now-answer.at < userCacheLife
	if !fresh {
		known, err := c.lookup(name)
		if err != nil {
			err = fmt.Errorf("look up user %s: %w", quoted(name), err)
		}
		answer = userAnswer{known, err, now}
	}
	if !fresh || !young {
		c.remember(name, answer)
	}
	return answer.known, answer.err
}

func (c *userCache) remember(name string, answer userAnswer) {
	if _, there := c.young[name]; !there && len(c.young) == userCacheSize/2 {
		c.old, c.young = c.young, make(map[string]userAnswer, userCacheSize/2)
	}
	c.young[strings.Clone(name)] = answer
}

package config

import (
	"cmp"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// checkSettings reports what the schema cannot tell.
func (c *Config) checkSettings(diags *Diagnostics) {
	s := &c.Settings
	if s.Storage == "" {
		diags.Errorf(c.At("storage"), "", `"storage" is empty; it must name a folder`)
	}
	if len(s.Email.Sendmail) == 0 {
		diags.Errorf(c.At("email.sendmail"), `the default is ["/usr/bin/sendmail", "-t"]`, `"sendmail" is empty; it must name a program`)
	}
	checkNets(c.setting("neverBan"), diags)
	c.exclusive("journal", []string{"directory", "namespace", "files"}, given(&s.Journal, &Journal{}), diags)
	c.checkSMTP(diags)
	c.checkForms(diags)
	if n := c.setting("report.at"); n != nil && n.Kind == String && n.Text == "" {
		diags.Errorf(n.Pos, `the default is "00:00"; null takes back what a file says`, `"at" is empty; it must say when the report is sent`)
	}
}

// exclusive reports where more than one of these keys of a table is given.
func (c *Config) exclusive(table string, keys, given []string, diags *Diagnostics) {
	var both []string
	for _, key := range keys {
		if slices.Contains(given, key) {
			both = append(both, table+"."+key)
		}
	}
	if len(both) < 2 {
		return
	}
	quoted := make([]string, len(keys))
	for i, key := range keys {
		quoted[i] = strconv.Quote(key)
	}
	last := len(quoted) - 1
	diags.Errorf(c.Cause(both...), "keep one of them, and set the others to null",
		"%s and %s exclude each other", strings.Join(quoted[:last], ", "), quoted[last])
}

// Cause returns the place of the setting that is to blame where several do not go together: that of the highest fragment is one too
// many, since it can be left out. Without fragments, it is the last one.
func (c *Config) Cause(keys ...string) Pos {
	var said []Pos
	for _, key := range keys {
		if n := c.said(key); n != nil {
			said = append(said, n.Pos)
		}
	}
	if len(said) == 0 {
		return c.sources.top()
	}
	fragment := func(p Pos) int {
		if x := c.sources.of(p); x != nil && x.Layer == LayerFragment {
			return 1
		}
		return 0
	}
	return slices.MaxFunc(said, func(a, b Pos) int { return cmp.Or(cmp.Compare(fragment(a), fragment(b)), ComparePos(a, b)) })
}

// given returns the keys of a table that have a value, and not the built-in one.
func given(table, builtIn any) []string {
	var keys []string
	v, d := reflect.ValueOf(table).Elem(), reflect.ValueOf(builtIn).Elem()
	for i := range v.NumField() {
		f := v.Field(i)
		if f.IsZero() || f.Kind() == reflect.Slice && f.Len() == 0 || reflect.DeepEqual(f.Interface(), d.Field(i).Interface()) {
			continue
		}
		keys = append(keys, v.Type().Field(i).Tag.Get("json"))
	}
	return keys
}

// checkNets reports what in a list of networks is none.
func checkNets(nets *Node, diags *Diagnostics) {
	if nets == nil || nets.Kind != Array {
		return
	}
	for _, e := range nets.Elems {
		if _, err := ParseNet(e.Text); e.Kind == String && err != nil {
			diags.Errorf(e.Pos, "", `"neverBan": %v`, err)
		}
	}
}

// checkForms reports values that have not the form that is needed. None is repeated in a message: what stands in the wrong place may be a
// password.
func (c *Config) checkForms(diags *Diagnostics) {
	text := func(key string) (Pos, string) {
		if n := c.setting(key); n != nil && n.Kind == String {
			return n.Pos, n.Text
		}
		return Pos{}, ""
	}
	for _, key := range []string{"email.smtp.caFile", "email.smtp.certFile", "email.smtp.keyFile", "email.smtp.passwordFile", "report.templates"} {
		if at, path := text(key); path != "" && !filepath.IsAbs(path) {
			diags.Errorf(at, "the daemon has no folder of its own to start from", `%q must be an absolute path`, lastKey(key))
		}
	}
	if at, name := text(smtpTable + "." + keyPasswordCredential); name == "." || name == ".." || strings.Contains(name, "/") {
		diags.Errorf(at, "it is the ID in LoadCredential=ID:PATH of the unit, see systemd.exec(5)", `%q is the name of a credential, not a path`, keyPasswordCredential)
	}
	if n := c.setting(smtpTable + "." + keyPasswordCommand); n != nil && n.Kind == Array && (len(n.Elems) == 0 || n.Elems[0].Kind == String && n.Elems[0].Text == "") {
		diags.Errorf(n.Pos, `write ["/path/of/the/program", "argument"]`, `%q is empty; it must name a program`, keyPasswordCommand)
	}
	for _, x := range []struct {
		key   string
		words []string
	}{
		{"tls", []string{TLSStart, TLSImplicit, TLSNone}},
		{"auth", []string{AuthPlain, AuthLogin, AuthOAuthBearer, AuthExternal, AuthAnonymous, ""}},
	} {
		n := c.setting(smtpTable + "." + x.key)
		if n == nil || n.Kind != String || slices.Contains(x.words, n.Text) {
			continue
		}
		known := slices.DeleteFunc(x.words, func(word string) bool { return word == "" })
		diags.Errorf(n.Pos, DidYouMean(n.Text, known), "%q must be one of %s", x.key, strings.Join(known, ", "))
	}
}

func lastKey(key string) string { return key[strings.LastIndexByte(key, '.')+1:] }

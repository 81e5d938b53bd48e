//go:build race

package app_test

func init() { buildFlags = append(buildFlags, "-race") }

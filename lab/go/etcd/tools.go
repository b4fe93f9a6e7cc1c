//go:build tools

// Package tools keeps the programs that the lab builds in go.mod.
package tools

import (
	_ "go.etcd.io/etcd/server/v3"
)

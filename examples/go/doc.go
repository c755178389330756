// Package signing has tests only: they show how a Go project signs and verifies against the sandbox.
package signing

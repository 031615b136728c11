// A heap with temporary, held and inlined allocations. It prints its own sampled profile, one
// line a stack: allocs, frees, their bytes, return addresses; then `ready`, and waits for its
// input to end.
package main

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
)

type node struct {
	next *node
	data [100]byte
}

var held *node
var kept [][]byte
var sink []byte

//go:noinline
func holdNodes(n int) {
	for i := 0; i < n; i++ {
		held = &node{next: held}
	}
}

//go:noinline
func temporary(n int) {
	for i := 0; i < n; i++ {
		sink = make([]byte, 1000+i%5000)
	}
}

func inlined(n int) { kept = append(kept, make([]byte, n)) }

func main() {
	temporary(100000)
	holdNodes(200000)
	for i := 0; i < 300; i++ {
		inlined(65536)
	}
	runtime.GC()
	runtime.GC()
	// No further cycle: what is told stays what it is.
	debug.SetGCPercent(-1)
	records := make([]runtime.MemProfileRecord, 10000)
	n, ok := runtime.MemProfile(records, true)
	if !ok {
		panic("more stacks than expected")
	}
	for _, r := range records[:n] {
		if r.AllocObjects == 0 {
			continue
		}
		fmt.Print(r.AllocObjects, " ", r.FreeObjects, " ", r.AllocBytes, " ", r.FreeBytes)
		for _, pc := range r.Stack() {
			fmt.Printf(" %x", pc)
		}
		fmt.Println()
	}
	fmt.Println("ready")
	io.Copy(io.Discard, os.Stdin)
	runtime.KeepAlive(held)
}

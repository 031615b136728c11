// Allocations that are counted: `sites RATE ROUNDS WAIT`. Samples its heap each RATE bytes; tells
// what each function allocated and holds after a garbage collection, and then lives as long as
// WAIT says, or until its input ends where that is 0. With `attach` behind, it allocates as much
// before it says `ready`, and goes on when a line comes.
package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"time"
)

type node struct {
	next *node
	data [88]byte
}

var list *node
var large [][]byte
var sink []byte

//go:noinline
func heldSmall(n int) {
	for i := 0; i < n; i++ {
		list = &node{next: list}
	}
}

//go:noinline
func temporary(n int) {
	for i := 0; i < n; i++ {
		sink = make([]byte, 2048)
	}
	sink = nil
}

func heldLarge(n int) { large = append(large, block()) }

// Inlined into heldLarge, which is inlined into its callers.
func block() []byte { return make([]byte, 32768) }

//go:noinline
func rounds(n int) {
	for i := 0; i < n; i++ {
		heldLarge(i)
	}
}

func work(n int) {
	heldSmall(n * 100)
	temporary(n * 50)
	rounds(n)
	runtime.GC()
	runtime.GC()
}

func number(at int) int {
	n, err := strconv.Atoi(os.Args[at])
	if err != nil {
		panic(err)
	}
	return n
}

func main() {
	runtime.MemProfileRate = number(1)
	n, held := number(2), 1
	input := bufio.NewReader(os.Stdin)
	if len(os.Args) > 4 {
		work(n)
		fmt.Println("ready")
		input.ReadString('\n')
		held = 2
	}
	work(n)
	fmt.Println("site main.heldSmall", n*100, n*100*96, held*n*100, held*n*100*96)
	fmt.Println("site main.temporary", n*50, n*50*2048, 0, 0)
	fmt.Println("site main.block", n, n*32768, held*n, held*n*32768)
	time.Sleep(time.Duration(number(3)) * time.Millisecond)
	if number(3) == 0 {
		fmt.Println("done")
		io.Copy(io.Discard, input)
	}
	runtime.KeepAlive(list)
	runtime.KeepAlive(large)
	// What reads a profile keeps the linker from leaving it out.
	runtime.MemProfile(nil, true)
}

// Nothing here reads a heap profile, so that the linker leaves its sampling out. Prints `ready`, and
// waits for its input to end.
package main

import (
	"io"
	"os"
)

func main() {
	os.Stdout.WriteString("ready\n")
	io.Copy(io.Discard, os.Stdin)
}

package main

import (
	"fmt"
	"math/big"
	"os"
	"sort"
	"strings"
	"sync"
	"time"
)

type item struct {
	k string
	v int
}

func fact(n int64) *big.Int { return new(big.Int).MulRange(1, n) }

//go:noinline
func deep(n int) int {
	if n == 0 {
		s := 0
		for i := 0; i < 2000; i++ {
			s += i ^ n
		}
		return s
	}
	return deep(n-1) + 1
}

func work(id int, end time.Time) int {
	sum := 0
	for time.Now().Before(end) {
		m := map[string]*item{}
		for i := 0; i < 2000; i++ {
			k := fmt.Sprintf("%d-%s", i*7919%1009, strings.Repeat("x", i%17))
			if it, ok := m[k]; ok {
				it.v++
			} else {
				m[k] = &item{k, 1}
			}
		}
		var l []*item
		for _, it := range m {
			l = append(l, it)
		}
		sort.Slice(l, func(i, j int) bool { return l[i].v > l[j].v || l[i].v == l[j].v && l[i].k < l[j].k })
		sum += len(l) + deep(60) + fact(300).BitLen()
		f, _ := os.Open("/proc/self/stat")
		b := make([]byte, 100)
		f.Read(b)
		f.Close()
	}
	return sum
}

func main() {
	end := time.Now().Add(4 * time.Second)
	var wg sync.WaitGroup
	ch := make(chan int, 3)
	for i := 0; i < 4; i++ {
		wg.Add(1)
		go func() { defer wg.Done(); ch <- work(i, end) }()
	}
	go func() { wg.Wait(); close(ch) }()
	t := 0
	for v := range ch {
		t += v
	}
	fmt.Println(t > 0)
}

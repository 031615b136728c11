/* Two functions inlined into a third. The lines are marked, and the test reads the marks. */
#include "known.h"

static inline __attribute__((always_inline)) uint64_t innermost(uint64_t n)
{
	uint64_t sum = 0;
	for (uint64_t i = 0; i < n; i++)
		__asm__ volatile(".rept 50; imul $3, %0, %0; .endr" : "+r"(sum)); /* mark: statement */
	return sum;
}

static inline __attribute__((always_inline)) uint64_t between(uint64_t n)
{
	uint64_t result = 7;
	result ^= innermost(n); /* mark: inner call */
	return result;
}

FRAME uint64_t outer(uint64_t n)
{
	LEAF();
	uint64_t result = 1;
	result += between(n); /* mark: outer call */
	return result;
}

int main(int argc, char **argv)
{
	uint64_t start = thread_cpu_ns(), ns = milliseconds(argc, argv, 1) * MS, sum = 0;
	while (thread_cpu_ns() - start < ns) {
		sum += outer(20000); /* mark: plain call */
	}
	return sum == 1;
}

/* `busy_leak MS`: for MS milliseconds allocates and frees millions of times a second, keeps a cache
 * of a fixed size, and leaks some from one function, of a size that nobody else frees (else the leak
 * would take up what they free, and they would touch new memory). Tells the bytes leaked with what the allocator
 * adds to each block, the calls, and how much its anonymous memory grew. */
#include <stdio.h>
#include <string.h>
#include "known.h"

enum { LEAKED = 400, OVERHEAD = 16, SLOTS = 1024 };

FRAME void leaks(void)
{
	char *block = malloc(LEAKED);
	memset(block, 1, LEAKED);
	__asm__ volatile("" : : "r"(block) : "memory");
	LEAF();
}

FRAME void churns(int times)
{
	for (int i = 0; i < times; i++) {
		char *block = malloc(32 + (i & 255));
		*(volatile char *)block = 1;
		free(block);
	}
	LEAF();
}

FRAME void caches(uint64_t turn)
{
	static char *slots[SLOTS];
	char **slot = &slots[turn * 7919 % SLOTS];
	free(*slot);
	*slot = malloc(512);
	memset(*slot, 1, 512);
	LEAF();
}

/* Bytes of anonymous memory. */
static uint64_t anonymous(void)
{
	char line[256];
	unsigned long kib = 0;
	FILE *status = fopen("/proc/self/status", "r");
	while (status && fgets(line, sizeof line, status))
		if (sscanf(line, "RssAnon: %lu", &kib) == 1)
			break;
	fclose(status);
	return kib * 1024;
}

static uint64_t time_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
}

int main(int argc, char **argv)
{
	uint64_t until = time_ns() + milliseconds(argc, argv, 1) * MS;
	uint64_t before = anonymous(), leaked = 0, calls = 0;
	while (time_ns() < until) {
		for (int i = 0; i < 4; i++, leaked += LEAKED + OVERHEAD)
			leaks();
		caches(calls);
		churns(2000);
		calls += 4006;
	}
	tell("leaked", leaked);
	tell("calls", calls);
	tell("grown", anonymous() - before);
	tell("cpu", usage_ns(RUSAGE_SELF));
	return 0;
}

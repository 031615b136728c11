/* `alloc_shares MS BLOCKS`: runs for MS milliseconds in turns of the same work: half() and quarter()
 * compute, allocates() does as well and makes and frees so many blocks in between. Tells the turns. */
#include "known.h"

static void turns(uint64_t count)
{
	for (uint64_t i = 0; i < count; i++)
		known_sink += i;
}

FRAME void half(void)
{
	turns(40000);
	LEAF();
}

FRAME void quarter(void)
{
	turns(20000);
	LEAF();
}

FRAME void allocates(int blocks)
{
	for (int i = 0; i < blocks; i++) {
		char *block = malloc(64 + i);
		*(volatile char *)block = 1;
		turns(20000 / blocks);
		free(block);
	}
	LEAF();
}

int main(int argc, char **argv)
{
	uint64_t until = thread_cpu_ns() + milliseconds(argc, argv, 1) * MS, count = 0;
	int blocks = argc > 2 ? atoi(argv[2]) : 1;
	for (; thread_cpu_ns() < until; count++) {
		half();
		quarter();
		allocates(blocks);
	}
	tell("turns", count);
	tell("cpu", usage_ns(RUSAGE_SELF));
	return 0;
}

/* `alloc_shares MS BLOCKS`: runs for MS milliseconds in turns of the same work: half() and quarter()
 * compute, allocates() does as well and makes and frees so many blocks in between. Each turn is of a
 * random length, since turns of one length may keep step with the clock that samples them. Tells the
 * turns. */
#include "known.h"
#include "random.h"

static void turns(uint64_t count)
{
	for (uint64_t i = 0; i < count; i++)
		known_sink += i;
}

FRAME void half(uint64_t work)
{
	turns(2 * work);
	LEAF();
}

FRAME void quarter(uint64_t work)
{
	turns(work);
	LEAF();
}

FRAME void allocates(uint64_t work, uint64_t blocks)
{
	for (uint64_t i = 0; i < blocks; i++) {
		char *block = malloc(64 + i);
		*(volatile char *)block = 1;
		turns(work / blocks);
		free(block);
	}
	LEAF();
}

int main(int argc, char **argv)
{
	uint64_t until = thread_cpu_ns() + milliseconds(argc, argv, 1) * MS, count = 0;
	uint64_t blocks = argc > 2 ? strtoull(argv[2], 0, 10) : 1, random = 1;
	for (; thread_cpu_ns() < until; count++) {
		uint64_t work = 10000 + random_below(&random, 20000);
		half(work);
		quarter(work);
		allocates(work, blocks);
	}
	tell("turns", count);
	tell("cpu", usage_ns(RUSAGE_SELF));
	return 0;
}

/* Allocates and frees BLOCKS blocks from one function, with ROUNDS rounds of arithmetic for each:
 * `heap_steady BLOCKS ROUNDS`. It never asks for the time, which would have the kernel bring the
 * process's CPU clock up to date. */
#include "heap.h"

static struct site *steady_blocks_site;
static volatile uint64_t sink;

FRAME void work(uint64_t rounds)
{
	uint64_t x = rounds | 1;
	for (uint64_t i = 0; i < rounds; i++)
		x = x * 6364136223846793005ull + 1442695040888963407ull;
	sink = x;
}

FRAME void steady_blocks(uint64_t *random, uint64_t rounds)
{
	for (int i = 0; i < 32; i++) {
		size_t size = 24 + random_below(random, 400);
		void *at = made(steady_blocks_site, malloc(size), size);
		work(rounds);
		free(at);
		gone(steady_blocks_site, size);
	}
}

int main(int argc, char **argv)
{
	uint64_t blocks = argc > 1 ? strtoull(argv[1], 0, 10) : 1000000;
	uint64_t rounds = argc > 2 ? strtoull(argv[2], 0, 10) : 1000;
	uint64_t random = 0x9e3779b97f4a7c15ull;
	sites_begin();
	steady_blocks_site = site_named("steady_blocks");
	for (uint64_t done = 0; done < blocks; done += 32)
		steady_blocks(&random, rounds);
	sites_tell();
	return 0;
}

/* Allocates at two rates, a tenth of one the other, in phases and from functions of their own:
 * `heap_phases MILLISECONDS [WORK [RUN SLEEP]]`. The fast phase does WORK rounds of arithmetic for
 * each block, 100 by default, and the slow phase ten times as many. Phases have lengths of 40 to 400
 * ms of CPU time, by chance. With RUN and SLEEP it works for so many microseconds at a time, or a
 * little more, and sleeps in between. */
#include "heap.h"

#include <time.h>
#include <unistd.h>

#define SITES(each) each(fast_blocks) each(slow_blocks)
#define DECLARE(name) static struct site *name##_site;
SITES(DECLARE)

static volatile uint64_t sink;

/* CPU time of the process, in microseconds. */
static uint64_t cpu_us(void)
{
	struct timespec now;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return now.tv_sec * 1000000ull + now.tv_nsec / 1000;
}

FRAME void work(uint64_t rounds)
{
	uint64_t x = rounds | 1;
	for (uint64_t i = 0; i < rounds; i++)
		x = x * 6364136223846793005ull + 1442695040888963407ull;
	sink = x;
}

#define BLOCKS(name, least, limit)                                                                 \
	FRAME void name(uint64_t *random, uint64_t rounds)                                         \
	{                                                                                          \
		for (int i = 0; i < 32; i++) {                                                     \
			size_t size = (least) + random_below(random, (limit) - (least));           \
			void *at = made(name##_site, malloc(size), size);                          \
			work(rounds);                                                              \
			free(at);                                                                  \
			gone(name##_site, size);                                                   \
		}                                                                                  \
	}

BLOCKS(fast_blocks, 24, 200)
BLOCKS(slow_blocks, 400, 1600)

int main(int argc, char **argv)
{
	uint64_t end = 1000ull * (argc > 1 ? strtoull(argv[1], 0, 10) : 1000);
	uint64_t rounds = argc > 2 ? strtoull(argv[2], 0, 10) : 100;
	uint64_t run_us = argc > 4 ? strtoull(argv[3], 0, 10) : 0;
	useconds_t sleep_us = argc > 4 ? strtoull(argv[4], 0, 10) : 0;
	uint64_t random = 0x9e3779b97f4a7c15ull ^ (uint64_t)time(0);
	int fast = 1;
	sites_begin();
#define NAME(name) name##_site = site_named(#name);
	SITES(NAME)
	for (uint64_t now = cpu_us(); now < end; now = cpu_us(), fast = !fast) {
		uint64_t until = now + 40000 + random_below(&random, 360000);
		if (until > end)
			until = end;
		uint64_t woke = now;
		while ((now = cpu_us()) < until) {
			if (sleep_us && now >= woke + run_us) {
				usleep(sleep_us);
				woke = cpu_us();
			}
			if (fast)
				fast_blocks(&random, rounds);
			else
				slow_blocks(&random, 10 * rounds);
		}
	}
	sites_tell();
	return 0;
}

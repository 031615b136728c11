/* Many threads that allocate as fast as they can: `heap_storm THREADS BLOCKS KEEP PAUSE_US AFTER`.
 * Each makes BLOCKS blocks of 64 bytes and keeps each KEEP-th (0: none), sleeping PAUSE_US after
 * each hundred. Prints `made N kept N seconds S`. AFTER: `end`; `wait`, which goes on allocating
 * and freeing until it is killed; `exec`, which becomes the same with one thread and 1000 blocks,
 * all kept. */
#include "known.h"

#include <pthread.h>

static long blocks, keep, pause_us, kept;

FRAME void *kept_block(void)
{
	return malloc(64);
}

FRAME void passing_block(void)
{
	void *block = malloc(64);
	__asm__ volatile("" : "+r"(block) : : "memory");
	free(block);
}

static void *storm(void *unused)
{
	(void)unused;
	void *last = NULL;
	for (long i = 1; i <= blocks; i++) {
		if (keep && i % keep == 0) {
			void **block = kept_block();
			*block = last;
			last = block;
			__atomic_fetch_add(&kept, 1, __ATOMIC_RELAXED);
		} else {
			passing_block();
		}
		if (pause_us && i % 100 == 0)
			usleep((useconds_t)pause_us);
	}
	return last;
}

static void *for_ever(void *unused)
{
	(void)unused;
	for (;;)
		passing_block();
}

static void run(long threads, void *(*what)(void *))
{
	pthread_t all[256];
	for (long i = 0; i < threads; i++)
		if (pthread_create(&all[i], NULL, what, NULL))
			abort();
	for (long i = 0; i < threads; i++)
		pthread_join(all[i], NULL);
}

int main(int argc, char **argv)
{
	if (argc < 6)
		return 2;
	long threads = atol(argv[1]);
	blocks = atol(argv[2]);
	keep = atol(argv[3]);
	pause_us = atol(argv[4]);
	struct timespec began, ended;
	clock_gettime(CLOCK_MONOTONIC, &began);
	run(threads, storm);
	clock_gettime(CLOCK_MONOTONIC, &ended);
	double seconds = (double)(ended.tv_sec - began.tv_sec) + (double)(ended.tv_nsec - began.tv_nsec) / 1e9;
	printf("made %ld kept %ld seconds %.3f\n", threads * blocks, kept, seconds);
	fflush(stdout);
	if (!strcmp(argv[5], "wait"))
		run(4, for_ever);
	if (!strcmp(argv[5], "exec"))
		execl("/proc/self/exe", argv[0], "1", "1000", "1", "0", "end", NULL);
	return 0;
}

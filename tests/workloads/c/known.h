/* What the workloads share: burning a known amount of CPU time, and telling it on stdout as
 * lines `known NAME NANOSECONDS`. The kernel's own account is told as `known cpu NANOSECONDS`. */
#pragma once
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

/* A function that stays one: neither inlined nor copied. */
#define FRAME __attribute__((noinline, noclone))

/* Makes a function that calls nobody set up its frame: GCC leaves it out even under
 * -fno-omit-frame-pointer where nothing lies in it, and a walk by frame pointers then misses the
 * function's caller. */
#define LEAF() __asm__ volatile("" : : "r"(__builtin_frame_address(0)))

#define MS 1000000ull

static inline uint64_t thread_cpu_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
}

static volatile uint64_t known_sink;

/* Some 100 us of work between two looks at the clock. */
FRAME void spin(void)
{
	LEAF();
	for (uint64_t i = 0; i < 50000; i++)
		known_sink += i;
}

/* Burns `ns` of the thread's CPU time and returns what it really burned. */
FRAME uint64_t burn(uint64_t ns)
{
	uint64_t start = thread_cpu_ns(), now;
	do {
		spin();
		now = thread_cpu_ns();
	} while (now - start < ns);
	return now - start;
}

static inline uint64_t usage_ns(int who)
{
	struct rusage usage;
	getrusage(who, &usage);
	return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000000ull +
	       (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1000ull;
}

static inline void tell(const char *name, uint64_t ns)
{
	printf("known %s %" PRIu64 "\n", name, ns);
	fflush(stdout);
}

/* How long to run, in milliseconds: argument `index`, or 10 s. */
static inline uint64_t milliseconds(int argc, char **argv, int index)
{
	return argc > index ? strtoull(argv[index], NULL, 10) : 10000;
}

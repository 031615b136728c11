/* What the heap's workloads share: counting what each site (a function that allocates) asks for
 * and still holds, and telling it on stdout at the end:
 *
 *     site NAME OBJECTS BYTES HELD_OBJECTS HELD_BYTES
 *     exited NAME OBJECTS BYTES
 *
 * BYTES are those asked for, by calls that succeeded; a `realloc` counts as a fresh block of its
 * new size, and its old block as freed. HELD is what the processes still hold that live at the
 * end; `exited` is what children held when they ended. The counts lie in memory that children
 * share. */
#pragma once
#include "known.h"
#include "random.h"

#include <sys/mman.h>

#define MOST_SITES 64

struct site {
	const char *name;
	uint64_t objects, bytes, freed_objects, freed_bytes, exited_objects, exited_bytes;
};

static struct site *sites;
static int sites_used;

static inline void sites_begin(void)
{
	sites = (struct site *)mmap(NULL, MOST_SITES * sizeof(*sites), PROT_READ | PROT_WRITE,
				    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (sites == MAP_FAILED)
		abort();
	/* A profiler that finds the allocator in a file of the program's may want a moment. */
	const char *wait_us = getenv("SITES_WAIT_US");
	if (wait_us)
		usleep((useconds_t)atoi(wait_us));
}

static inline struct site *site_named(const char *name)
{
	if (sites_used == MOST_SITES)
		abort();
	sites[sites_used].name = name;
	return &sites[sites_used++];
}

/* Counts a block, if there is one. No compiler can tell that it is not used. */
static inline void *made(struct site *site, void *block, size_t size)
{
	__asm__ volatile("" : "+r"(block) : : "memory");
	if (block) {
		__atomic_fetch_add(&site->objects, 1, __ATOMIC_RELAXED);
		__atomic_fetch_add(&site->bytes, size, __ATOMIC_RELAXED);
	}
	return block;
}

static inline void gone(struct site *site, size_t size)
{
	__atomic_fetch_add(&site->freed_objects, 1, __ATOMIC_RELAXED);
	__atomic_fetch_add(&site->freed_bytes, size, __ATOMIC_RELAXED);
}

/* A block of this process, which is about to end, is never freed. */
static inline void exited(struct site *site, size_t size)
{
	__atomic_fetch_add(&site->exited_objects, 1, __ATOMIC_RELAXED);
	__atomic_fetch_add(&site->exited_bytes, size, __ATOMIC_RELAXED);
}

static inline void sites_tell(void)
{
	for (struct site *s = sites; s < sites + sites_used; s++) {
		printf("site %s %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", s->name, s->objects,
		       s->bytes, s->objects - s->freed_objects - s->exited_objects,
		       s->bytes - s->freed_bytes - s->exited_bytes);
		if (s->exited_objects)
			printf("exited %s %" PRIu64 " %" PRIu64 "\n", s->name, s->exited_objects,
			       s->exited_bytes);
	}
	fflush(stdout);
}

/* A call rate that changes tenfold between phases, whose sites differ: `heap_phases MS`. In the
 * calm phases some 20 us of work lie between two blocks, in the busy ones some 2 us, and each
 * phase takes the same CPU time; what observes the one kind of phase more readily than the other
 * gets the sites' shares wrong. */
#include "heap.h"

#define PHASE_MS 300

#define SITES(each)                                                                                \
	each(calm_small) each(calm_large) each(calm_held) each(busy_small) each(busy_large)        \
	each(busy_held) each(both_phases)

#define DECLARE(name) static struct site *name##_site;
SITES(DECLARE)

static uint64_t state = 1;

static void work(int steps)
{
	for (int i = 0; i < steps; i++)
		known_sink += (uint64_t)i;
}

#define TEMPORARY(name, least, limit)                                                              \
	FRAME void name(void)                                                                      \
	{                                                                                          \
		size_t size = (least) + random_below(&state, (limit) - (least));                   \
		void *at = made(name##_site, malloc(size), size);                                  \
		free(at);                                                                          \
		gone(name##_site, size);                                                           \
	}

#define HELD(name, size)                                                                           \
	FRAME void name(void)                                                                      \
	{                                                                                          \
		made(name##_site, malloc(size), size);                                             \
	}

TEMPORARY(calm_small, 16, 128)
TEMPORARY(calm_large, 2048, 8192)
TEMPORARY(busy_small, 16, 128)
TEMPORARY(busy_large, 2048, 8192)
TEMPORARY(both_phases, 256, 1024)
HELD(calm_held, 40)
HELD(busy_held, 40)

FRAME void calm_phase(uint64_t until)
{
	for (int i = 0; i % 16 || thread_cpu_ns() < until; i++) {
		work(40000 / 4);
		switch (i % 8) {
		case 0: calm_large(); break;
		case 1: calm_held(); break;
		case 2: both_phases(); break;
		default: calm_small();
		}
	}
}

FRAME void busy_phase(uint64_t until)
{
	for (int i = 0; i % 160 || thread_cpu_ns() < until; i++) {
		work(4000 / 4);
		switch (i % 8) {
		case 0: busy_large(); break;
		case 1: busy_held(); break;
		case 2: both_phases(); break;
		default: busy_small();
		}
	}
}

int main(int argc, char **argv)
{
	uint64_t ns = milliseconds(argc, argv, 1) * MS;
	sites_begin();
#define NAME(name) name##_site = site_named(#name);
	SITES(NAME)
	for (uint64_t end = PHASE_MS * MS; end <= ns; end += 2 * PHASE_MS * MS) {
		calm_phase(end);
		busy_phase(end + PHASE_MS * MS);
	}
	sites_tell();
	return 0;
}

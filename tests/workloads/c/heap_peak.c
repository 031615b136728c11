/* A heap that rises, falls and ends with less than it had: `heap_peak`; with nothing: `heap_peak all`.
 * Tells what each site held when most was held, and what it holds at the end:
 *
 *     peak NAME OBJECTS BYTES
 */
#include "heap.h"

#define SITES(each) each(held_before) each(rises) each(temporary) each(held_after)

#define DECLARE(name) static struct site *name##_site;
SITES(DECLARE)

#define BEFORE 5000
#define AFTER 3000

static void *risen[20000], *before[BEFORE], *after[AFTER];

FRAME void held_before(void)
{
	for (int i = 0; i < BEFORE; i++)
		before[i] = made(held_before_site, malloc(200), 200);
}

FRAME void temporary(void)
{
	for (int i = 0; i < 5000; i++) {
		free(made(temporary_site, malloc(700), 700));
		gone(temporary_site, 700);
	}
}

FRAME void rises(void)
{
	for (int i = 0; i < 20000; i++)
		risen[i] = made(rises_site, malloc(300), 300);
}

static void falls(void)
{
	for (int i = 0; i < 20000; i++) {
		free(risen[i]);
		gone(rises_site, 300);
	}
}

FRAME void held_after(void)
{
	for (int i = 0; i < AFTER; i++)
		after[i] = made(held_after_site, malloc(500), 500);
}

static void free_all(void)
{
	for (int i = 0; i < BEFORE; i++) {
		free(before[i]);
		gone(held_before_site, 200);
	}
	for (int i = 0; i < AFTER; i++) {
		free(after[i]);
		gone(held_after_site, 500);
	}
}

int main(int argc, char **argv)
{
	/* The only memory that libc itself would hold at the end. */
	static char out[BUFSIZ];
	setvbuf(stdout, out, _IOFBF, sizeof(out));
	sites_begin();
#define NAME(name) name##_site = site_named(#name);
	SITES(NAME)
	held_before();
	temporary();
	rises();
#define PEAK(name) \
	printf("peak %s %" PRIu64 " %" PRIu64 "\n", #name, name##_site->objects - name##_site->freed_objects, \
	       name##_site->bytes - name##_site->freed_bytes);
	SITES(PEAK)
	falls();
	temporary();
	held_after();
	if (argc > 1 && !strcmp(argv[1], "all"))
		free_all();
	sites_tell();
	return 0;
}

/* A heap that rises, falls and ends with less than it had: `heap_peak`. Tells what each site held
 * when most was held, and what it holds at the end:
 *
 *     peak NAME OBJECTS BYTES
 */
#include "heap.h"

#define SITES(each) each(held_before) each(rises) each(temporary) each(held_after)

#define DECLARE(name) static struct site *name##_site;
SITES(DECLARE)

static void *risen[20000];

FRAME void held_before(void)
{
	for (int i = 0; i < 5000; i++)
		made(held_before_site, malloc(200), 200);
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
	for (int i = 0; i < 3000; i++)
		made(held_after_site, malloc(500), 500);
}

int main(void)
{
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
	sites_tell();
	return 0;
}

/* A server under load whose plugin leaks: `leaky PLUGIN SECONDS`. It has tables from its start, a
 * cache that stays as large as it is, and what each request needs for a moment. Tells `requests N`
 * at the end. */
#include "known.h"

#include <dlfcn.h>

void *tables[2000];
static void *cache[1000];

FRAME static void load_tables(void)
{
	for (int i = 0; i < 2000; i++)
		tables[i] = calloc(1, 4096);
}

FRAME static void keep_in_cache(uint64_t request)
{
	void **slot = &cache[request % 1000];
	free(*slot);
	*slot = malloc(500 + request % 700);
}

FRAME static void serve(uint64_t request, void (*handle)(size_t))
{
	void *buffer = malloc(1000 + request % 3000);
	keep_in_cache(request * 7919);
	handle(100 + request % 900);
	free(buffer);
}

int main(int argc, char **argv)
{
	void *plugin = argc > 2 ? dlopen(argv[1], RTLD_NOW) : NULL;
	void (*handle)(size_t) = plugin ? (void (*)(size_t))dlsym(plugin, "plugin_handle") : NULL;
	if (!handle)
		return 2;
	load_tables();
	uint64_t requests = 0;
	time_t end = time(NULL) + atoi(argv[2]);
	while (time(NULL) < end) {
		for (int i = 0; i < 20; i++)
			serve(requests++, handle);
		usleep(4000);
	}
	printf("requests %" PRIu64 "\n", requests);
	return 0;
}

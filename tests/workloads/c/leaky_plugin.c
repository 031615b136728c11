/* The library that leaky serves requests by: of each it keeps 64 bytes for good. It asks for memory
 * as many programs do, by a function of its own. */
#include <stdlib.h>
#include <string.h>

struct kept {
	struct kept *next;
	char bytes[56];
};

struct kept *all;

__attribute__((noinline)) void *plugin_xmalloc(size_t size)
{
	void *block = malloc(size);
	if (!block)
		abort();
	return block;
}

void plugin_handle(size_t size)
{
	char *work = plugin_xmalloc(size);
	memset(work, 1, size);
	struct kept *kept = plugin_xmalloc(sizeof(*kept));
	kept->next = all;
	all = kept;
	free(work);
}

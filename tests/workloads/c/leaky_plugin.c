/* The library that leaky serves requests by: of each it keeps 64 bytes for good. */
#include <stdlib.h>
#include <string.h>

struct kept {
	struct kept *next;
	char bytes[56];
};

struct kept *all;

void plugin_handle(size_t size)
{
	char *work = malloc(size);
	memset(work, 1, size);
	struct kept *kept = malloc(sizeof(*kept));
	kept->next = all;
	all = kept;
	free(work);
}

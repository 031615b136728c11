/* The library that heap_sites loads: what it makes is never freed. */
#include <stdlib.h>

void *plugin_make(size_t size)
{
	return malloc(size);
}

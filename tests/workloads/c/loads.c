/* Loads one library after the other, works in it and unloads it: `loads MS LIBRARY...`. Prints the
 * address of each one's function. */
#include "known.h"
#include <dlfcn.h>

int main(int argc, char **argv)
{
	uint64_t ns = milliseconds(argc, argv, 1) * MS;
	for (int i = 2; i < argc; i++) {
		void *library = dlopen(argv[i], RTLD_NOW);
		if (!library) {
			fprintf(stderr, "%s\n", dlerror());
			return 1;
		}
		uint64_t (**entry)(uint64_t) = dlsym(library, "entry");
		printf("%p\n", (void *)*entry);
		(*entry)(ns);
		dlclose(library);
	}
	return 0;
}

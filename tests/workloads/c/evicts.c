/* Loads libraries, and works in each of them, again and again, and at last in the first, three times
 * as long as in all of them once: `evicts ROUNDS MS LIBRARY...`. */
#include "known.h"
#include <dlfcn.h>

typedef uint64_t (*Work)(uint64_t);

FRAME uint64_t in_turns(int count, Work **entries, uint64_t ns)
{
	uint64_t done = 0;
	for (int i = 0; i < count; i++)
		done += (*entries[i])(ns);
	return done;
}

FRAME uint64_t at_last(Work *entry, uint64_t ns)
{
	return (*entry)(ns);
}

int main(int argc, char **argv)
{
	int rounds = argc > 3 ? atoi(argv[1]) : 0, count = argc - 3;
	uint64_t ns = milliseconds(argc, argv, 2) * MS, done = 0;
	Work **entries = calloc(argc, sizeof *entries);
	for (int i = 0; i < count; i++) {
		void *library = dlopen(argv[3 + i], RTLD_NOW);
		if (!library) {
			fprintf(stderr, "%s\n", dlerror());
			return 1;
		}
		entries[i] = dlsym(library, "entry");
	}
	for (int round = 0; round < rounds; round++)
		done += in_turns(count, entries, ns);
	done += at_last(entries[0], 3 * ns * count);
	return done == 0;
}

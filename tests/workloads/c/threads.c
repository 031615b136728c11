/* Three named threads, each in a function of its own, that want 3, 2 and 1 parts. */
#include "known.h"
#include <pthread.h>

struct worker {
	const char *name;
	uint64_t (*work)(uint64_t);
	uint64_t ms, ns;
	pthread_t thread;
};

FRAME uint64_t indexing(uint64_t ns)
{
	return burn(ns);
}

FRAME uint64_t merging(uint64_t ns)
{
	return burn(ns);
}

FRAME uint64_t flushing(uint64_t ns)
{
	return burn(ns);
}

FRAME void *worker(void *argument)
{
	struct worker *self = argument;
	pthread_setname_np(pthread_self(), self->name);
	for (uint64_t done = 0; done < self->ms; done += 10)
		self->ns += self->work(10 * MS);
	return NULL;
}

int main(int argc, char **argv)
{
	uint64_t ms = milliseconds(argc, argv, 1);
	struct worker workers[] = {
		{ "index worker", indexing, ms / 2, 0, 0 },
		{ "merge worker", merging, ms / 3, 0, 0 },
		{ "flush worker", flushing, ms / 6, 0, 0 },
	};
	for (int i = 0; i < 3; i++)
		pthread_create(&workers[i].thread, NULL, worker, &workers[i]);
	for (int i = 0; i < 3; i++)
		pthread_join(workers[i].thread, NULL);
	tell("indexing", workers[0].ns);
	tell("merging", workers[1].ns);
	tell("flushing", workers[2].ns);
	tell("cpu", usage_ns(RUSAGE_SELF));
	return 0;
}

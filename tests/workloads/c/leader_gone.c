/* The first thread ends at once, and another works on: `leader_gone MS`. */
#include "known.h"
#include <pthread.h>

FRAME uint64_t goes_on(uint64_t ns)
{
	return burn(ns);
}

static void *thread(void *ns)
{
	goes_on(*(uint64_t *)ns);
	_exit(0);
}

int main(int argc, char **argv)
{
	static uint64_t ns;
	pthread_t id;
	ns = milliseconds(argc, argv, 1) * MS;
	pthread_create(&id, NULL, thread, &ns);
	pthread_exit(NULL);
}

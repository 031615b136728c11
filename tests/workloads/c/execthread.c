/* A thread that is not the first executes another program: `execthread MS PROGRAM ARGS`. The
 * program takes over the first thread's number. */
#include "known.h"
#include <pthread.h>

FRAME uint64_t in_thread(uint64_t ns)
{
	return burn(ns);
}

static char **arguments;

static void *thread(void *nothing)
{
	(void)nothing;
	pthread_setname_np(pthread_self(), "executes");
	in_thread(milliseconds(3, arguments, 1) * MS);
	execv(arguments[2], arguments + 2);
	_exit(1);
}

int main(int argc, char **argv)
{
	pthread_t id;
	arguments = argv;
	if (argc < 3)
		return 1;
	pthread_create(&id, NULL, thread, NULL);
	for (;;)
		pause();
}

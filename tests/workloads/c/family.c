/* Descendants of each kind: `family HOW MS`, where the last descendant burns MS in a function
 * that tells which it is. HOW: fork, exec, orphan (its parent has ended), session. */
#include "known.h"
#include <sys/wait.h>

FRAME uint64_t in_parent(uint64_t ns)
{
	return burn(ns);
}

FRAME uint64_t in_child(uint64_t ns)
{
	return burn(ns);
}

FRAME uint64_t in_program(uint64_t ns)
{
	return burn(ns);
}

int main(int argc, char **argv)
{
	const char *how = argc > 1 ? argv[1] : "fork";
	uint64_t ns = milliseconds(argc, argv, 2) * MS;
	if (!strcmp(how, "program")) {
		in_program(ns);
		return 0;
	}
	in_parent(ns);
	/* Tells the end of the last descendant: everybody has the writing end. */
	int alive[2];
	if (pipe(alive))
		return 1;
	if (fork() == 0) {
		if (!strcmp(how, "orphan") && fork() != 0)
			_exit(0);
		if (!strcmp(how, "session"))
			setsid();
		if (!strcmp(how, "exec"))
			execl("/proc/self/exe", "family", "program", argv[2], NULL);
		in_child(ns);
		_exit(0);
	}
	close(alive[1]);
	char nothing;
	while (read(alive[0], &nothing, 1) > 0)
		;
	while (wait(NULL) > 0)
		;
	return 0;
}

/* Many processes, two at a time, each in one of three functions. */
#include "known.h"
#include <sys/wait.h>

FRAME uint64_t encoding(uint64_t ns)
{
	return burn(ns);
}

FRAME uint64_t packing(uint64_t ns)
{
	return burn(ns);
}

FRAME uint64_t sending(uint64_t ns)
{
	return burn(ns);
}

static uint64_t (*const roles[])(uint64_t) = { encoding, encoding, packing, sending };

int main(int argc, char **argv)
{
	/* 40 processes of a fortieth each. */
	uint64_t ns = milliseconds(argc, argv, 1) * MS / 40;
	int pipes[2];
	uint64_t known[3] = { 0 };
	if (pipe(pipes))
		return 1;
	for (int i = 0; i < 40; i++) {
		if (i >= 2)
			wait(NULL);
		if (fork() == 0) {
			uint64_t told[2] = { (uint64_t)(i % 4), roles[i % 4](ns) };
			ssize_t wrote = write(pipes[1], told, sizeof(told));
			_exit(wrote != sizeof(told));
		}
	}
	while (wait(NULL) > 0)
		;
	for (int i = 0; i < 40; i++) {
		uint64_t told[2];
		if (read(pipes[0], told, sizeof(told)) != sizeof(told))
			return 1;
		known[told[0] < 2 ? 0 : told[0] - 1] += told[1];
	}
	tell("encoding", known[0]);
	tell("packing", known[1]);
	tell("sending", known[2]);
	tell("cpu", usage_ns(RUSAGE_SELF) + usage_ns(RUSAGE_CHILDREN));
	return 0;
}

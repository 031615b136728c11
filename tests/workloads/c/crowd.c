/* Many short programs: `crowd COUNT MS FOLDER` starts FOLDER/p0, p1, ... (links to itself), two at
 * a time, which burn MS each; prints `PID NAME` for each. */
#include "known.h"
#include <libgen.h>
#include <sys/wait.h>

FRAME uint64_t short_work(uint64_t ns)
{
	return burn(ns);
}

int main(int argc, char **argv)
{
	if (argc < 3 || !strcmp(argv[1], "short")) {
		short_work(milliseconds(argc, argv, 2) * MS);
		return 0;
	}
	for (int i = 0; i < atoi(argv[1]); i++) {
		char path[4096];
		snprintf(path, sizeof(path), "%s/p%d", argv[3], i);
		if (i >= 2)
			wait(NULL);
		pid_t pid = fork();
		if (pid == 0) {
			execl(path, path, "short", argv[2], NULL);
			_exit(127);
		}
		printf("%d p%d\n", pid, i);
	}
	while (wait(NULL) > 0)
		;
	return 0;
}

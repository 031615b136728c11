/* Runs itself from memory alone, as container runtimes do: a program without a file. */
#include "known.h"
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

extern char **environ;

FRAME uint64_t from_memory(uint64_t ns)
{
	return burn(ns);
}

int main(int argc, char **argv)
{
	if (argc > 2) {
		from_memory(milliseconds(argc, argv, 1) * MS);
		return 0;
	}
	int self = open("/proc/self/exe", O_RDONLY), copy = memfd_create("sealed", MFD_CLOEXEC);
	struct stat stat;
	if (fstat(self, &stat) || sendfile(copy, self, NULL, (size_t)stat.st_size) != stat.st_size)
		return 1;
	char *arguments[] = { argv[0], argc > 1 ? argv[1] : "1000", "again", NULL };
	fexecve(copy, arguments, environ);
	return 1;
}

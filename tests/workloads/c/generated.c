/* Runs machine code that no file has, or one that is given: `generated MS NAME` writes a perf map
 * that calls the code NAME, `generated MS NAME UID` one of another owner, `generated MS NAME late`
 * writes it when half the time is over; `generated MS -` writes none; `generated MS = FILE` runs
 * the code at the second page of FILE. */
#include "known.h"
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

/* push rbp; mov rbp, rsp; mov rcx, rdi; loop: dec rcx; jnz loop; pop rbp; ret */
static const unsigned char code[] = {
	0x55, 0x48, 0x89, 0xe5, 0x48, 0x89, 0xf9, 0x48, 0xff, 0xc9, 0x75, 0xfb, 0x5d, 0xc3,
};

FRAME void run(void (*loop)(uint64_t), uint64_t ns)
{
	uint64_t start = thread_cpu_ns();
	while (thread_cpu_ns() - start < ns)
		loop(300000);
}

static void write_perf_map(const void *at, const char *name)
{
	char path[64];
	snprintf(path, sizeof(path), "/tmp/perf-%d.map", getpid());
	FILE *map = fopen(path, "w");
	fprintf(map, "%lx %lx %s\n", (unsigned long)at, sizeof(code), name);
	fclose(map);
}

int main(int argc, char **argv)
{
	uint64_t ns = milliseconds(argc, argv, 1) * MS;
	const char *name = argc > 2 ? argv[2] : "-";
	unsigned char *memory;
	if (!strcmp(name, "=")) {
		int file = open(argv[3], O_RDONLY);
		memory = mmap(NULL, 8192, PROT_READ | PROT_EXEC, MAP_PRIVATE, file, 0);
		if (memory == MAP_FAILED)
			return 1;
		memory += 4096;
	} else {
		memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
			      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (memory == MAP_FAILED)
			return 1;
		memcpy(memory, code, sizeof(code));
	}
	if (!strcmp(name, "-") || !strcmp(name, "=")) {
		run((void (*)(uint64_t))memory, ns);
		return 0;
	}
	if (argc > 3 && !strcmp(argv[3], "late")) {
		run((void (*)(uint64_t))memory, ns / 2);
		ns /= 2;
	}
	write_perf_map(memory, name);
	if (argc > 3 && strcmp(argv[3], "late")) {
		char path[64];
		snprintf(path, sizeof(path), "/tmp/perf-%d.map", getpid());
		if (chown(path, (uid_t)atoi(argv[3]), 0))
			return 1;
	}
	run((void (*)(uint64_t))memory, ns);
	return 0;
}

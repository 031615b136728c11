/* `touches`: gets memory from the kernel in the ways there are, and gives some of it back; tells how
 * much each function touched, and how much of it is there at the end. */
#include <fcntl.h>
#include <sys/mman.h>
#include "known.h"

#define MIB (1ul << 20)

static char *map(size_t bytes)
{
	char *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (at == MAP_FAILED)
		exit(1);
	return at;
}

/* Page by page, and keeps all. */
FRAME void keeps(void)
{
	char *at = map(32 * MIB);
	madvise(at, 32 * MIB, MADV_NOHUGEPAGE);
	for (size_t i = 0; i < 32 * MIB; i += 4096)
		at[i] = 1;
	LEAF();
}

/* Touches as much and gives three quarters back. */
FRAME void returns(void)
{
	char *at = map(32 * MIB);
	madvise(at, 32 * MIB, MADV_NOHUGEPAGE);
	for (size_t i = 0; i < 32 * MIB; i += 4096)
		at[i] = 1;
	munmap(at, 24 * MIB);
	LEAF();
}

/* Two MiB by each fault, where the machine has huge pages. */
FRAME void huge(void)
{
	char *at = map(34 * MIB);
	at = (char *)(((uintptr_t)at + 2 * MIB - 1) & ~(2 * MIB - 1));
	madvise(at, 32 * MIB, MADV_HUGEPAGE);
	for (size_t i = 0; i < 32 * MIB; i += 4096)
		at[i] = 1;
	LEAF();
}

/* By a system call alone. */
FRAME void reads(void)
{
	char *at = map(16 * MIB);
	madvise(at, 16 * MIB, MADV_NOHUGEPAGE);
	int zero = open("/dev/zero", O_RDONLY);
	if (read(zero, at, 16 * MIB) != (ssize_t)(16 * MIB))
		exit(1);
	close(zero);
	LEAF();
}

/* Memory that is there already, and memory that is read alone: no growth. */
FRAME void reuses(void)
{
	static char *at;
	if (!at)
		at = map(16 * MIB);
	uint64_t sum = 0;
	for (size_t i = 0; i < 16 * MIB; i += 4096)
		sum += (unsigned char)at[i];
	known_sink += sum;
	LEAF();
}

int main(void)
{
	keeps();
	returns();
	huge();
	reads();
	reuses();
	tell("keeps", 32 * MIB);
	tell("returns", 32 * MIB);
	tell("huge", 32 * MIB);
	tell("reads", 16 * MIB);
	return 0;
}

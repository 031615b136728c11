/* Burns time with stacks that no walk can follow: `hostile HOW MS`.
 *
 * cycle     in code of no file, with a frame pointer to a frame that is its own caller
 * ladder    in code of no file, with two hundred thousand frames that lie one above the other
 * unmapped  in code of no file, with a frame pointer into memory that is not there
 * nowhere   with a stack pointer into memory that is not there
 */
#include "known.h"
#include <sys/mman.h>

/* mov rcx, rdi; loop: dec rcx; jnz loop; ret: keeps what rbp it is given */
static const unsigned char code[] = { 0x48, 0x89, 0xf9, 0x48, 0xff, 0xc9, 0x75, 0xfb, 0xc3 };

static void *loop_code;
static void *loop_return;

/* Runs the code with another frame pointer. */
FRAME void spin_with(void *frame)
{
	uint64_t rounds = 300000;
	__asm__ volatile("push %%rbp\n\tmov %1, %%rbp\n\tcall *%2\n\tpop %%rbp"
			 : "+D"(rounds)
			 : "r"(frame), "r"(loop_code)
			 : "rcx", "memory", "cc");
}

/* Spins with another stack pointer. */
FRAME void spin_nowhere(void)
{
	uint64_t rounds = 300000, kept;
	__asm__ volatile("mov %%rsp, %1\n\tmov $0x7000, %%rsp\n1:\tdec %0\n\tjnz 1b\n\tmov %1, %%rsp"
			 : "+r"(rounds), "=&r"(kept)
			 :
			 : "memory", "cc");
}

int main(int argc, char **argv)
{
	const char *how = argc > 1 ? argv[1] : "cycle";
	uint64_t ns = milliseconds(argc, argv, 2) * MS, start = thread_cpu_ns();
	unsigned char *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
				     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		return 1;
	memcpy(memory, code, sizeof(code));
	loop_code = memory;
	loop_return = memory + 6;
	/* Frames above the stack pointer, where a walk by frame pointers looks for them. */
	enum { RUNGS = 200000 };
	void *frames[RUNGS * 2];
	for (int i = 0; i < RUNGS; i++) {
		frames[2 * i] = how[0] == 'c' ? &frames[0] : &frames[2 * i + 2];
		frames[2 * i + 1] = loop_return;
	}
	__asm__ volatile("" : : "r"(frames) : "memory");
	while (thread_cpu_ns() - start < ns) {
		if (!strcmp(how, "nowhere"))
			spin_nowhere();
		else
			spin_with(!strcmp(how, "unmapped") ? (char *)frames - (2 << 20) : (char *)frames);
	}
	printf("%s\n", how);
	return 0;
}

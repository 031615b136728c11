/* A library for `evicts`, whose functions need as many unwind rows as they have bytes: each
 * instruction is one byte long, and moves the stack pointer. With another NUMBER, up to 300, the rows
 * are others. */
#include "known.h"

#ifndef NUMBER
#define NUMBER 0
#endif
#define TEXT_OF(number) #number
#define TEXT(number) TEXT_OF(number)

/* 16,001 bytes and NUMBER more, at the start of a slice of its own. */
#define DENSE(name)                                                                               \
	void name(void);                                                                          \
	__asm__(".text\n"                                                                         \
		".balign 16384\n"                                                                 \
		".type " #name ", @function\n" #name ":\n"                                        \
		".cfi_startproc\n"                                                                \
		".rept " TEXT(NUMBER) "\n"                                                        \
		"nop\n"                                                                           \
		".endr\n"                                                                         \
		".rept 8000\n"                                                                    \
		"push %rax\n"                                                                     \
		".cfi_adjust_cfa_offset 8\n"                                                      \
		"pop %rax\n"                                                                      \
		".cfi_adjust_cfa_offset -8\n"                                                     \
		".endr\n"                                                                         \
		"ret\n"                                                                           \
		".cfi_endproc\n"                                                                  \
		".size " #name ", . - " #name "\n");

DENSE(dense_0)
DENSE(dense_1)
DENSE(dense_2)
DENSE(dense_3)
DENSE(dense_4)
DENSE(dense_5)
DENSE(dense_6)
DENSE(dense_7)
DENSE(dense_8)
DENSE(dense_9)
DENSE(dense_10)
DENSE(dense_11)
DENSE(dense_12)
DENSE(dense_13)
DENSE(dense_14)
DENSE(dense_15)
DENSE(dense_16)
DENSE(dense_17)
DENSE(dense_18)
DENSE(dense_19)
DENSE(dense_20)
DENSE(dense_21)
DENSE(dense_22)
DENSE(dense_23)

FRAME uint64_t works(uint64_t ns)
{
	uint64_t start = thread_cpu_ns(), now;
	do {
		dense_0(), dense_1(), dense_2(), dense_3(), dense_4(), dense_5();
		dense_6(), dense_7(), dense_8(), dense_9(), dense_10(), dense_11();
		dense_12(), dense_13(), dense_14(), dense_15(), dense_16(), dense_17();
		dense_18(), dense_19(), dense_20(), dense_21(), dense_22(), dense_23();
		now = thread_cpu_ns();
	} while (now - start < ns);
	return now - start;
}

uint64_t (*const entry)(uint64_t) = works;

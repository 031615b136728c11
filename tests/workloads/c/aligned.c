/* Blocks of every alignment, which an allocator may make by its own malloc: `aligned`. Tells what
 * each function made. */
#include "known.h"

enum { BLOCKS = 20000, SIZE = 512 };

FRAME static void align_as_malloc(void)
{
	void *block;
	if (posix_memalign(&block, 16, SIZE))
		abort();
	free(block);
}

FRAME static void memalign_as_malloc(void)
{
	void *block = aligned_alloc(16, SIZE);
	*(volatile char *)block = 1;
	free(block);
}

FRAME static void memalign_to_a_line(void)
{
	void *block = aligned_alloc(64, SIZE);
	*(volatile char *)block = 1;
	free(block);
}

FRAME static void align_to_a_line(void)
{
	void *block;
	if (posix_memalign(&block, 64, SIZE))
		abort();
	free(block);
}

int main(void)
{
	usleep(1000000);
	for (int i = 0; i < BLOCKS; i++) {
		align_as_malloc();
		align_to_a_line();
		memalign_as_malloc();
		memalign_to_a_line();
	}
	printf("site align_as_malloc %d %d 0 0\n", BLOCKS, BLOCKS * SIZE);
	printf("site align_to_a_line %d %d 0 0\n", BLOCKS, BLOCKS * SIZE);
	printf("site memalign_as_malloc %d %d 0 0\n", BLOCKS, BLOCKS * SIZE);
	printf("site memalign_to_a_line %d %d 0 0\n", BLOCKS, BLOCKS * SIZE);
	return 0;
}

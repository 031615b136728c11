// Allocates and frees all the time, deep enough to see whether stacks are whole: `allocates MS`.
#include <stdlib.h>
#include <time.h>

static void *volatile sink;

__attribute__((noinline)) static void one(size_t size)
{
    char *block = malloc(size);
    block = realloc(block, size * 2);
    sink = block;
    free(block);
}

__attribute__((noinline)) static void many(void)
{
    for (int i = 0; i < 1000; i++)
        one(16 + i * 8);
    sink = 0;
}

static long now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000L + now.tv_nsec / 1000000;
}

int main(int argc, char **argv)
{
    long end = now_ms() + atol(argc > 1 ? argv[1] : "1000");
    while (now_ms() < end)
        many();
}

// Fills memory, which takes a while to give back, and ends: `leaves MIB`.
#include <stdlib.h>
#include <string.h>

__attribute__((noinline)) static void leave(char *memory, size_t bytes)
{
    memset(memory, 1, bytes);
    exit(memory[bytes / 2] - 1);
}

int main(int argc, char **argv)
{
    size_t bytes = (size_t)atol(argc > 1 ? argv[1] : "64") << 20;
    char *memory = malloc(bytes);
    if (!memory)
        return 1;
    leave(memory, bytes);
}

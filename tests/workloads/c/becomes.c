/* Burns MS in one program, then becomes another, which burns as much: `becomes MS PROGRAM ARGS`. */
#include "known.h"

FRAME uint64_t before(uint64_t ns)
{
	return burn(ns);
}

int main(int argc, char **argv)
{
	before(milliseconds(argc, argv, 1) * MS);
	if (argc > 2)
		execv(argv[2], argv + 2);
	return argc > 2;
}

/* `growth F G`: grows() burns F milliseconds of CPU time and steady() G, in turns. By time and not
 * by work, which takes a few percent more or less from run to run on a machine that others use. */
#include "known.h"

FRAME uint64_t grows(uint64_t ns)
{
	uint64_t burned = burn(ns);
	LEAF();
	return burned;
}

FRAME uint64_t steady(uint64_t ns)
{
	uint64_t burned = burn(ns);
	LEAF();
	return burned;
}

int main(int argc, char **argv)
{
	uint64_t f = milliseconds(argc, argv, 1), g = milliseconds(argc, argv, 2);
	uint64_t grows_ns = 0, steady_ns = 0;
	for (int i = 0; i < 20; i++) {
		grows_ns += grows(f * MS / 20);
		steady_ns += steady(g * MS / 20);
	}
	tell("grows", grows_ns);
	tell("steady", steady_ns);
	tell("cpu", usage_ns(RUSAGE_SELF));
	return 0;
}

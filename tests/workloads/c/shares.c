/* Three functions that take 50, 30 and 20 % of the CPU time. */
#include "known.h"

static uint64_t heavy_ns, middle_ns, light_ns;

FRAME void heavy(void)
{
	heavy_ns += burn(50 * MS);
}

FRAME void middle(void)
{
	middle_ns += burn(30 * MS);
}

FRAME void light(void)
{
	light_ns += burn(20 * MS);
}

FRAME void rounds(uint64_t ms)
{
	for (uint64_t done = 0; done < ms; done += 100) {
		heavy();
		middle();
		light();
	}
}

int main(int argc, char **argv)
{
	rounds(milliseconds(argc, argv, 1));
	tell("heavy", heavy_ns);
	tell("middle", middle_ns);
	tell("light", light_ns);
	tell("cpu", usage_ns(RUSAGE_SELF));
	return 0;
}

/* Numbers that look random and are the same in every run, for each seed. */
#pragma once
#include <stdint.h>

/* The next one, below `limit`. */
static inline uint32_t random_below(uint64_t *state, uint32_t limit)
{
	*state = *state * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(((*state >> 32) * limit) >> 32);
}

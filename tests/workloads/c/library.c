/* A library for `loads`, with one function; NAME is given when it is compiled. */
#include "known.h"

FRAME uint64_t NAME(uint64_t ns)
{
	return burn(ns);
}

uint64_t (*const entry)(uint64_t) = NAME;

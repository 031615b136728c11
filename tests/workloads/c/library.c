/* A library for `loads`, with one function; NAME is given when it is compiled, and ROOM, the bytes
 * of its frame. */
#include "known.h"

#ifndef ROOM
#define ROOM 0
#endif

FRAME uint64_t NAME(uint64_t ns)
{
	volatile char room[ROOM + 1];
	room[ROOM] = 1;
	return burn(ns) + (room[ROOM] == 2);
}

uint64_t (*const entry)(uint64_t) = NAME;

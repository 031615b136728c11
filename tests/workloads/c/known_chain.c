/* Work of known shares on known stacks, to be compiled -O2 -fomit-frame-pointer. Runs until it is
 * killed, or for the seconds that it is given. SCALE makes each piece of work so many times as long. */
#include <alloca.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#ifndef SCALE
#define SCALE 1
#endif
#define KEEP __attribute__((noinline, noclone))

static volatile uint64_t sink;

/* Burns about this many units of work, in a function of its own. */
#define BURN(name, salt)																				\
	KEEP static void name(uint64_t units) {													   \
		uint64_t x = units | salt;																\
		for (uint64_t i = 0; i < units * 1000 * SCALE; i++) x = x * 6364136223846793005u + 1;			 \
		sink = x;																				 \
	}
BURN(burn_chain, 1)
BURN(burn_deep, 3)
BURN(burn_alloca, 5)
BURN(burn_callback, 7)
BURN(burn_signal, 9)
BURN(burn_thread, 11)

KEEP static int chain_c(uint64_t n) { burn_chain(n); return (int)sink; }
KEEP static int chain_b(uint64_t n) { return chain_c(n) + 1; }
KEEP static int chain_a(uint64_t n) { return chain_b(n) + 1; }

KEEP static int recurse(int depth, uint64_t n) {
	volatile char room[64];
	room[0] = (char)depth;
	if (depth == 0) { burn_deep(n); return room[0]; }
	return recurse(depth - 1, n) + room[0];
}

KEEP static int with_alloca(size_t size, uint64_t n) {
	char *room = alloca(size);
	memset(room, 1, size);
	burn_alloca(n);
	return room[size - 1];
}

KEEP static int compare(const void *a, const void *b) {
	burn_callback(4);
	return *(const int *)a - *(const int *)b;
}

KEEP static int sort(void) {
	int numbers[64];
	for (int i = 0; i < 64; i++) numbers[i] = (i * 37) % 64;
	qsort(numbers, 64, sizeof *numbers, compare);
	return numbers[0] + 1;
}

static void handler(int signal) { burn_signal(1500); sink += (uint64_t)signal; }

KEEP static int raise_one(void) { raise(SIGUSR1); return (int)sink; }

static void *thread(void *argument) {
	for (;;) burn_thread(200);
	return argument;
}

int main(int argc, char **argv) {
	double seconds = argc > 1 ? atof(argv[1]) : 1e9;
	signal(SIGUSR1, handler);
	pthread_t id;
	pthread_create(&id, NULL, thread, NULL);
	struct timespec began, now;
	clock_gettime(CLOCK_MONOTONIC, &began);
	int sum = 0;
	do {
		sum += chain_a(1500) + recurse(90, 1500) + with_alloca(1000 + (sum & 255), 1500);
		sum += sort() + raise_one();
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while ((double)(now.tv_sec - began.tv_sec) + (double)(now.tv_nsec - began.tv_nsec) / 1e9 <
			 seconds);
	return sum == 42;
}

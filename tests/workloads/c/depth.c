/* A thread for each CPU that it is given works on a stack of a known depth, to be compiled
 * -O2 -fomit-frame-pointer: SIGUSR1 makes the stacks SHALLOW functions deep, SIGUSR2 DEEP. Between
 * them lie DEEP - SHALLOW frames of 80 bytes and more, by eight functions in turn. Runs until it is
 * killed, or for the seconds of its second argument. */
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#define SHALLOW 16
#define DEEP 80
#define KEEP __attribute__((noinline, noclone))

static volatile int depth = SHALLOW;
static volatile uint64_t sink;

/* Some tenths of a millisecond: the way down and up is short beside it. */
KEEP static int work(void) {
	uint64_t x = sink | 1;
	for (int i = 0; i < 200000; i++) x = x * 6364136223846793005u + 1;
	sink = x;
	return (int)x;
}

#define LINK(name, next)						\
	KEEP static int name(int left) {			\
		volatile char room[64];				 \
		room[0] = (char)left;					\
		if (left == 0) return work() + room[0]; \
		return next(left - 1) + room[0];		\
	}
static int first(int left);
LINK(eighth, first)
LINK(seventh, eighth)
LINK(sixth, seventh)
LINK(fifth, sixth)
LINK(fourth, fifth)
LINK(third, fourth)
LINK(second, third)
LINK(first, second)

static void *thread(void *argument) {
	for (;;) sink += (uint64_t)first(depth);
	return argument;
}

static void shallow(int signal) { (void)signal; depth = SHALLOW; }
static void deep(int signal) { (void)signal; depth = DEEP; }

int main(int argc, char **argv) {
	int threads = argc > 1 ? atoi(argv[1]) : 1;
	unsigned seconds = argc > 2 ? (unsigned)atoi(argv[2]) : 60;
	signal(SIGUSR1, shallow);
	signal(SIGUSR2, deep);
	for (int i = 0; i < threads; i++) {
		pthread_t id;
		if (pthread_create(&id, NULL, thread, NULL)) return 1;
	}
	/* A signal ends a sleep early. */
	while (seconds) seconds = sleep(seconds);
	return 0;
}

/* Every way to allocate, each in a function of its own: `heap_sites ROUNDS [PAUSE_US [PLUGIN]]`.
 * Threads run the rounds side by side and hand blocks to each other; children are forked on the
 * way. PAUSE_US is slept after each round; PLUGIN is a library made of heap_plugin.c. */
#include "heap.h"

#include <malloc.h>
#include <pthread.h>
#include <sys/wait.h>
#ifndef NO_PLUGIN
#include <dlfcn.h>
#endif

#define THREADS 3
#define CACHED 2048
#define SHRUNK 256
#define HANDED 4096
#define MOST_ROUNDS (1 << 20)

struct block {
	void *at;
	size_t size;
};

/* Blocks on their way to another thread. */
struct mailbox {
	pthread_mutex_t lock;
	struct block blocks[HANDED];
	int count;
};

struct worker {
	pthread_t thread;
	int number;
	uint64_t random;
	struct block cached[CACHED], shrunk[SHRUNK];
};

static struct worker workers[THREADS];
static struct mailbox mailboxes[THREADS];
static uint64_t rounds, pause_us;
static void *(*plugin_make)(size_t);

#define SITES(each)                                                                                \
	each(zero_bytes) each(tiny_blocks) each(small_blocks) each(medium_blocks)                  \
	each(large_blocks) each(huge_blocks) each(leaked_blocks) each(cached_blocks)               \
	each(grown_chain) each(shrunk_block) each(refused_growth) each(zeroed_blocks)              \
	each(refused_product) each(aligned_posix) each(aligned_c11) each(aligned_old)              \
	each(array_growth) each(from_nothing) each(to_nothing) each(handed_over)                   \
	each(plugin_blocks) each(child_blocks) each(child_leaks)

#define DECLARE(name) static struct site *name##_site;
SITES(DECLARE)

static uint32_t below(struct worker *w, uint32_t limit)
{
	return random_below(&w->random, limit);
}

FRAME void zero_bytes(void)
{
	for (int i = 0; i < 4; i++) {
		void *at = made(zero_bytes_site, malloc(0), 0);
		if (at) {
			free(at);
			gone(zero_bytes_site, 0);
		}
	}
}

/* Asks for `count` blocks of at least `least` bytes and below `limit`, and then frees them. */
#define TEMPORARY(name, count, least, limit)                                                       \
	FRAME void name(struct worker *w)                                                          \
	{                                                                                          \
		struct block blocks[count];                                                        \
		for (int i = 0; i < (count); i++) {                                                \
			size_t size = (least) + below(w, (limit) - (least));                       \
			blocks[i] = (struct block){made(name##_site, malloc(size), size), size};   \
			*(char *)blocks[i].at = 1;                                                 \
		}                                                                                  \
		for (int i = (count) - 1; i >= 0; i--) {                                           \
			free(blocks[i].at);                                                        \
			gone(name##_site, blocks[i].size);                                         \
		}                                                                                  \
	}

TEMPORARY(tiny_blocks, 48, 1, 17)
TEMPORARY(small_blocks, 48, 24, 257)
TEMPORARY(medium_blocks, 16, 1024, 16384)
TEMPORARY(large_blocks, 2, 65536, 1 << 20)

FRAME void huge_blocks(struct worker *w)
{
	size_t size = (16u << 20) + below(w, 48u << 20);
	void *at = made(huge_blocks_site, malloc(size), size);
	if (at) {
		free(at);
		gone(huge_blocks_site, size);
	}
}

FRAME void leaked_blocks(void)
{
	for (int i = 0; i < 4; i++)
		made(leaked_blocks_site, malloc(48), 48);
}

FRAME void cached_blocks(struct worker *w)
{
	for (int i = 0; i < 8; i++) {
		struct block *slot = &w->cached[below(w, CACHED)];
		if (slot->at) {
			free(slot->at);
			gone(cached_blocks_site, slot->size);
		}
		slot->size = 64 + below(w, 960);
		slot->at = made(cached_blocks_site, malloc(slot->size), slot->size);
	}
}

FRAME void grown_chain(struct worker *w)
{
	size_t size = 16, last = 1024u << below(w, 7);
	void *at = made(grown_chain_site, malloc(size), size);
	while (size < last) {
		at = made(grown_chain_site, realloc(at, size * 2), size * 2);
		gone(grown_chain_site, size);
		size *= 2;
	}
	free(at);
	gone(grown_chain_site, size);
}

FRAME void shrunk_block(struct worker *w)
{
	struct block *slot = &w->shrunk[below(w, SHRUNK)];
	if (slot->at) {
		free(slot->at);
		gone(shrunk_block_site, slot->size);
	}
	void *at = made(shrunk_block_site, malloc(32768), 32768);
	slot->size = 200 + below(w, 600);
	slot->at = made(shrunk_block_site, realloc(at, slot->size), slot->size);
	gone(shrunk_block_site, 32768);
}

static volatile size_t too_much = SIZE_MAX / 4;

FRAME void refused_growth(void)
{
	void *at = made(refused_growth_site, malloc(300), 300), *kept = at;
	__asm__ volatile("" : "+r"(kept));
	if (made(refused_growth_site, realloc(at, too_much), too_much))
		abort();
	free(kept);
	gone(refused_growth_site, 300);
}

FRAME void zeroed_blocks(struct worker *w)
{
	for (int i = 0; i < 8; i++) {
		size_t count = 1 + below(w, 40), size = 8 + below(w, 100);
		void *at = made(zeroed_blocks_site, calloc(count, size), count * size);
		free(at);
		gone(zeroed_blocks_site, count * size);
	}
}

FRAME void refused_product(void)
{
	if (made(refused_product_site, calloc(too_much, 64), 1))
		abort();
	void *at = made(refused_product_site, calloc(4, 100), 400);
	free(at);
	gone(refused_product_site, 400);
}

FRAME void aligned_posix(struct worker *w)
{
	size_t size = 100 + below(w, 4000);
	void *at = NULL;
	if (posix_memalign(&at, 256, size))
		at = NULL;
	made(aligned_posix_site, at, size);
	free(at);
	gone(aligned_posix_site, size);
	at = NULL;
	if (!posix_memalign(&at, 256, too_much))
		abort();
}

FRAME void aligned_c11(struct worker *w)
{
	size_t size = 64 * (1 + below(w, 100));
	void *at = made(aligned_c11_site, aligned_alloc(64, size), size);
	free(at);
	gone(aligned_c11_site, size);
}

FRAME void aligned_old(struct worker *w)
{
	size_t size = 10 + below(w, 9000);
	void *at = made(aligned_old_site, memalign(4096, size), size);
	free(at);
	gone(aligned_old_site, size);
}

FRAME void array_growth(struct worker *w)
{
	size_t count = 1, last = 64 + below(w, 200);
	void *at = made(array_growth_site, reallocarray(NULL, count, 24), count * 24);
	while (count < last) {
		at = made(array_growth_site, reallocarray(at, count * 2, 24), count * 2 * 24);
		gone(array_growth_site, count * 24);
		count *= 2;
	}
	free(at);
	gone(array_growth_site, count * 24);
}

FRAME void from_nothing(struct worker *w)
{
	size_t size = 500 + below(w, 1000);
	void *at = made(from_nothing_site, realloc(NULL, size), size);
	free(at);
	gone(from_nothing_site, size);
}

/* What realloc to no bytes does is the allocator's choice: it frees, or makes a block of none. */
FRAME void to_nothing(void)
{
	void *at = made(to_nothing_site, malloc(700), 700);
	void *rest = made(to_nothing_site, realloc(at, 0), 0);
	gone(to_nothing_site, 700);
	if (rest) {
		free(rest);
		gone(to_nothing_site, 0);
	}
}

/* The next thread frees what this one makes. */
FRAME void handed_over(struct worker *w)
{
	struct mailbox *next = &mailboxes[(w->number + 1) % THREADS];
	pthread_mutex_lock(&next->lock);
	for (int i = 0; i < 8 && next->count < HANDED; i++) {
		size_t size = 80 + below(w, 2000);
		void *at = made(handed_over_site, malloc(size), size);
		next->blocks[next->count++] = (struct block){at, size};
	}
	pthread_mutex_unlock(&next->lock);
}

FRAME void empty_mailbox(struct worker *w)
{
	struct mailbox *own = &mailboxes[w->number];
	pthread_mutex_lock(&own->lock);
	while (own->count) {
		struct block *block = &own->blocks[--own->count];
		free(block->at);
		gone(handed_over_site, block->size);
	}
	pthread_mutex_unlock(&own->lock);
}

FRAME void plugin_blocks(struct worker *w)
{
	for (int i = 0; i < 4; i++) {
		size_t size = 64 + below(w, 64);
		made(plugin_blocks_site, plugin_make(size), size);
	}
}

FRAME void child_blocks(void)
{
	for (int i = 0; i < 2000; i++) {
		void *at = made(child_blocks_site, malloc(150), 150);
		free(at);
		gone(child_blocks_site, 150);
	}
}

FRAME void child_leaks(void)
{
	for (int i = 0; i < 500; i++) {
		made(child_leaks_site, malloc(90), 90);
		exited(child_leaks_site, 90);
	}
}

/* A child frees its copies of what the parent holds, which takes nothing from the parent. */
static void child(void)
{
	pid_t pid = fork();
	if (pid == 0) {
		for (int i = 0; i < CACHED; i++)
			free(workers[0].cached[i].at);
		child_blocks();
		child_leaks();
		_exit(0);
	}
	waitpid(pid, NULL, 0);
}

FRAME void round_of(struct worker *w, uint64_t number)
{
	zero_bytes();
	tiny_blocks(w);
	small_blocks(w);
	medium_blocks(w);
	large_blocks(w);
	if (number % 64 == 0)
		huge_blocks(w);
	leaked_blocks();
	cached_blocks(w);
	grown_chain(w);
	shrunk_block(w);
	refused_growth();
	zeroed_blocks(w);
	refused_product();
	aligned_posix(w);
	aligned_c11(w);
	aligned_old(w);
	array_growth(w);
	from_nothing(w);
	to_nothing();
	handed_over(w);
	empty_mailbox(w);
	if (plugin_make)
		plugin_blocks(w);
}

static void *work(void *argument)
{
	struct worker *w = argument;
	for (uint64_t number = 0; number < rounds; number++) {
		round_of(w, number);
		if (w->number == 0 && number % (rounds / 4 + 1) == rounds / 8)
			child();
		if (pause_us)
			usleep(pause_us);
	}
	return NULL;
}

static void load_plugin(const char *path)
{
#ifdef NO_PLUGIN
	(void)path;
#else
	void *library = dlopen(path, RTLD_NOW);
	if (library)
		plugin_make = (void *(*)(size_t))dlsym(library, "plugin_make");
	if (!plugin_make) {
		fprintf(stderr, "%s\n", dlerror());
		exit(1);
	}
#endif
}

int main(int argc, char **argv)
{
	rounds = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000;
	pause_us = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;
	if (rounds > MOST_ROUNDS)
		rounds = MOST_ROUNDS;
	sites_begin();
#define NAME(name) name##_site = site_named(#name);
	SITES(NAME)
	if (argc > 3)
		load_plugin(argv[3]);
	for (int i = 0; i < THREADS; i++) {
		workers[i].number = i;
		workers[i].random = (uint64_t)i + 1;
		pthread_mutex_init(&mailboxes[i].lock, NULL);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_create(&workers[i].thread, NULL, work, &workers[i]);
	for (int i = 0; i < THREADS; i++)
		pthread_join(workers[i].thread, NULL);
	sites_tell();
	return 0;
}

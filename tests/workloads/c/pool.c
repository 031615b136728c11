/* A program with an allocator of its own: `pool ROUNDS`. Its pool takes chunks from malloc, gives
 * blocks of them out and keeps those that come back; an arena gives all up at once; xmalloc hands
 * on to malloc. Each site counts what it asks of them. */
#include "heap.h"

#define SITES(each) each(from_pool) each(kept_in_pool) each(by_xmalloc) each(by_malloc) each(many)

#define DECLARE(name) static struct site *name##_site;
SITES(DECLARE)

struct pool {
	char *at, *end;
	void *free[65];
};

/* Behind the pool's functions, as in real ones. */
FRAME static void refill(struct pool *pool)
{
	pool->at = malloc(64 << 10);
	pool->end = pool->at + (64 << 10);
}

FRAME static void *pool_get(struct pool *pool, size_t size)
{
	size_t class = (size + 15) / 16;
	void **block = pool->free[class];
	if (block) {
		pool->free[class] = *block;
		return block;
	}
	if (pool->at == NULL || pool->end - pool->at < (long)(class * 16))
		refill(pool);
	block = (void **)pool->at;
	pool->at += class * 16;
	return block;
}

FRAME static void *pool_get_many(struct pool *pool, int unused, size_t count, size_t size)
{
	(void)unused;
	return pool_get(pool, count * size);
}

FRAME static void pool_put(struct pool *pool, size_t size, void *at)
{
	void **block = at;
	*block = pool->free[(size + 15) / 16];
	pool->free[(size + 15) / 16] = block;
}

FRAME static void *xmalloc(size_t size)
{
	void *block = malloc(size);
	if (!block)
		abort();
	return block;
}

static struct pool pool;

FRAME void from_pool(uint64_t *random)
{
	size_t size = 16 + random_below(random, 900);
	void *block = made(from_pool_site, pool_get(&pool, size), size);
	pool_put(&pool, size, block);
	gone(from_pool_site, size);
}

FRAME void kept_in_pool(uint64_t *random)
{
	size_t size = 16 + random_below(random, 200);
	made(kept_in_pool_site, pool_get(&pool, size), size);
}

FRAME void by_xmalloc(uint64_t *random)
{
	size_t size = 1 + random_below(random, 400);
	made(by_xmalloc_site, xmalloc(size), size);
}

FRAME void by_malloc(uint64_t *random)
{
	size_t size = 1 + random_below(random, 600);
	free(made(by_malloc_site, malloc(size), size));
	gone(by_malloc_site, size);
}

FRAME void many(void)
{
	made(many_site, pool_get_many(&pool, 7, 6, 40), 240);
}

int main(int argc, char **argv)
{
	uint64_t rounds = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000, random = 1;
	sites_begin();
#define NAME(name) name##_site = site_named(#name);
	SITES(NAME)
	/* A program's own functions are probed some milliseconds after its start. */
	usleep(300000);
	for (uint64_t i = 0; i < rounds; i++) {
		from_pool(&random);
		kept_in_pool(&random);
		by_xmalloc(&random);
		by_malloc(&random);
		many();
	}
	sites_tell();
	return 0;
}

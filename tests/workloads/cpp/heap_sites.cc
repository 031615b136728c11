// What C++ allocates by: operators new and delete in their forms, and containers that grow, each
// in a function of its own: `heap_sites ROUNDS [PAUSE_US]`.
#include <list>
#include <map>
#include <memory>
#include <new>
#include <string>
#include <thread>
#include <vector>

#include "heap.h"

namespace {

// What the standard containers ask for, counted for a site.
template <typename T>
struct Counted {
	using value_type = T;
	site *counts;

	explicit Counted(site *site) : counts(site) {}
	template <typename U>
	Counted(const Counted<U> &other) : counts(other.counts) {}

	T *allocate(std::size_t n)
	{
		return static_cast<T *>(made(counts, ::operator new(n * sizeof(T)), n * sizeof(T)));
	}
	void deallocate(T *at, std::size_t n)
	{
		::operator delete(at);
		gone(counts, n * sizeof(T));
	}
	template <typename U>
	bool operator==(const Counted<U> &other) const { return counts == other.counts; }
	template <typename U>
	bool operator!=(const Counted<U> &other) const { return counts != other.counts; }
};

struct alignas(128) Line {
	char bytes[384];
};

struct Node {
	char bytes[72];
	virtual ~Node() = default;
};

#define SITES(each)                                                                                \
	each(plain_new) each(array_new) each(nothrow_new) each(aligned_new) each(virtual_delete)   \
	each(vector_growth) each(string_growth) each(map_nodes) each(list_nodes)                   \
	each(shared_pointer) each(held_objects) each(refused_new)

#define DECLARE(name) site *name##_site;
SITES(DECLARE)

volatile std::size_t too_much = SIZE_MAX / 4;

FRAME void plain_new()
{
	for (int i = 0; i < 32; i++) {
		auto *at = static_cast<long *>(made(plain_new_site, new long(i), sizeof(long)));
		delete at;
		gone(plain_new_site, sizeof(long));
	}
}

FRAME void array_new(uint64_t &random)
{
	std::size_t size = 1 + random_below(&random, 3000);
	auto *at = static_cast<char *>(made(array_new_site, new char[size], size));
	delete[] at;
	gone(array_new_site, size);
}

FRAME void nothrow_new(uint64_t &random)
{
	std::size_t size = 1 + random_below(&random, 500);
	auto *at = static_cast<char *>(made(nothrow_new_site, new (std::nothrow) char[size], size));
	delete[] at;
	gone(nothrow_new_site, size);
}

FRAME void aligned_new()
{
	auto *at = static_cast<Line *>(made(aligned_new_site, new Line, sizeof(Line)));
	delete at;
	gone(aligned_new_site, sizeof(Line));
}

FRAME void virtual_delete()
{
	auto *at = static_cast<Node *>(made(virtual_delete_site, new Node, sizeof(Node)));
	delete at;
	gone(virtual_delete_site, sizeof(Node));
}

FRAME void vector_growth(uint64_t &random)
{
	std::vector<int, Counted<int>> grows{Counted<int>(vector_growth_site)};
	for (uint32_t i = random_below(&random, 2000); i > 0; i--)
		grows.push_back(static_cast<int>(i));
}

FRAME void string_growth(uint64_t &random)
{
	std::basic_string<char, std::char_traits<char>, Counted<char>> grows{
		Counted<char>(string_growth_site)};
	for (uint32_t i = random_below(&random, 4000); i > 0; i--)
		grows.push_back('x');
}

FRAME void map_nodes(uint64_t &random)
{
	Counted<std::pair<const int, int>> counted(map_nodes_site);
	std::map<int, int, std::less<int>, decltype(counted)> map{counted};
	for (int i = 0; i < 32; i++)
		map[static_cast<int>(random_below(&random, 1000))] = i;
}

FRAME void list_nodes()
{
	std::list<Line *, Counted<Line *>> list{Counted<Line *>(list_nodes_site)};
	for (int i = 0; i < 16; i++)
		list.push_back(nullptr);
}

FRAME void shared_pointer()
{
	auto at = std::allocate_shared<Node>(Counted<Node>(shared_pointer_site));
	__asm__ volatile("" : : "r"(at.get()) : "memory");
}

FRAME void held_objects()
{
	for (int i = 0; i < 4; i++)
		made(held_objects_site, new Node, sizeof(Node));
}

FRAME void refused_new()
{
	try {
		made(refused_new_site, ::operator new(too_much), 1);
		abort();
	} catch (const std::bad_alloc &) {
		int *at = static_cast<int *>(made(refused_new_site, new int, sizeof(int)));
		delete at;
		gone(refused_new_site, sizeof(int));
	}
}

FRAME void work(uint64_t random, uint64_t rounds, uint64_t pause_us, bool throws)
{
	for (uint64_t i = 0; i < rounds; i++) {
		plain_new();
		array_new(random);
		nothrow_new(random);
		aligned_new();
		virtual_delete();
		vector_growth(random);
		string_growth(random);
		map_nodes(random);
		list_nodes();
		shared_pointer();
		held_objects();
		if (throws && i % 16 == 0)
			refused_new();
		if (pause_us)
			usleep(static_cast<useconds_t>(pause_us));
	}
}

} // namespace

int main(int argc, char **argv)
{
	uint64_t rounds = argc > 1 ? strtoull(argv[1], nullptr, 10) : 1000;
	uint64_t pause_us = argc > 2 ? strtoull(argv[2], nullptr, 10) : 0;
	sites_begin();
#define NAME(name) name##_site = site_named(#name);
	SITES(NAME)
	std::thread other(work, 1, rounds, pause_us, argc > 3);
	work(2, rounds, pause_us, argc > 3);
	other.join();
	sites_tell();
	return 0;
}

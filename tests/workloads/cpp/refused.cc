// Asks for more memory than there is, and goes on when it is refused: `refused HOW WAIT_MS`. `huge`
// asks for 127 TiB at once, more than there is room for; `limited` for 8 MiB at a time, up to the
// limit that it was started with, `limits` up to one that it sets itself.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <sys/resource.h>
#include <thread>
#include <vector>

namespace {

constexpr int kTimes = 20;

[[gnu::noinline]] bool is_refused_huge()
{
	try {
		volatile char *all = static_cast<char *>(::operator new(std::size_t{127} << 40));
		all[0] = 1;
		return false;
	} catch (const std::bad_alloc &) {
		return true;
	}
}

[[gnu::noinline]] bool is_refused_in_the_end()
{
	std::vector<std::unique_ptr<char[]>> blocks;
	blocks.reserve(4096);
	try {
		for (int block = 0; block < 4096; block++)
			blocks.emplace_back(new char[8 << 20]);
		return false;
	} catch (const std::bad_alloc &) {
		return true;
	}
}

} // namespace

int main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	// Probes are there a moment after the program has begun.
	std::this_thread::sleep_for(std::chrono::milliseconds(std::atoi(argv[2])));
	bool huge = !std::strcmp(argv[1], "huge");
	if (!std::strcmp(argv[1], "limits")) {
		rlimit limit = {rlim_t{4} << 30, rlim_t{4} << 30};
		if (setrlimit(RLIMIT_AS, &limit))
			return 3;
	}
	int refused = 0;
	for (int time = 0; time < kTimes; time++)
		refused += huge ? is_refused_huge() : is_refused_in_the_end();
	std::printf("refused %d\n", refused);
	return refused == kTimes ? 0 : 4;
}

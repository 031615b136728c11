// Known shares in a method of a template, a virtual method and a lambda.
#include <functional>

#include "known.h"

namespace work {

template <typename T>
struct Matrix {
	FRAME uint64_t multiply(T ns) { return burn(ns); }
};

struct Shape {
	virtual ~Shape() = default;
	virtual uint64_t area(uint64_t ns) const = 0;
};

struct Circle final : Shape {
	FRAME uint64_t area(uint64_t ns) const override { return burn(ns); }
};

FRAME uint64_t call(const std::function<uint64_t(uint64_t)> &function, uint64_t ns)
{
	return function(ns);
}

FRAME void rounds(uint64_t ms, uint64_t *known)
{
	Matrix<unsigned long> matrix;
	Circle circle;
	const Shape &shape = circle;
	for (uint64_t done = 0; done < ms; done += 100) {
		known[0] += matrix.multiply(60 * MS);
		known[1] += shape.area(25 * MS);
		known[2] += call([](uint64_t ns) { return burn(ns); }, 15 * MS);
	}
}

} // namespace work

int main(int argc, char **argv)
{
	uint64_t known[3] = {};
	work::rounds(milliseconds(argc, argv, 1), known);
	tell("multiply", known[0]);
	tell("area", known[1]);
	tell("call", known[2]);
	tell("cpu", usage_ns(RUSAGE_SELF));
}

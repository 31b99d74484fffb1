// The service seeds a generator a thread (of ids, of delays) from std::random_device, which no test can hand in. Its
// one member that is not inline is defined here instead, and the program's own definition comes before the library's.
#include "tests/actors/model/chance.hpp"

#include <sys/random.h>

#include <optional>
#include <random>
#include <stdexcept>

namespace colloquy::model {
namespace {

thread_local std::optional<std::mt19937_64> repeated;

} // namespace

void repeat_chance(std::uint64_t seed) {
  repeated.emplace(seed);
}

} // namespace colloquy::model

std::random_device::result_type std::random_device::_M_getval() {
  if (colloquy::model::repeated)
    return static_cast<result_type>((*colloquy::model::repeated)());
  result_type value = 0;
  if (::getrandom(&value, sizeof value, 0) != static_cast<ssize_t>(sizeof value))
    throw std::runtime_error("no random numbers");
  return value;
}

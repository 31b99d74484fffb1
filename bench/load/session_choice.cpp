#include "bench/load/session_choice.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace colloquy::load {

session_choice::session_choice(std::size_t count, double skew, std::uint64_t seed)
  : count_(count)
  , random_(seed) {
  if (skew <= 0)
    return;
  up_to_.reserve(count);
  double sum = 0;
  for (std::size_t rank = 1; rank <= count; ++rank)
    up_to_.push_back(sum += std::pow(static_cast<double>(rank), -skew));
  places_.resize(count);
  std::iota(places_.begin(), places_.end(), std::size_t{0});
  std::shuffle(places_.begin(), places_.end(), random_);
}

std::size_t session_choice::next() {
  if (up_to_.empty())
    return at_++ % count_;
  const auto wanted = std::uniform_real_distribution<double>(0, up_to_.back())(random_);
  const auto found = std::upper_bound(up_to_.begin(), up_to_.end(), wanted) - up_to_.begin();
  return places_[std::min(static_cast<std::size_t>(found), count_ - 1)];
}

} // namespace colloquy::load

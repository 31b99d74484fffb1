// Which session is next: in turn, or at random by Zipf's law, where the k-th of n is chosen in proportion to 1 / k^s.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

namespace colloquy::load {

class session_choice {
public:
  /// `skew` 0: in turn.
  session_choice(std::size_t count, double skew, std::uint64_t seed);

  std::size_t next();

private:
  std::size_t count_;
  std::size_t at_ = 0;
  std::mt19937_64 random_;
  std::vector<double> up_to_;       ///< by session: the share of it and all before it, times a constant; empty: in turn
  std::vector<std::size_t> places_; ///< so that the ones chosen most are not those made first
};

} // namespace colloquy::load

#include "config/sizing.hpp"

#include <algorithm>

namespace colloquy::config {

namespace {

/// A pool's own bounds: the range of pool_max.
constexpr std::size_t pool_least = 2;
constexpr std::size_t pool_most = 1000;
/// Nothing real is above it, and no sum of such figures overflows.
constexpr std::size_t figure_max = 1'000'000;

std::size_t bounded(std::size_t figure) {
  return std::min(figure, figure_max);
}

std::size_t left_of(std::size_t all, std::size_t taken) {
  return all > taken ? all - taken : 0;
}

std::size_t server_left(const sizing_input& input) {
  return left_of(bounded(input.max_connections), bounded(input.superuser_reserved_connections) +
                                                     bounded(input.reserved_connections) +
                                                     bounded(input.used_by_others));
}

std::string server_sum(const sizing_input& input, std::size_t left) {
  return "the server has " + std::to_string(left) + " left (max_connections " + std::to_string(input.max_connections) +
         ", superuser_reserved_connections " + std::to_string(input.superuser_reserved_connections) +
         ", reserved_connections " + std::to_string(input.reserved_connections) + ", used by others " +
         std::to_string(input.used_by_others) + ")";
}

/// `who`: how the sentence speaks of the size, "pool_max is 40" or "40 connections are wanted".
void warn_of_limits(sizing_advice& advice, const sizing_input& input, std::size_t size, const std::string& who) {
  if (input.pooler_limit && size > *input.pooler_limit)
    advice.warnings.push_back({"pool_max", who + ", but the pooler gives " + std::to_string(*input.pooler_limit) +
                                               "; set pool_max (DB_POOL_MAX) to at most that, or raise the pool size "
                                               "with the provider"});
  if (size > advice.server_left)
    advice.warnings.push_back({"pool_max", who + ", but " + server_sum(input, advice.server_left) +
                                               "; set pool_max (DB_POOL_MAX) to at most that, or raise "
                                               "max_connections"});
}

void warn(sizing_advice& advice, const sizing_input& input, std::size_t wanted) {
  if (advice.limit < pool_least)
    advice.warnings.push_back({"pool_max", "a pool needs 2 connections at least, and there " +
                                               std::string(advice.limit == 1 ? "is 1" : "are none") +
                                               " to be had: end connections of others, or raise max_connections or "
                                               "the pooler's pool size"});
  warn_of_limits(advice, input, wanted, std::to_string(wanted) + " connections are wanted");
  if (input.pool_max)
    warn_of_limits(advice, input, *input.pool_max, "pool_max is " + std::to_string(*input.pool_max));
}

} // namespace

sizing_advice advise(const sizing_input& input) {
  const auto concurrency = bounded(input.concurrency);
  sizing_advice advice{};
  advice.by_cores = bounded(input.cores) * 2 + bounded(input.disks);
  advice.by_concurrency = (concurrency * 6 + 4) / 5;
  advice.by_concurrency_ample = (concurrency * 3 + 1) / 2 + 5;
  advice.server_left = server_left(input);
  advice.limit = std::min(advice.server_left, input.pooler_limit.value_or(advice.server_left));
  const auto wanted = std::clamp(
      std::min(std::max(advice.by_cores, advice.by_concurrency), advice.by_concurrency_ample), pool_least, pool_most);
  advice.pool_max = std::max(pool_least, std::min(wanted, advice.limit));
  advice.pool_min = (advice.pool_max + 2) / 3;
  warn(advice, input, wanted);
  return advice;
}

} // namespace colloquy::config

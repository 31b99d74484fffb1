#include "gateway/tenant_book.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/this_coro.hpp>

#include <algorithm>

namespace colloquy::gateway {
namespace {

using namespace std::chrono_literals;
namespace asio = boost::asio;

/// Other processes change quotas, too, and what is stored grows.
constexpr auto fresh_for = 2s;

} // namespace

std::optional<token_bucket::clock::duration> token_bucket::take(std::int64_t per_s, std::int64_t burst,
                                                                clock::time_point now) {
  const auto most = static_cast<double>(burst);
  const auto since = std::chrono::duration<double>(now - filled_).count();
  tokens_ = tokens_ < 0 ? most : std::min(most, tokens_ + since * static_cast<double>(per_s));
  filled_ = now;
  if (tokens_ >= 1) {
    tokens_ -= 1;
    return std::nullopt;
  }
  return std::chrono::duration_cast<clock::duration>(
      std::chrono::duration<double>((1 - tokens_) / static_cast<double>(per_s)));
}

task<result<tenant_state_ptr>> tenant_book::find(const tenant_id& id) {
  const auto known = tenants_.find(id);
  if (known == tenants_.end())
    co_return co_await fetch(id);
  auto state = known->second;
  if (state->fetched + fresh_for < std::chrono::steady_clock::now() && !std::exchange(state->is_fetching, true))
    asio::co_spawn(co_await asio::this_coro::executor, refresh(state), asio::detached);
  co_return state;
}

task<result<tenant_state_ptr>> tenant_book::fetch(tenant_id id) {
  get_tenant wanted{id};
  auto found = co_await asks_.ask<tenant_record>(to_.tenants, std::move(wanted), request_timeout_);
  if (!found)
    co_return found.failure();
  co_return keep(*found);
}

task<void> tenant_book::refresh(tenant_state_ptr state) {
  get_tenant wanted{state->record.id};
  auto found = co_await asks_.ask<tenant_record>(to_.tenants, std::move(wanted), request_timeout_);
  state->is_fetching = false;
  if (found)
    note(*found);
  else
    state->fetched = std::chrono::steady_clock::now(); // what is known holds while nobody can say
}

void tenant_book::note(const tenant_record& record) {
  keep(record);
}

tenant_state_ptr tenant_book::keep(const tenant_record& record) {
  auto& state = tenants_[record.id];
  const bool is_new = !state;
  if (is_new)
    state = std::make_shared<tenant_state>();
  const auto& quotas = record.quotas;
  const bool is_limited = quotas.resident_sessions_max || quotas.running_turns_max;
  const bool was_limited = state->record.quotas.resident_sessions_max || state->record.quotas.running_turns_max;
  if (is_limited || was_limited)
    asks_.tell(to_.directory, limit_sessions{record.id, quotas.resident_sessions_max, quotas.running_turns_max});
  state->record = record;
  state->fetched = std::chrono::steady_clock::now();
  state->sessions_made = state->bytes_written = 0;
  auto kept = state;
  if (is_new && tenants_.size() > tenants_max)
    forget_some();
  return kept;
}

void tenant_book::forget_some() {
  std::erase_if(tenants_, [](const auto& each) {
    return each.second.use_count() == 1 && each.second->connections == 0 && each.second->streams == 0 &&
           each.second->fetched + fresh_for < std::chrono::steady_clock::now();
  });
}

} // namespace colloquy::gateway

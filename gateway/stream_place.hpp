// One more of those who wait or follow; while it lives, it counts.
#pragma once

#include "gateway/edge.hpp"
#include "gateway/tenant_book.hpp"

#include <optional>
#include <utility>

namespace colloquy::gateway {

class stream_place {
public:
  stream_place(edge& at, tenant_state_ptr tenant)
    : at_(at)
    , tenant_(std::move(tenant)) {
    ++at_.metrics().streams;
    ++tenant_->streams;
  }
  stream_place(const stream_place&) = delete;
  stream_place& operator=(const stream_place&) = delete;
  ~stream_place() {
    --at_.metrics().streams;
    --tenant_->streams;
  }

  static std::optional<error> why_full(edge& at, const tenant_state& tenant) {
    const auto most = tenant.record.quotas.subscriptions_max;
    if (most && tenant.streams >= static_cast<std::size_t>(*most))
      return error{error_code::quota_exceeded,
                   "the tenant's quota is reached: subscriptions_max is " + std::to_string(*most),
                   std::chrono::milliseconds{1000}};
    if (at.metrics().streams >= at.settings().streams_max)
      return error{error_code::overloaded, "too many streams are open", std::chrono::milliseconds{1000}};
    return std::nullopt;
  }

private:
  edge& at_;
  tenant_state_ptr tenant_;
};

} // namespace colloquy::gateway

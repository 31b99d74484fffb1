#include "actors/connect_gate.hpp"

#include <algorithm>

namespace colloquy::actors {
namespace {

struct steps {
  std::chrono::milliseconds first;
  std::chrono::milliseconds max;
};

steps steps_of(db::connect_trouble trouble, const reconnect_options& options) {
  switch (trouble) {
  case db::connect_trouble::credentials:
  case db::connect_trouble::transaction_mode: // somebody has to change the settings, too
    return {connect_gate::credentials_delay_first, connect_gate::credentials_delay_max};
  case db::connect_trouble::too_many_connections:
    return {connect_gate::slots_delay_first, connect_gate::slots_delay_max};
  default:
    return {options.delay_first, options.delay_max};
  }
}

} // namespace

std::chrono::milliseconds connect_gate::failed(db::connect_trouble trouble, std::size_t ready, time_point now) {
  if (trouble != trouble_)
    failures_ = 0;
  trouble_ = trouble;
  const auto [first, max] = steps_of(trouble, options_);
  auto delay = first;
  for (unsigned i = 0; i < failures_ && delay < max; ++i)
    delay *= 2;
  ++failures_;
  if (trouble == db::connect_trouble::too_many_connections) {
    // The next step is as long as this wait: it doubles from refusal to refusal.
    ceiling_step_ = ceiling_ == unlimited ? std::chrono::milliseconds{slots_delay_first}
                                          : std::min<std::chrono::milliseconds>(ceiling_step_ * 2, slots_delay_max);
    ceiling_ = std::max(ready, ceiling_min);
    ceiling_since_ = now;
  }
  delay = with_jitter(std::min(delay, max));
  failed_at_ = now;
  next_try_ = now + delay;
  return delay;
}

void connect_gate::connected(time_point now) {
  if (ceiling_ == unlimited)
    return;
  ceiling_step_ = std::max<std::chrono::milliseconds>(ceiling_step_ / 2, slots_delay_first);
  ceiling_since_ = std::max(ceiling_since_, now - ceiling_step_);
}

bool connect_gate::needs_somebody() const noexcept {
  return failures_ > 0 &&
         (trouble_ == db::connect_trouble::credentials || trouble_ == db::connect_trouble::certificate ||
          trouble_ == db::connect_trouble::transaction_mode);
}

void connect_gate::lasted(time_point connected_at) {
  if (failures_ == 0 || connected_at <= failed_at_)
    return;
  failures_ = 0;
  trouble_ = db::connect_trouble::none;
  next_try_ = {};
}

void connect_gate::forget_failures() {
  failures_ = 0;
  trouble_ = db::connect_trouble::none;
  next_try_ = {};
  ceiling_ = unlimited;
}

std::size_t connect_gate::ceiling(time_point now) {
  while (ceiling_ != unlimited && now - ceiling_since_ >= ceiling_step_) {
    ++ceiling_;
    ceiling_since_ += ceiling_step_;
    if (ceiling_ > 10'000)
      ceiling_ = unlimited;
  }
  return ceiling_;
}

std::chrono::milliseconds connect_gate::with_jitter(std::chrono::milliseconds delay) {
  const auto spread = delay.count() * options_.jitter_percent / 100;
  std::uniform_int_distribution<std::int64_t> pick(-static_cast<std::int64_t>(spread), spread);
  return delay + std::chrono::milliseconds{pick(generator_)};
}

} // namespace colloquy::actors

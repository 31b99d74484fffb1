#include "tests/actors/model/race_pool.hpp"

#include "messages/clock.hpp"

#include <string_view>
#include <utility>

namespace colloquy::model {

race_pool::race_pool(caf::actor_config& config)
  : race_pool_actor::base(config) {}

race_pool::behavior_type race_pool::make_behavior() {
  return {[this](const actors::run_unit& request) { return run(*request.work); },
          [this](const actors::lease_connection&) -> result<actors::leased_connection> {
            return actors::leased_connection{caf::actor_cast<actors::connection_actor>(this), 1, ++last_lease_};
          },
          [](const actors::end_lease&) {}, [this](const compare_log& wanted) { return compare(wanted); },
          [this](count_wakes) { return wakes_; }};
}

db::unit_outcome race_pool::run(const db::unit& work) {
  tables_.now = system_time();
  db::unit_outcome outcome;
  for (const auto& call : work.calls) {
    if (std::string_view(call.what->name) == "read_session")
      ++wakes_;
    db::rows answer;
    if (auto failure = tables_.apply(call, "\x01", answer))
      return {{}, std::move(failure)};
    outcome.results.push_back(std::move(answer));
  }
  return outcome;
}

std::string race_pool::compare(const compare_log& wanted) const {
  const auto found = tables_.logs.find(wanted.session.bytes);
  const auto size = found == tables_.logs.end() ? 0 : found->second.size();
  if (size != wanted.data.size())
    return std::to_string(size) + " events are there of " + std::to_string(wanted.data.size());
  for (std::size_t i = 0; i < size; ++i) {
    const auto& entry = found->second[i];
    if (entry.offset != static_cast<event_offset>(i) || entry.data != wanted.data[i])
      return "offset " + std::to_string(entry.offset) + " has " + entry.data + " where " + std::to_string(i) +
             " has to have " + wanted.data[i];
  }
  return {};
}

} // namespace colloquy::model

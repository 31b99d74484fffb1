// A pool for the real scheduler: supervisor, connection and database are one actor, so that the model of the database,
// which is for one thread, has one. Every unit is carried out as it comes; none fails, so none is taken back.
#pragma once

#include "actors/pool_interface.hpp"
#include "messages/session.hpp"
#include "tests/support/fake_tables.hpp"

#include <caf/typed_event_based_actor.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace colloquy::model {

/// Is the log of this session exactly this? Answered with what is wrong; "" if nothing.
struct compare_log {
  session_id session;
  std::vector<std::string> data;
};

/// How often sessions were read to be woken.
struct count_wakes {};

} // namespace colloquy::model

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::model::compare_log)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::model::count_wakes)

namespace colloquy::model {

using race_pool_actor = actors::supervisor_actor::extend<caf::replies_to<compare_log>::with<std::string>,
                                                         caf::replies_to<count_wakes>::with<std::uint64_t>>;

class race_pool : public race_pool_actor::base {
public:
  explicit race_pool(caf::actor_config& config);
  behavior_type make_behavior() override;

private:
  db::unit_outcome run(const db::unit& work);
  std::string compare(const compare_log& wanted) const;

  test::fake_tables tables_;
  std::uint64_t wakes_ = 0;
  actors::lease_id last_lease_ = 0;
};

} // namespace colloquy::model

// Stands between the directory and the real pool and remembers who leased what, so that a test can end the writer or
// its backend.
#pragma once

#include "actors/connection_interface.hpp"

#include <caf/typed_event_based_actor.hpp>

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>

namespace colloquy::test {

/// Written by the actor, read by the test.
class lease_record {
public:
  void set_holder(caf::strong_actor_ptr holder) {
    std::lock_guard lock(mutex_);
    holder_ = std::move(holder);
  }
  caf::actor holder() const {
    std::lock_guard lock(mutex_);
    return caf::actor_cast<caf::actor>(holder_);
  }
  std::atomic<std::int32_t> backend_pid{0};
  std::atomic<int> leases{0};

private:
  mutable std::mutex mutex_;
  caf::strong_actor_ptr holder_;
};

class watched_pool : public actors::supervisor_actor::base {
public:
  watched_pool(caf::actor_config& config, actors::supervisor_actor real, std::shared_ptr<lease_record> record)
    : actors::supervisor_actor::base(config)
    , real_(std::move(real))
    , record_(std::move(record)) {}

  behavior_type make_behavior() override {
    return {[this](actors::run_unit& request) { return delegate(real_, std::move(request)); },
            [this](actors::lease_connection&) {
              auto answer = make_response_promise<result<actors::leased_connection>>();
              record_->set_holder(current_sender());
              // The lease belongs to this actor then, which does not die: the writer ends its connection itself.
              request(real_, std::chrono::seconds{30}, actors::lease_connection{"watched"})
                  .then(
                      [this, answer](result<actors::leased_connection>& leased) mutable {
                        if (leased) {
                          record_->backend_pid = leased->backend_pid;
                          ++record_->leases;
                        }
                        answer.deliver(std::move(leased));
                      },
                      [answer](const caf::error&) mutable {
                        answer.deliver(result<actors::leased_connection>(
                            error{error_code::database_unavailable, "no lease in time"}));
                      });
              return answer;
            }};
  }

  void on_exit() override { real_ = nullptr; }

private:
  actors::supervisor_actor real_;
  std::shared_ptr<lease_record> record_;
};

} // namespace colloquy::test

// A pipeline_connection for tests, driven with poll() where the product has an actor and an I/O thread.
#pragma once

#include "db/pipeline_connection.hpp"
#include "tests/support/test_cluster.hpp"

#include <poll.h>

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace colloquy::test {

class driven_connection {
public:
  explicit driven_connection(const db::connection_target& target) {
    auto started = db::pipeline_connection::start(target);
    if (!started)
      throw std::runtime_error(started.failure().message);
    link_ = std::move(started).value();
    need_ = db::io_need::write;
  }

  /// Until the condition holds, or nothing has happened for a long time.
  template <class Condition>
  bool drive(Condition done) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds{30};
    while (!done() && !link_->broken() && std::chrono::steady_clock::now() < deadline) {
      pollfd waiting{link_->socket(), 0, 0};
      if (need_ == db::io_need::read || need_ == db::io_need::read_write)
        waiting.events |= POLLIN;
      if (need_ == db::io_need::write || need_ == db::io_need::read_write)
        waiting.events |= POLLOUT;
      poll(&waiting, 1, 1000);
      advance();
    }
    return done();
  }
  void advance() {
    need_ = link_->advance();
    for (auto& unit : link_->take_finished()) {
      order_.push_back(unit.tag);
      outcomes_.insert_or_assign(unit.tag, std::move(unit.outcome));
    }
  }
  bool make_ready() {
    return drive([this] { return link_->ready(); });
  }
  void submit(std::uint64_t tag, std::vector<db::statement_call> calls) { link_->submit(tag, {std::move(calls)}); }

  /// The outcome of a unit, once it has come.
  const db::unit_outcome& outcome(std::uint64_t tag) {
    advance();
    drive([&] { return outcomes_.contains(tag); });
    if (!outcomes_.contains(tag))
      throw std::runtime_error("no outcome");
    return outcomes_.at(tag);
  }
  db::unit_outcome run(db::statement_call call) {
    submit(++last_, {std::move(call)});
    return outcome(last_);
  }
  const std::vector<std::uint64_t>& order() const { return order_; }
  db::pipeline_connection& link() { return *link_; }

private:
  std::unique_ptr<db::pipeline_connection> link_;
  db::io_need need_ = db::io_need::none;
  std::map<std::uint64_t, db::unit_outcome> outcomes_;
  std::vector<std::uint64_t> order_;
  std::uint64_t last_ = 1000;
};

inline db::connection_target target_of(const test_database& database,
                                       std::chrono::milliseconds statement_timeout = std::chrono::seconds{20}) {
  return db::service_target(database.service_conninfo(), "public", "pipeline-test",
                            {statement_timeout, std::chrono::seconds{60}, std::chrono::seconds{10}});
}

inline std::string only_value(const db::unit_outcome& outcome) {
  if (outcome.failure)
    return "failed: " + outcome.failure->message;
  return std::string(outcome.results.back().get(0, 0));
}

} // namespace colloquy::test

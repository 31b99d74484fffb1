// What is done beside appending to logs and reading them: fanout, lease, documents.
#pragma once

#include "bench/load/conversation_set.hpp"
#include "bench/load/session_choice.hpp"

#include <deque>
#include <random>

namespace colloquy::load {

/// One durable event in a session that many listen to; over when all of them have it. Sessions are listened to alike,
/// so that a session has one event under way at most.
class fanout_workload : public load_workload {
public:
  fanout_workload(load_client& client, conversation_set& talk, std::size_t subscribers)
    : client_(client)
    , talk_(talk)
    , subscribers_(subscribers)
    , heard_(talk.size()) {}

  void prepare(prepared then) override;
  void perform(finished then) override;
  bool is_exhausted() const override { return free_.empty(); }
  void verify(std::function<void(result<std::size_t>)> then) override { talk_.verify(std::move(then)); }

private:
  void listen_next(std::size_t session, prepared then);
  void on_heard(std::size_t session, event_offset offset);
  void end_one(std::size_t session);

  load_client& client_;
  conversation_set& talk_;
  const std::size_t subscribers_;
  struct waiting {
    finished then{};
    bool is_heard = false;
    bool is_answered = false;
  };
  std::vector<waiting> heard_;   ///< by session
  std::deque<std::size_t> free_; ///< sessions with nothing under way
};

/// A backend of the pool taken and given back.
class lease_workload : public load_workload {
public:
  lease_workload(load_client& client, std::size_t tenants)
    : client_(client)
    , tenants_(tenants) {}

  void perform(finished then) override;

private:
  load_client& client_;
  const std::size_t tenants_;
  std::size_t at_ = 0;
};

/// Documents found by an equality, changed and inserted: eight, one and one of ten operations.
class documents_workload : public load_workload {
public:
  documents_workload(load_client& client, std::size_t documents, std::size_t tenants, std::uint64_t seed);

  std::vector<std::string> parts() const override { return {"find one", "update one", "insert one"}; }
  void prepare(prepared then) override;
  void perform(finished then) override;
  /// Looks for each document that was inserted while it was measured.
  void verify(std::function<void(result<std::size_t>)> then) override;

private:
  void insert_next(std::size_t step, prepared then);
  void verify_next(std::size_t from, std::function<void(result<std::size_t>)> then);
  std::string document(std::size_t number) const;
  document_filter where_number(std::size_t number) const;
  const tenant_id& tenant_of(std::size_t number) const { return tenants_[number % tenants_.size()]; }

  load_client& client_;
  const std::size_t first_;           ///< so many are there before
  std::size_t next_;                  ///< number of the next to be inserted
  std::vector<std::size_t> inserted_; ///< answered
  std::vector<tenant_id> tenants_;
  std::mt19937_64 random_;
  std::string collection_;
};

} // namespace colloquy::load

// Requests that come again: found by their key, and answered as the first one was. See session.hpp for the rules.
//
// A session that has heard of a key since it woke reads the hashes of all keys that are still kept, once; from then on
// a key whose hash it does not know is new, without asking the database again.
#include "actors/session_draft.hpp"

#include "actors/session_checks.hpp"
#include "db/session_queries.hpp"

#include <utility>

namespace colloquy::actors {
namespace {

// Of one session and the time that keys are kept. One that has more asks the database each time.
constexpr std::size_t hashes_max = 20'000;

} // namespace

/// `by`: whose access is looked at again if the answer takes its time.
void session::recall(const char* kind, const idempotency& repeat, requester by, std::function<void(recalled)> then) {
  if (!is_storable(repeat))
    return then(unstorable_key());
  recall_in(scope_of(kind, repeat), repeat, std::move(by), std::move(then));
}

void session::recall_in(const std::string& scope, const idempotency& repeat, requester by,
                        std::function<void(recalled)> then) {
  if (const auto* known = undurable_key(scope, repeat.key))
    return then(compare(*known, repeat));
  const auto hash = db::idempotency_hash(scope, repeat.key);
  if (known_->knows_all_keys && !known_->key_hashes.contains(hash))
    return then(std::optional<db::remembered_key>{});
  auto then_if_it_may = [this, by = std::move(by), then = std::move(then)](recalled found) {
    auto problem = why_not_now(by.needed, by.as_user);
    then(problem ? recalled(*problem) : std::move(found));
  };
  if (known_->knows_all_keys || known_->key_hashes.size() >= hashes_max)
    return look_up_key(scope, repeat, std::move(then_if_it_may));
  learn_keys([this, scope, repeat, hash, then_if_it_may]() mutable {
    if (known_->knows_all_keys && !known_->key_hashes.contains(hash))
      return then_if_it_may(std::optional<db::remembered_key>{});
    look_up_key(scope, repeat, std::move(then_if_it_may));
  });
}

/// Twins wait for each other: the first may be about to write what the second would not find.
void session::look_up_key(const std::string& scope, const idempotency& repeat, std::function<void(recalled)> then) {
  const auto place = std::make_pair(scope, repeat.key);
  const auto [twins, is_first] = doing().keys_looked_up.try_emplace(place);
  if (!is_first)
    return twins->second.push_back([this, scope, repeat, then] { look_up_again(scope, repeat, then); });
  ask_database(db::find_key(key_.tenant, key_.id, scope, repeat.key), "find_key",
               [this, scope, place, repeat, then = std::move(then)](const db::unit_outcome& outcome) {
                 auto others = doing().keys_looked_up.extract(place);
                 then(read_key(scope, repeat, outcome));
                 for (const auto& each : others.mapped())
                   each();
               });
}

/// `then` looks at the asker's access by itself.
void session::look_up_again(const std::string& scope, const idempotency& repeat, std::function<void(recalled)> then) {
  recall_in(scope, repeat, {access::reads, std::nullopt}, std::move(then));
}

session::recalled session::read_key(const std::string& scope, const idempotency& repeat,
                                    const db::unit_outcome& outcome) const {
  if (const auto* known = undurable_key(scope, repeat.key))
    return compare(*known, repeat);
  auto found = db::decode_key(outcome);
  if (!found)
    return found.failure();
  return *found ? compare(**found, repeat) : recalled(std::nullopt);
}

/// What comes meanwhile waits, so that requests keep their order.
void session::learn_keys(std::function<void()> then) {
  learns_keys_ = true;
  const auto after = environment_->now() - limits::idempotency_kept;
  ask_database(db::read_key_hashes(key_, after, hashes_max), "read_key_hashes",
               [this, then = std::move(then)](const db::unit_outcome& outcome) {
                 learns_keys_ = false;
                 if (auto hashes = db::decode_key_hashes(outcome)) {
                   known_->knows_all_keys = hashes->size() < hashes_max;
                   known_->key_hashes.insert(hashes->begin(), hashes->end());
                 }
                 then();
                 run_waiting();
               });
}

const db::remembered_key* session::undurable_key(const std::string& scope, const std::string& key) const {
  if (doing_)
    for (const auto& write : doing_->undurable)
      if (write->key && write->key->key == key && write->key->scope == scope)
        return &*write->key;
  return nullptr;
}

session::recalled session::compare(const db::remembered_key& known, const idempotency& repeat) {
  if (known.fingerprint != repeat.fingerprint)
    return error{error_code::idempotency_mismatch,
                 "idempotency key \"" + repeat.key + "\" was used before, with another request"};
  return std::optional(known);
}

db::remembered_key session::new_key(const char* kind, const idempotency& repeat) const {
  db::remembered_key key;
  key.scope = scope_of(kind, repeat);
  key.key = repeat.key;
  key.fingerprint = repeat.fingerprint;
  key.made_at = environment_->now();
  return key;
}

void session::know_key(const db::remembered_key& key) {
  if (known_->key_hashes.size() < hashes_max)
    known_->key_hashes.insert(db::idempotency_hash(key.scope, key.key));
  else
    known_->knows_all_keys = false;
}

void session::remember(draft& in, db::remembered_key key) {
  know_key(key);
  in.write->key = std::move(key);
}

} // namespace colloquy::actors

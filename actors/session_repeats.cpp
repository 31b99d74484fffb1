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

void session::recall(const char* scope, const idempotency& repeat, std::function<void(recalled)> then) {
  if (repeat.key.empty() || !is_storable_name(repeat.key) || repeat.fingerprint.size() > limits::fingerprint_bytes_max)
    return then(
        error{error_code::invalid_request,
              "an idempotency key has 1 to " + std::to_string(limits::name_chars_max) + " characters of valid UTF-8"});
  if (const auto* known = undurable_key(scope, repeat.key))
    return then(compare(*known, repeat));
  const auto hash = db::idempotency_hash(scope, repeat.key);
  if (known_->knows_all_keys && !known_->key_hashes.contains(hash))
    return then(std::optional<db::remembered_key>{});
  if (known_->knows_all_keys || known_->key_hashes.size() >= hashes_max)
    return look_up_key(scope, repeat, std::move(then));
  learn_keys([this, name = std::string(scope), repeat, hash, then = std::move(then)]() mutable {
    if (known_->knows_all_keys && !known_->key_hashes.contains(hash))
      return then(std::optional<db::remembered_key>{});
    look_up_key(name, repeat, std::move(then));
  });
}

void session::look_up_key(const std::string& scope, const idempotency& repeat, std::function<void(recalled)> then) {
  ask_database(db::find_key(key_.tenant, key_.id, scope, repeat.key), "find_key",
               [this, scope, repeat, then = std::move(then)](const db::unit_outcome& outcome) {
                 // It may have been written meanwhile by a twin of this request.
                 if (const auto* known = undurable_key(scope, repeat.key))
                   return then(compare(*known, repeat));
                 auto found = db::decode_key(outcome);
                 if (!found)
                   return then(found.failure());
                 if (!*found)
                   return then(std::optional<db::remembered_key>{});
                 then(compare(**found, repeat));
               });
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

db::remembered_key session::new_key(const char* scope, const idempotency& repeat) const {
  db::remembered_key key;
  key.scope = scope;
  key.key = repeat.key;
  key.fingerprint = repeat.fingerprint;
  key.made_at = environment_->now();
  return key;
}

void session::remember(draft& in, db::remembered_key key) {
  known_->key_hashes.insert(db::idempotency_hash(key.scope, key.key));
  if (known_->key_hashes.size() > hashes_max)
    known_->knows_all_keys = false;
  in.write->key = std::move(key);
}

} // namespace colloquy::actors

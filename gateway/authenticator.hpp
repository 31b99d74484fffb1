// From an Authorization header to who calls.
#pragma once

#include "gateway/asker.hpp"
#include "gateway/loop.hpp"
#include "gateway/principal.hpp"
#include "gateway/service_handles.hpp"

#include <chrono>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

namespace colloquy::gateway {

class jwt_verifier;

struct authenticator_options {
  std::string admin_sha256{}; ///< of the key that was set; "" if the one in the database counts
  bool is_local = true;       ///< only this machine is served
  std::chrono::milliseconds request_timeout{30'000};
};

/// Keys that were right are remembered for some seconds, so that each is not looked up for each request; a key that was
/// revoked by another process is good for so long, one that was revoked here for no longer.
class authenticator {
public:
  authenticator(asker& asks, const service_handles& to, authenticator_options options);
  ~authenticator();

  /// Who it is; `nobody` without a header where one is needed. Errors: unauthenticated (the same for a key that never
  /// was, one that is wrong, and one that is over), overloaded, of the tenants actor.
  task<result<principal>> identify(std::optional<std::string_view> authorization);

  /// Null: tokens are not taken. From now on.
  void use_tokens(std::shared_ptr<const jwt_verifier> verifier);
  /// A key was revoked or rotated here.
  void forget_key(const key_id& id);
  /// A tenant has a key from now on: nobody is local any more.
  void note_tenant_keys() { has_tenant_keys_ = true; }

private:
  struct remembered {
    principal who;
    std::chrono::steady_clock::time_point until;
  };

  task<result<principal>> identify_key(std::string_view key);
  task<result<principal>> identify_made_admin(std::string_view key);
  result<principal> identify_token(std::string_view token);
  task<result<bool>> needs_key();
  task<std::optional<error>> look_at_service_keys();
  std::optional<principal> recall(const std::string& digest);
  void remember(const std::string& digest, const principal& who);
  void note_use(const principal& who);

  asker& asks_;
  const service_handles& to_;
  const authenticator_options options_;
  std::shared_ptr<const jwt_verifier> verifier_;
  std::unordered_map<std::string, remembered> known_; // by the key's digest
  std::string admin_sha256_;
  bool has_tenant_keys_ = false;
  std::optional<std::chrono::steady_clock::time_point> looked_; // at the service's keys
  std::size_t lookups_ = 0;
};

} // namespace colloquy::gateway

#include "gateway/authenticator.hpp"

#include "gateway/jwt.hpp"
#include "gateway/secrets.hpp"

#include <utility>

namespace colloquy::gateway {
namespace {

using namespace std::chrono_literals;
namespace asio = boost::asio;

constexpr auto remembered_for = 5s;
constexpr std::size_t remembered_max = 10'000;
constexpr std::size_t lookups_max = 200;
constexpr std::string_view admin_mark = "cqa_";
constexpr std::string_view scheme = "bearer ";

const error not_valid{error_code::unauthenticated, "the key or token is not valid"};

bool is_bearer(std::string_view header) {
  if (header.size() <= scheme.size())
    return false;
  for (std::size_t i = 0; i < scheme.size(); ++i)
    if ((header[i] | 0x20) != (scheme[i] | 0x20))
      return false;
  return true;
}

/// While it lives, one more is under way.
class counted {
public:
  explicit counted(std::size_t& count)
    : count_(count) {
    ++count_;
  }
  counted(const counted&) = delete;
  counted& operator=(const counted&) = delete;
  ~counted() { --count_; }

private:
  std::size_t& count_;
};

principal operator_principal() {
  principal who;
  who.kind = principal_kind::operator_;
  who.scopes = {true, true, true};
  who.name = "admin";
  return who;
}

principal local_principal() {
  principal who;
  who.kind = principal_kind::local;
  who.tenant = tenant_id::parse("default").value_or(tenant_id());
  who.scopes = {true, true, true};
  who.name = "local";
  return who;
}

} // namespace

authenticator::authenticator(asker& asks, const service_handles& to, authenticator_options options)
  : asks_(asks)
  , to_(to)
  , options_(std::move(options)) {}

authenticator::~authenticator() = default;

task<result<principal>> authenticator::identify(std::optional<std::string_view> authorization) {
  if (!authorization) {
    const auto needed = co_await needs_key();
    if (!needed)
      co_return needed.failure();
    co_return *needed ? principal{} : local_principal();
  }
  if (!is_bearer(*authorization))
    co_return error{error_code::unauthenticated, "Authorization must be: Bearer KEY"};
  const auto secret = authorization->substr(scheme.size());
  // One that was set may look like anything.
  const bool is_set = !options_.admin_sha256.empty();
  if (is_set && is_equal_in_constant_time(sha256(secret), options_.admin_sha256))
    co_return operator_principal();
  if (!is_set && secret.starts_with(admin_mark))
    co_return co_await identify_made_admin(secret);
  if (secret.find('.') != std::string_view::npos)
    co_return identify_token(secret);
  co_return co_await identify_key(secret);
}

task<result<principal>> authenticator::identify_key(std::string_view key) {
  const auto digest = sha256(key);
  if (auto known = recall(digest))
    co_return *known;
  const auto prefix = prefix_of_key(key);
  if (!prefix)
    co_return not_valid;
  if (lookups_ >= lookups_max)
    co_return error{error_code::overloaded, "too many keys are being looked up", 100ms};
  const counted lookup(lookups_);
  find_key wanted{*prefix};
  auto found = co_await asks_.ask<found_key>(to_.tenants, std::move(wanted), options_.request_timeout);
  if (!found)
    co_return found.failure();
  // Compared although there is none, so that this takes as long.
  const std::string none(digest.size(), '\0');
  const bool is_right = is_equal_in_constant_time(digest, found->key ? found->key->sha256 : none);
  if (!found->key || !is_right || !found->key->key.is_valid(system_time()))
    co_return not_valid;
  const auto& record = found->key->key;
  principal who{principal_kind::key,    record.tenant, record.scopes,    record.user_id,
                "key:" + record.prefix, record.id,     record.expires_at};
  remember(digest, who);
  note_use(who);
  co_return who;
}

/// The one that was made at the first start.
task<result<principal>> authenticator::identify_made_admin(std::string_view key) {
  if (auto problem = co_await look_at_service_keys())
    co_return *problem;
  if (admin_sha256_.empty() || !is_equal_in_constant_time(sha256(key), admin_sha256_))
    co_return not_valid;
  co_return operator_principal();
}

/// A signature costs a millisecond to check.
result<principal> authenticator::identify_token(std::string_view token) {
  if (!verifier_)
    return not_valid;
  const auto digest = sha256(token);
  if (auto known = recall(digest))
    return *known;
  auto identity = verifier_->verify(token, system_time());
  if (!identity)
    return identity.failure();
  principal who;
  who.kind = principal_kind::token;
  who.tenant = identity->tenant;
  who.scopes = {identity->read, identity->write, identity->admin};
  if (identity->user_scoped)
    who.as_user = identity->subject;
  who.name = "jwt:" + identity->subject;
  who.valid_until = identity->expires_at;
  who.audience = std::move(identity->audience);
  if (identity->subject.empty())
    who.token_sha256 = sha256_hex(token);
  remember(digest, who);
  return who;
}

task<result<bool>> authenticator::needs_key() {
  if (!options_.is_local || has_tenant_keys_ || verifier_)
    co_return true;
  if (auto problem = co_await look_at_service_keys())
    co_return *problem;
  co_return has_tenant_keys_;
}

/// What another process may have changed.
task<std::optional<error>> authenticator::look_at_service_keys() {
  const auto now = std::chrono::steady_clock::now();
  if (looked_ && *looked_ + remembered_for > now)
    co_return std::nullopt;
  ensure_admin_key only_look;
  auto keys = co_await asks_.ask<service_keys>(to_.tenants, std::move(only_look), options_.request_timeout);
  if (!keys && !looked_)
    co_return keys.failure();
  if (keys) {
    admin_sha256_ = keys->admin_sha256;
    has_tenant_keys_ = has_tenant_keys_ || keys->has_tenant_keys;
  }
  looked_ = std::chrono::steady_clock::now();
  co_return std::nullopt;
}

void authenticator::use_tokens(std::shared_ptr<const jwt_verifier> verifier) {
  verifier_ = std::move(verifier);
  std::erase_if(known_, [](const auto& each) { return each.second.who.kind == principal_kind::token; });
}

std::optional<principal> authenticator::recall(const std::string& digest) {
  const auto known = known_.find(digest);
  if (known == known_.end())
    return std::nullopt;
  const auto& who = known->second.who;
  if (known->second.until > std::chrono::steady_clock::now() && (!who.valid_until || *who.valid_until > system_time()))
    return who;
  known_.erase(known);
  return std::nullopt;
}

void authenticator::remember(const std::string& digest, const principal& who) {
  const auto now = std::chrono::steady_clock::now();
  if (known_.size() >= remembered_max)
    std::erase_if(known_, [&](const auto& each) { return each.second.until <= now; });
  if (known_.size() < remembered_max)
    known_.insert_or_assign(digest, remembered{who, now + remembered_for});
}

void authenticator::note_use(const principal& who) {
  asks_.tell(to_.tenants, note_key_use{who.tenant, who.key, system_time()});
}

void authenticator::forget_key(const key_id& id) {
  std::erase_if(known_, [&](const auto& each) { return each.second.who.key == id; });
}

} // namespace colloquy::gateway

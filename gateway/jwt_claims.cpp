#include "gateway/jwt_claims.hpp"

#include "messages/content.hpp"
#include "messages/limits.hpp"
#include "messages/text_checks.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <vector>

namespace colloquy::gateway {
namespace {

using nlohmann::json;

constexpr int claims_depth_max = 32;
constexpr double seconds_max = 253402300799; // the year 9999 and no further: RFC 3339 ends there

error refusal(std::string message) {
  return {error_code::unauthenticated, "the token's " + std::move(message)};
}

/// A NumericDate (RFC 7519, section 2); nothing if there is no such claim.
result<std::optional<timestamp>> time_of(const json& claims, const char* name) {
  const auto found = claims.find(name);
  if (found == claims.end())
    return std::optional<timestamp>{};
  const double seconds = found->is_number() ? found->get<double>() : -1;
  if (!(seconds >= 0 && seconds <= seconds_max))
    return refusal(std::string(name) + " must be a number of seconds since 1970");
  return std::optional(timestamp(std::chrono::microseconds(std::llround(seconds * 1e6))));
}

/// When the token ends.
result<timestamp> check_times(const json& claims, timestamp now) {
  const auto expires = time_of(claims, "exp");
  if (!expires)
    return expires.failure();
  if (!*expires)
    return refusal("exp is missing");
  if (now >= **expires + jwt_leeway)
    return refusal("exp is past: it has expired");
  for (const char* name : {"nbf", "iat"}) {
    const auto begins = time_of(claims, name);
    if (!begins)
      return begins.failure();
    if (*begins && **begins > now + jwt_leeway)
      return refusal(std::string(name) + " is in the future: it is not valid yet");
  }
  return **expires;
}

result<void> check_origin(const json& claims, const jwt_claim_rules& rules) {
  if (rules.issuer) {
    const auto issuer = claims.find("iss");
    if (issuer == claims.end() || *issuer != *rules.issuer)
      return refusal("iss is not the issuer that is set here");
  }
  if (rules.audience) {
    const auto audience = claims.find("aud");
    const bool is_named =
        audience != claims.end() &&
        (audience->is_array() ? std::find(audience->begin(), audience->end(), *rules.audience) != audience->end()
                              : *audience == *rules.audience);
    if (!is_named)
      return refusal("aud does not name this service");
  }
  return {};
}

result<tenant_id> tenant_of(const json& claims, const std::string& name) {
  const auto found = claims.find(name);
  if (found == claims.end() || !found->is_string())
    return refusal("claim \"" + name + "\" must be there and be a tenant's name");
  if (const auto tenant = tenant_id::parse(found->get<std::string>()))
    return *tenant;
  return refusal("claim \"" + name + "\" is no tenant's name: 1 to 63 of a-z, 0-9, - and _, not beginning with - or _");
}

/// Empty if there is none.
result<std::string> subject_of(const json& claims) {
  const auto found = claims.find("sub");
  if (found == claims.end())
    return std::string{};
  const auto subject = found->is_string() ? found->get<std::string>() : std::string{};
  if (subject.empty() || count_characters(subject) > limits::name_chars_max)
    return refusal("sub must be a text of 1 to " + std::to_string(limits::name_chars_max) + " characters");
  return subject;
}

std::vector<std::string> words_of(const std::string& text) {
  std::vector<std::string> words;
  for (std::size_t begin = 0; begin < text.size();) {
    const auto end = std::min(text.find(' ', begin), text.size());
    if (end > begin)
      words.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return words;
}

std::vector<std::string> audience_of(const json& claims) {
  const auto found = claims.find("aud");
  if (found == claims.end())
    return {};
  if (found->is_string())
    return {found->get<std::string>()};
  std::vector<std::string> all;
  if (found->is_array())
    for (const auto& each : *found)
      if (each.is_string())
        all.push_back(each.get<std::string>());
  return all;
}

result<std::vector<std::string>> scopes_of(const json& claims) {
  const auto found = claims.find("scope");
  if (found == claims.end())
    return std::vector<std::string>{};
  if (found->is_string())
    return words_of(found->get<std::string>());
  const bool is_list =
      found->is_array() && std::all_of(found->begin(), found->end(), [](const json& each) { return each.is_string(); });
  if (!is_list)
    return refusal("scope must be a text of words, or an array of texts");
  return found->get<std::vector<std::string>>();
}

result<void> read_scopes(const json& claims, jwt_identity& who) {
  const auto scopes = scopes_of(claims);
  if (!scopes)
    return scopes.failure();
  const auto has = [&](std::string_view word) {
    return std::find(scopes->begin(), scopes->end(), word) != scopes->end();
  };
  who.user_scoped = has("user");
  who.admin = has("admin");
  const bool says_what = has("read") || has("write") || who.admin;
  who.read = has("read") || !says_what;
  who.write = has("write") || !says_what;
  if (who.user_scoped && who.subject.empty())
    return refusal("scope is user, so it must have a sub");
  if (who.user_scoped && who.admin)
    return refusal("scopes user and admin exclude each other");
  return {};
}

} // namespace

result<jwt_identity> read_jwt_claims(std::string_view text, const jwt_claim_rules& rules, timestamp now) {
  // So that no claim is there twice: another reader might take the other one.
  if (const auto checked = check_json(text, claims_depth_max); !checked)
    return refusal("claims are refused: " + checked.failure().message);
  const auto claims = json::parse(text, nullptr, false);
  if (!claims.is_object())
    return refusal("claims must be a JSON object");
  const auto expires = check_times(claims, now);
  if (!expires)
    return expires.failure();
  if (const auto checked = check_origin(claims, rules); !checked)
    return checked.failure();
  auto tenant = tenant_of(claims, rules.tenant_claim);
  if (!tenant)
    return tenant.failure();
  auto subject = subject_of(claims);
  if (!subject)
    return subject.failure();
  jwt_identity who{std::move(*tenant), std::move(*subject)};
  who.expires_at = *expires;
  who.audience = audience_of(claims);
  if (const auto read = read_scopes(claims, who); !read)
    return read.failure();
  return who;
}

} // namespace colloquy::gateway

#include "gateway/router.hpp"

#include "gateway/url.hpp"

#include <algorithm>

namespace colloquy::gateway {
namespace {

/// "/a/b" is a, b; "/a/" is a and an empty part. False if it does not begin with a slash.
bool next_part(std::string_view& path, std::string_view& part) {
  if (!path.starts_with('/'))
    return false;
  path.remove_prefix(1);
  const auto end = std::min(path.find('/'), path.size());
  part = path.substr(0, end);
  path.remove_prefix(end);
  return true;
}

/// What some readers of a path take away, and others take for a name. As a name it is written %2E.
bool is_dots(std::string_view part) {
  return part == "." || part == "..";
}

} // namespace

struct router::node {
  std::map<std::string, std::unique_ptr<node>, std::less<>> parts;
  std::unique_ptr<node> parameter;
  std::map<std::string_view, const operation*> methods;
};

router::router()
  : root_(std::make_unique<node>()) {
  for (const auto& each : operations()) {
    auto* at = root_.get();
    auto path = each.path;
    for (std::string_view part; next_part(path, part);) {
      auto& next = part.starts_with('{') ? at->parameter : at->parts[std::string(part)];
      if (!next)
        next = std::make_unique<node>();
      at = next.get();
    }
    at->methods.emplace(each.method, &each);
  }
}

router::~router() = default;

route_match router::match(std::string_view method, std::string_view path) const {
  route_match out;
  const auto* at = root_.get();
  for (std::string_view part; next_part(path, part);) {
    if (const auto literal = at->parts.find(part); literal != at->parts.end()) {
      at = literal->second.get();
      continue;
    }
    if (!at->parameter || part.empty() || is_dots(part) || !percent_decode(part, out.parameters.emplace_back()))
      return {};
    at = at->parameter.get();
  }
  if (!path.empty() || at->methods.empty())
    return {};
  const auto found = at->methods.find(method == "HEAD" ? std::string_view("GET") : method);
  if (found != at->methods.end()) {
    out.found = found->second;
    return out;
  }
  for (const auto& [name, unused] : at->methods)
    out.allowed += (out.allowed.empty() ? "" : ", ") + std::string(name) + (name == "GET" ? ", HEAD" : "");
  out.allowed += ", OPTIONS";
  return out;
}

} // namespace colloquy::gateway

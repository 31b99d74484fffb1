// From a method and a path to an operation.
#pragma once

#include "gateway/operations.hpp"

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace colloquy::gateway {

struct route_match {
  const operation* found = nullptr;
  std::vector<std::string> parameters{}; ///< of the path, decoded, in its order
  std::string allowed{}; ///< methods, if the path is there and this method is not; "" if there is no such path
};

/// Immutable once made. A path is matched as it stands: nothing is normalized, so neither an empty part nor a dot leads
/// anywhere, and an encoded slash is part of a parameter.
class router {
public:
  router();
  router(const router&) = delete;
  router& operator=(const router&) = delete;
  ~router();

  /// HEAD counts as GET.
  route_match match(std::string_view method, std::string_view path) const;

private:
  struct node;
  std::unique_ptr<node> root_;
};

} // namespace colloquy::gateway

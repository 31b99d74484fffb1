// Of the service, as its documents and protocols say it.
#pragma once

#include <string_view>

namespace colloquy::gateway {

inline constexpr std::string_view service_version = "0.1.0";

} // namespace colloquy::gateway

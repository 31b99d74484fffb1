// Where the service listens.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace colloquy::config {

struct listen_address {
  std::string host;             ///< a name or an address, without brackets; "" if it is a socket in the file system
  std::uint16_t port = 0;       ///< 0: any that is free
  std::filesystem::path path{}; ///< of a unix socket, absolute

  bool is_unix() const noexcept { return !path.empty(); }
  /// Nobody but this machine reaches it: a unix socket, 127.0.0.0/8, ::1, localhost.
  bool is_loopback() const noexcept;
  /// As it is written in the setting.
  std::string text() const;
};

inline constexpr std::size_t listen_addresses_max = 8;

/// HOST:PORT, [IPV6]:PORT or unix:/PATH, with commas between several. None if it is not that.
std::optional<std::vector<listen_address>> parse_listen_addresses(std::string_view text);

} // namespace colloquy::config

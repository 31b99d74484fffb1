// A TCP port of the loopback for a server that a test starts.
#pragma once

#include <cerrno>
#include <chrono>
#include <netinet/in.h>
#include <random>
#include <stdexcept>
#include <sys/socket.h>
#include <unistd.h>

namespace colloquy::test {

/// A port of 127.0.0.1 that nobody listens on now; another program may take it before you do, so be ready to try again.
///
/// It lies below the ports that the kernel gives to outgoing connections: none of those can take it while a test's
/// server is down, and a connection to it cannot by chance meet itself. Throws if there seems to be none.
inline int free_port() {
  constexpr int lowest = 20000;
  constexpr int highest = 32000;
  std::random_device seed;
  for (int tries = 0; tries < 200; ++tries) {
    const int port = std::uniform_int_distribution<int>(lowest, highest)(seed);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int yes = 1;
    ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes); // as the servers do: a finished connection is no bar
    const bool free = ::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 &&
                      ::listen(fd, 1) == 0; // only this fails where another, too, has bound it but not taken it
    ::close(fd);
    if (free)
      return port;
  }
  throw std::runtime_error("no free port on 127.0.0.1");
}

} // namespace colloquy::test

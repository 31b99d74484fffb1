#include "cli/rendezvous.hpp"

#include "db/configured_endpoint.hpp"
#include "db/endpoint.hpp"
#include "gateway/secrets.hpp"

#include <cstdlib>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <utility>

namespace colloquy::cli {
namespace {

constexpr std::size_t socket_path_max = sizeof(sockaddr_un::sun_path) - 1;
constexpr std::size_t name_digits = 32;

/// A folder that nobody else can put anything into.
result<std::filesystem::path> runtime_folder() {
  const char* said = std::getenv("XDG_RUNTIME_DIR");
  const auto folder = said != nullptr && *said == '/'
                          ? std::filesystem::path(said) / "colloquy"
                          : std::filesystem::path("/tmp") / ("colloquy-" + std::to_string(::geteuid()));
  if (::mkdir(folder.c_str(), S_IRWXU) != 0 && errno != EEXIST)
    return error{error_code::invalid_request, "the folder " + folder.string() + " cannot be made"};
  struct stat facts {};
  const bool is_ours = ::lstat(folder.c_str(), &facts) == 0 && S_ISDIR(facts.st_mode) && facts.st_uid == ::geteuid() &&
                       (facts.st_mode & (S_IRWXG | S_IRWXO)) == 0;
  if (!is_ours)
    return error{error_code::invalid_request,
                 "the folder " + folder.string() + " must be of this user, and of nobody else to read or write"};
  return folder;
}

result<rendezvous> named(const std::string& what) {
  auto folder = runtime_folder();
  if (!folder)
    return folder.failure();
  const auto name = gateway::sha256_hex(what).substr(0, name_digits);
  return rendezvous{*folder / (name + ".sock"), *folder / (name + ".lock")};
}

} // namespace

result<rendezvous> find_rendezvous(const config::settings& settings) {
  if (settings.database) {
    auto endpoint = db::prepare_endpoint(db::configured_endpoint(settings, *settings.database));
    // What is shown has no password in it, and tells databases and users apart.
    return named((endpoint ? endpoint->shown : *settings.database) + "\n" + settings.schema);
  }
  const auto socket = settings.data_dir / "mcp.sock";
  if (socket.string().size() > socket_path_max)
    return named(settings.data_dir.string());
  std::error_code problem;
  std::filesystem::create_directories(settings.data_dir, problem);
  if (problem)
    return error{error_code::invalid_request,
                 "data_dir " + settings.data_dir.string() + " cannot be made: " + problem.message()};
  return rendezvous{socket, settings.data_dir / "mcp.lock"};
}

std::optional<rendezvous_lock> rendezvous_lock::take(const rendezvous& at) {
  const int file = ::open(at.lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, S_IRUSR | S_IWUSR);
  if (file < 0)
    return std::nullopt;
  if (::flock(file, LOCK_EX | LOCK_NB) != 0) {
    ::close(file);
    return std::nullopt;
  }
  return rendezvous_lock(file);
}

rendezvous_lock::rendezvous_lock(rendezvous_lock&& other) noexcept
  : file_(std::exchange(other.file_, -1)) {}

rendezvous_lock& rendezvous_lock::operator=(rendezvous_lock&& other) noexcept {
  if (this != &other) {
    if (file_ >= 0)
      ::close(file_);
    file_ = std::exchange(other.file_, -1);
  }
  return *this;
}

rendezvous_lock::~rendezvous_lock() {
  if (file_ >= 0)
    ::close(file_);
}

} // namespace colloquy::cli

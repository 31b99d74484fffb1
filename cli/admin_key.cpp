#include "cli/admin_key.hpp"

#include "gateway/secrets.hpp"

#include <caf/actor_system.hpp>
#include <caf/scoped_actor.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <iostream>
#include <optional>

namespace colloquy::cli {
namespace {

result<service_keys> ask(caf::actor_system& system, const tenants_actor& tenants, const config::settings& settings,
                         std::string sha256) {
  result<service_keys> answer{error{error_code::deadline_exceeded, "no answer within request_timeout"}};
  caf::scoped_actor self{system};
  self->request(tenants, settings.request_timeout, ensure_admin_key{std::move(sha256)})
      .receive([&](result<service_keys>& given) { answer = std::move(given); }, [](const caf::error&) {});
  return answer;
}

result<std::filesystem::path> write_file(const config::settings& settings, const std::string& key) {
  const auto path = settings.data_dir / "admin.key";
  const auto failed = [&] {
    return error{error_code::internal, "the admin key could not be written to " + path.string() + ": " +
                                           std::strerror(errno) + "; set admin_key, or start on a terminal"};
  };
  std::error_code problem;
  std::filesystem::create_directories(settings.data_dir, problem);
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (file < 0)
    return failed();
  const auto line = key + "\n";
  const bool is_written = ::fchmod(file, 0600) == 0 &&
                          ::write(file, line.data(), line.size()) == static_cast<ssize_t>(line.size()) &&
                          ::fsync(file) == 0;
  ::close(file);
  if (!is_written)
    return failed();
  return path;
}

} // namespace

result<key_facts> ensure_admin_key_shown(caf::actor_system& system, const tenants_actor& tenants,
                                         const config::settings& settings) {
  auto kept = ask(system, tenants, settings, "");
  if (!kept)
    return kept.failure();
  const key_facts facts{kept->has_tenant_keys};
  if (settings.admin_key || !kept->admin_sha256.empty())
    return facts;
  const auto key = gateway::make_admin_key();
  if (!key)
    return error{error_code::internal, "the operating system gave no random bytes"};
  // Shown before it is kept: a key that is kept and was never seen could not be replaced.
  std::optional<std::filesystem::path> file;
  if (::isatty(STDERR_FILENO) == 0) {
    auto written = write_file(settings, *key);
    if (!written)
      return written.failure();
    file = *written;
  }
  kept = ask(system, tenants, settings, gateway::sha256(*key));
  if (!kept || !kept->kept) {
    if (file)
      std::filesystem::remove(*file);
    return kept ? result<key_facts>(facts) : kept.failure(); // another process was faster
  }
  if (file)
    std::cerr << "colloquy: the admin key is in " << file->string() << "; it is nowhere else\n";
  else
    std::cerr << "colloquy: the admin key, shown only now: " << *key << '\n';
  return facts;
}

} // namespace colloquy::cli

#include "db/embedded_cluster.hpp"

#include <cerrno>
#include <charconv>
#include <fcntl.h>
#include <poll.h>
#include <span>
#include <string_view>
#include <sys/file.h>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>

#include "db/embedded_leftovers.hpp"

namespace colloquy::db::embedded {

namespace {

namespace fs = std::filesystem;

constexpr const char* lock_name = "colloquy.lock";
constexpr const char* cluster_name = "postgres";
constexpr const char* unfinished_name = "postgres.new";

// The roles of tenants' database sessions, whose passwords this process alone has.
constexpr const char* tenants_line = "local all all scram-sha-256\n";

/// What other roles the database holds, the migrations make; these three are ours to give.
constexpr std::string_view logins[] = {"postgres", "colloquy_owner", "colloquy"};

error in_use(const data_folder& data) {
  std::string holder;
  // The holder writes its number right after it has the lock.
  for (int tries = 0; holder.empty() && tries < 20; ++tries) {
    if (tries > 0)
      ::poll(nullptr, 0, 5);
    holder = read_file_at(data.folder.get(), lock_name, 32).value_or("");
    holder.resize(holder.find_last_not_of("\n") + 1);
  }
  auto text = "data folder " + data.path.string() + " is in use by ";
  if (holder.empty())
    text += "another process";
  else {
    const unique_fd proc(::open(("/proc/" + holder).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    auto name = proc ? read_file_at(proc.get(), "comm", 64).value_or("") : "";
    name.resize(name.find_last_not_of("\n") + 1);
    text += "process " + holder + (name.empty() ? "" : " (" + name + ")");
  }
  return {error_code::conflict, text + "; stop it, or choose another data folder (--data-dir)"};
}

/// Whether the process that wrote its number into the lock has ended. What it had forked and not yet executed holds the
/// lock for a moment longer.
bool holder_is_gone(const data_folder& data) {
  auto holder = read_file_at(data.folder.get(), lock_name, 32).value_or("");
  holder.resize(holder.find_last_not_of("\n") + 1);
  return !holder.empty() && ::access(("/proc/" + holder).c_str(), F_OK) != 0;
}

/// 0 or an errno; EWOULDBLOCK: another process that lives holds it.
int lock_within_patience(const data_folder& data) {
  constexpr int tries_max = 200;
  for (int tries = 0; ::flock(data.lock.get(), LOCK_EX | LOCK_NB) != 0; ++tries) {
    const int failed = errno;
    if (failed != EWOULDBLOCK || tries == tries_max || !holder_is_gone(data))
      return failed;
    ::poll(nullptr, 0, 10);
  }
  return 0;
}

result<void> take_lock(data_folder& data) {
  data.lock = unique_fd(::openat(data.folder.get(), lock_name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!data.lock)
    return io_failure("open", data.path / lock_name, errno);
  if (const int failed = lock_within_patience(data); failed != 0)
    return failed == EWOULDBLOCK ? in_use(data) : io_failure("lock", data.path / lock_name, failed);
  // The number only serves the message to others: a full disk is told of later, in better words.
  if (::ftruncate(data.lock.get(), 0) == 0)
    write_all(data.lock.get(), std::to_string(::getpid()) + "\n");
  return {};
}

/// Missing folders are made private, since what they hold is.
int make_folders(const fs::path& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) == 0)
    return S_ISDIR(status.st_mode) ? 0 : ENOTDIR;
  if (errno != ENOENT)
    return errno;
  if (path.has_parent_path() && path != path.parent_path())
    if (const int failed = make_folders(path.parent_path()))
      return failed;
  return ::mkdir(path.c_str(), 0700) == 0 || errno == EEXIST ? 0 : errno;
}

int remove_unfinished(const data_folder& data) {
  const unique_fd left(::openat(data.folder.get(), unfinished_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
  if (left)
    end_unfinished_initdb(left.get());
  std::error_code failed;
  fs::remove_all(data.path / unfinished_name, failed);
  return failed.value();
}

result<unique_fd> make_unfinished(const data_folder& data, const std::optional<os_user>& run_as) {
  const auto path = data.path / unfinished_name;
  if (const int failed = remove_unfinished(data))
    return io_failure("remove", path, failed);
  if (::mkdirat(data.folder.get(), unfinished_name, 0700) != 0)
    return io_failure("make", path, errno);
  unique_fd folder(::openat(data.folder.get(), unfinished_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
  if (!folder || (run_as && ::fchown(folder.get(), run_as->uid, run_as->gid) != 0))
    return io_failure("open", path, errno);
  return folder;
}

result<void> run_initdb(const data_folder& data, int folder, const fs::path& initdb,
                        const std::optional<os_user>& run_as, steady_time deadline) {
  child_plan plan;
  plan.program = initdb;
  // The same order of text on every machine and version; checksums cost nothing measurable and find a bad disk. Syncing
  // is left to us: one call for all, where initdb makes a thousand, which on a busy disk take seconds.
  plan.arguments = {"-D",         child_folder,       "-U",
                    "postgres",   "--encoding=UTF8",  "--locale-provider=libc",
                    "--locale=C", "--auth=peer",      "--data-checksums",
                    "--no-sync",  "--no-instructions"};
  plan.run_as = run_as;
  plan.folder = folder;
  auto done = run_to_end(std::move(plan), deadline);
  if (!done)
    return done.failure();
  if (done->status != 0)
    return explain_failure(data, "initdb ended with " + describe_exit(done->status), done->text);
  return {};
}

std::string joined(std::span<const std::string_view> names) {
  std::string text;
  for (const auto name : names)
    text += (text.empty() ? "" : ",") + std::string(name);
  return text;
}

std::string quoted(const std::string& name) {
  std::string text = "\"";
  for (const char c : name)
    text += c == '"' ? std::string("\"\"") : std::string(1, c);
  return text + "\"";
}

} // namespace

result<data_folder> open_data_folder(const fs::path& given) {
  std::error_code failed;
  const auto path = fs::absolute(given, failed).lexically_normal();
  if (given.empty() || failed)
    return error{error_code::invalid_request, "no data folder is named; name one with --data-dir"};
  data_folder data{path.has_filename() ? path : path.parent_path(), {}, {}};
  if (const int error_number = make_folders(data.path))
    return io_failure("make data folder", data.path, error_number);
  data.folder = unique_fd(::open(data.path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!data.folder)
    return io_failure("open data folder", data.path, errno);
  if (auto locked = take_lock(data); !locked)
    return locked.failure();
  return data;
}

result<std::optional<cluster>> open_cluster(const data_folder& data) {
  const auto path = data.path / cluster_name;
  cluster found;
  found.folder = unique_fd(::openat(data.folder.get(), cluster_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!found.folder && errno == ENOENT)
    return std::optional<cluster>();
  struct stat status {};
  if (!found.folder || ::fstat(found.folder.get(), &status) != 0)
    return io_failure("open", path, errno);
  found.owner = status.st_uid;
  if (const auto us = ::geteuid(); us != 0 && us != found.owner)
    return error{error_code::invalid_request,
                 path.string() + " belongs to user id " + std::to_string(found.owner) + " and not to us (" +
                     std::to_string(us) +
                     "); start as that user or as root, or choose another data folder (--data-dir)"};
  const auto version = read_file_at(found.folder.get(), "PG_VERSION", 16).value_or("");
  std::from_chars(version.data(), version.data() + version.size(), found.major);
  if (found.major > 0)
    return std::optional(std::move(found));
  std::error_code failed;
  if (fs::is_empty(path, failed) && !failed)
    return std::optional<cluster>(); // a new cluster may take its place
  return error{error_code::invalid_request,
               path.string() + " is not a PostgreSQL cluster (it has no PG_VERSION); move it away, or choose another "
                               "data folder (--data-dir)"};
}

result<std::optional<os_user>> choose_user(const std::optional<cluster>& existing, const fs::path& path,
                                           const std::string& name) {
  if (::geteuid() != 0)
    return std::optional<os_user>();
  auto user = existing ? find_user(existing->owner) : find_user(name);
  if (!user)
    return error{error_code::invalid_request,
                 existing ? (path / cluster_name).string() + " belongs to user id " + std::to_string(existing->owner) +
                                ", which has no name here; give it to a user that exists (chown -R)"
                          : "PostgreSQL refuses to run as root, and the user \"" + name +
                                "\" to run it as does not exist; create it, or start Colloquy as another user than "
                                "root"};
  if (user->uid == 0)
    return error{error_code::invalid_request, "PostgreSQL refuses to run as root; give " +
                                                  (path / cluster_name).string() +
                                                  " to another user (chown -R postgres), or start Colloquy as one"};
  return user;
}

result<void> check_space(const data_folder& data, std::uint64_t needed) {
  const auto left = free_bytes(data.folder.get());
  constexpr std::uint64_t mib = 1024 * 1024;
  if (left && *left < needed)
    return error{error_code::database_unavailable,
                 "the disk of " + data.path.string() + " is full: " + std::to_string(*left / mib) +
                     " MiB are free and " + std::to_string(needed / mib) +
                     " MiB are needed; free some space there, or choose another data folder (--data-dir)"};
  return {};
}

result<cluster> make_cluster(const data_folder& data, const fs::path& initdb, const std::optional<os_user>& run_as,
                             steady_time deadline) {
  auto folder = make_unfinished(data, run_as);
  if (!folder)
    return folder.failure();
  if (auto made = run_initdb(data, folder->get(), initdb, run_as, deadline); !made) {
    remove_unfinished(data);
    return made.failure();
  }
  // The new name must not reach the disk before the files do.
  if (::syncfs(folder->get()) != 0 ||
      ::renameat(data.folder.get(), unfinished_name, data.folder.get(), cluster_name) != 0 ||
      ::fsync(data.folder.get()) != 0)
    return io_failure("finish", data.path / cluster_name, errno);
  auto made = open_cluster(data);
  if (!made)
    return made.failure();
  if (!made->has_value())
    return error{error_code::internal, "initdb left no cluster in " + (data.path / cluster_name).string()};
  return std::move(**made);
}

result<unique_fd> prepare_cluster(const data_folder& data, const cluster& c, const std::optional<os_user>& run_as) {
  const auto path = data.path / cluster_name;
  const auto us = find_user(::geteuid());
  if (!us)
    return error{error_code::invalid_request, "user id " + std::to_string(::geteuid()) +
                                                  " has no name on this machine, and PostgreSQL knows users by name; "
                                                  "add it to /etc/passwd, or start as another user"};
  std::string map;
  for (const auto login : logins)
    map += "colloquy " + quoted(us->name) + " " + std::string(login) + "\n";
  const os_user* owner = run_as ? &*run_as : nullptr;
  const int folder = c.folder.get();
  for (const auto& [name, text] :
       {std::pair<const char*, std::string>{"pg_hba.conf",
                                            "local all " + joined(logins) + " peer map=colloquy\n" + tenants_line},
        {"pg_ident.conf", map}})
    if (const int failed = replace_file_at(folder, name, "# Written by Colloquy at each start.\n" + text, owner))
      return io_failure("write", path / name, failed);
  // Nobody works here, or we would not have come this far: a note with a number that has gone to another process would
  // only keep the server from starting.
  if (::unlinkat(folder, "postmaster.pid", 0) != 0 && errno != ENOENT)
    return io_failure("remove", path / "postmaster.pid", errno);
  if (::mkdirat(folder, "socket", 0700) != 0 && errno != EEXIST)
    return io_failure("make", path / "socket", errno);
  unique_fd socket(::openat(folder, "socket", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW));
  // Given at each start, and not only when it is made: a start that was killed in between has left a folder of ours.
  if (!socket || (owner != nullptr && ::fchown(socket.get(), owner->uid, owner->gid) != 0))
    return io_failure("make", path / "socket", errno);
  for (const auto* name : {".s.PGSQL.5432", ".s.PGSQL.5432.lock"})
    ::unlinkat(socket.get(), name, 0);
  return socket;
}

error explain_failure(const data_folder& data, const std::string& what, const std::string& words) {
  constexpr std::uint64_t one_log_segment = 16 * 1024 * 1024;
  const auto left = free_bytes(data.folder.get());
  if (words.find("No space left on device") != std::string::npos ||
      words.find("Disk quota exceeded") != std::string::npos || (left && *left < one_log_segment))
    return io_failure("start the database in", data.path, ENOSPC);
  constexpr std::size_t most = 1500;
  auto end = words.size() > most ? words.substr(words.size() - most) : words;
  end.resize(end.find_last_not_of(" \n") + 1);
  return {error_code::database_unavailable, what + (end.empty() ? "; it said nothing" : "; its last words: " + end)};
}

} // namespace colloquy::db::embedded

// Certificates made for a test, in memory: an authority, and what it signs. No file and no process.
#pragma once

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace colloquy::test {

/// A certificate and its key, as PEM. The key opens nothing but what the test starts.
struct certificate {
  std::string certificate_pem;
  std::string key_pem;
};

/// What a server's certificate says. The times count from now; an `ends_in` that has passed makes it expired.
struct certificate_request {
  std::string common_name = "localhost";
  std::vector<std::string> dns_names{"localhost"};
  std::vector<std::string> addresses{"127.0.0.1", "::1"}; ///< libpq compares them from version 15 on
  std::chrono::seconds starts_in = std::chrono::hours(-48);
  std::chrono::seconds ends_in = std::chrono::hours(24);
};

/// An authority with a fresh key. Move-only. Everything throws std::runtime_error if OpenSSL refuses.
class certificate_authority {
public:
  explicit certificate_authority(const std::string& name = "Colloquy test authority");
  certificate_authority(certificate_authority&&) noexcept;
  certificate_authority& operator=(certificate_authority&&) noexcept;
  ~certificate_authority();

  certificate issue(const certificate_request& request = {}) const;

  /// What a client has to trust.
  const std::string& certificate_pem() const { return certificate_pem_; }

  /// Writes it to that file, for libpq's sslrootcert, and gives the path back.
  std::string write_to(const std::filesystem::path& file) const;

private:
  struct keys;
  std::unique_ptr<keys> keys_;
  std::string certificate_pem_;
};

} // namespace colloquy::test

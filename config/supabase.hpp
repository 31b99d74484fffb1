// A Supabase project's database from the pieces that its users have: reference, password, region.
#pragma once

#include "config/settings.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace colloquy::config {

/// What is wrong or missing, and with which setting. Never a secret.
struct supabase_mistake {
  std::string_view setting;
  std::string explanation;
};

struct supabase_connection {
  std::optional<std::string> uri; ///< a secret; nothing where there are mistakes, or nobody asked
  std::vector<supabase_mistake> mistakes;
};

/// Builds a URI, the password percent-encoded:
/// - supavisor_session: postgres.REF@aws-0-REGION.pooler.supabase.com:5432/postgres; a region that begins with
///   "aws-N-" names its pooler itself
/// - direct: postgres@db.REF.supabase.co:5432/postgres
/// connection_type decides; where it is open, a known region means the pooler, which has IPv4. REF is
/// supabase_project_ref, else what supabase_url has.
/// Asked for by a reference, a database password or a connection_type; the address and the API keys alone are not:
/// programs that use Supabase's REST interface have them too.
/// `database` is not looked at: whether there is another connection is for the caller.
supabase_connection build_supabase(const settings& from);

/// The reference in "https://REF.supabase.co"; nothing where the address has another form.
std::optional<std::string> project_of(std::string_view address);

/// Where connection_type says something else than `database` does; none where either is not set. Only names and ports
/// of Supabase are judged, and port 6543, which is transaction mode's wherever Supavisor runs. The older form
/// postgres.REF@REF.supabase.co may be either, so it is taken as it is given.
std::vector<supabase_mistake> contradictions(const settings& in);

} // namespace colloquy::config

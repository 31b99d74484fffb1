// A TLS handshake of our own: libpq says only "certificate verify failed", and people need to know why.
#pragma once

#include "db/doctor_facts.hpp"

#include <string>

namespace colloquy::db::doctor {

/// Asks at that door for TLS, as libpq does, shakes hands whatever the certificate says, and looks at it. Nothing but
/// the SSLRequest and the handshake is sent: no user, no password. `conninfo` is one that prepare_endpoint has filled
/// in; its sslmode and sslrootcert say what will be checked, and by which authorities. Not for unix sockets.
tls_facts shake_hands(const std::string& conninfo, const door_facts& door, milliseconds limit = probe_limit);

} // namespace colloquy::db::doctor

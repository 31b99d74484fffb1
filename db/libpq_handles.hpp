// Owners of what libpq hands out. Each frees with libpq's own function; none can be copied, an empty one frees nothing.
#pragma once

#include <libpq-fe.h>

#include <memory>

namespace colloquy::db {

/// Calls one of libpq's release functions; a type of its own, so that the pointer stays one word wide.
template <auto Release>
struct libpq_release {
  template <class T>
  void operator()(T* held) const noexcept {
    Release(held);
  }
};

/// A connection. Take its socket out of every poller before this goes: PQfinish closes it.
using connection_ptr = std::unique_ptr<PGconn, libpq_release<PQfinish>>;

/// One result; what PQgetvalue and PQresultErrorField point into lives as long.
using result_ptr = std::unique_ptr<PGresult, libpq_release<PQclear>>;

/// What a cancel request needs; may be used on another thread than the connection.
using cancel_ptr = std::unique_ptr<PGcancel, libpq_release<PQfreeCancel>>;

/// A notification from PQnotifies.
using notify_ptr = std::unique_ptr<PGnotify, libpq_release<PQfreemem>>;

/// The array of PQconninfoParse, PQconninfo or PQconndefaults. It holds the password in the clear.
using conninfo_ptr = std::unique_ptr<PQconninfoOption, libpq_release<PQconninfoFree>>;

/// Text that libpq allocated: PQescapeLiteral, PQescapeIdentifier, the message of PQconninfoParse.
using text_ptr = std::unique_ptr<char, libpq_release<PQfreemem>>;

} // namespace colloquy::db

// Bringing a document from its version to another one by a chain of converters. Computes only.
#pragma once

#include "messages/error.hpp"
#include "messages/store_requests.hpp"

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace colloquy {

/// Converters that fit together. Cheap to copy, thread-safe as far as the host's own functions are.
class conversion_plan {
public:
  /// `collections` are those of the store. Errors: invalid_request (two converters for documents of one version, a
  /// circle, one that renames two fields to one name, a collection that is not the store's, a name or JSON that cannot
  /// be stored, too many of them); the message begins with the place, as in "/converters/2/rename: ...".
  static result<conversion_plan> make(std::vector<document_converter> converters,
                                      const std::vector<std::string>& collections);

  /// The whole text as it is at that version. A converter of the document's own collection goes before one of all.
  /// Errors: invalid_request with the reason, at most 1,000 bytes of it: no converter takes it on, a host's function
  /// has failed or thrown, or what came of it is no document, or one of another id.
  /// What comes of it may have `bytes_max`, or as much as it had.
  converted_document convert(const std::string& collection, const std::optional<std::string>& version,
                             std::string_view document, const std::string& target,
                             std::size_t bytes_max = limits::document_bytes_max) const;

private:
  /// Collection ("" for all: no collection has that name), and normal version or none.
  using key = std::pair<std::string, std::optional<std::string>>;

  const document_converter* find(const std::string& collection, const std::optional<std::string>& version) const;
  std::optional<error> find_circle(const std::string& collection) const;

  std::shared_ptr<const std::vector<document_converter>> converters_;
  std::map<key, const document_converter*> by_version_;
};

} // namespace colloquy

// SPDX-License-Identifier: MIT
//
// Structs of function pointers, held against the code that is known.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <unordered_set>
#include <vector>

#include "inspect/check/check_log.h"

namespace kcoredump {

/// For one check and one thread.
class OperationTables {
 public:
  OperationTables(const CheckSources& sources, CheckLog& log) : sources_(sources), log_(log) {}

  /// The table at `address` is a struct `type`: each of its function pointers leads to known code.
  /// Each table once.
  void Check(uint64_t address, const std::string& type, const std::string& object);
  /// The same for a table whose type its name alone tells, of so many bytes: what stands there may
  /// be something else of the kernel's or a module's, but leads to nowhere else.
  void CheckNamed(uint64_t address, uint64_t bytes, const std::string& type,
                  const std::string& object);
  /// A pointer of its own.
  void CheckPointer(uint64_t address, const std::string& object);

 private:
  struct FunctionMember {
    uint64_t offset = 0;
    std::string name;
  };
  struct TableType {
    uint64_t bytes = 0;
    std::vector<FunctionMember> functions;
  };

  [[nodiscard]] const TableType& TypeOf(const std::string& type);
  void AddMembers(TypeRef type, uint64_t at, const std::string& prefix, unsigned depth,
                  TableType& out);
  void CheckMembers(uint64_t address, uint64_t bytes, const std::string& type, bool certain,
                    const std::string& object);

  const CheckSources& sources_;
  CheckLog& log_;
  std::map<std::string, TableType> types_;
  std::unordered_set<uint64_t> met_;
};

}  // namespace kcoredump

// SPDX-License-Identifier: MIT
//
// Early return on errors: KCD_TRY(status), KCD_ASSIGN(auto x, result).
#pragma once

#include "kcoredump/result.h"

#define KCD_CONCAT_INNER(a, b) a##b
#define KCD_CONCAT(a, b) KCD_CONCAT_INNER(a, b)

#define KCD_TRY(expression)                                     \
  do {                                                          \
    auto kcd_status = (expression);                             \
    if (!kcd_status.ok()) return std::move(kcd_status.error()); \
  } while (false)

#define KCD_ASSIGN_IMPL(temporary, declaration, expression) \
  auto temporary = (expression);                            \
  if (!temporary.ok()) return std::move(temporary.error()); \
  declaration = std::move(temporary.value())

#define KCD_ASSIGN(declaration, expression) \
  KCD_ASSIGN_IMPL(KCD_CONCAT(kcd_result_, __LINE__), declaration, expression)

# SPDX-License-Identifier: MIT
# The files of lib/schema/schemas/ become schemas.inc, a row of a table each.
file(GLOB schema_files CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/lib/schema/schemas/*.json)
set(schema_rows "")
foreach(path ${schema_files})
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${path})
  get_filename_component(name ${path} NAME_WE)
  file(READ ${path} text)
  string(APPEND schema_rows "{\"${name}\", R\"schema(${text})schema\"},\n")
endforeach()
file(CONFIGURE OUTPUT generated/schema/schemas.inc CONTENT "@schema_rows@" @ONLY)

// SPDX-License-Identifier: MIT
#include <nlohmann/json.hpp>

#include "inspect/json_text.h"
#include "inspect/table.h"
#include "kcoredump/slab.h"
#include "kcoredump/text.h"

namespace kcoredump {

namespace {

nlohmann::ordered_json CacheJson(const SlabCache& cache) {
  return {{"name", TextOrNull(cache.name)},
          {"object_bytes", cache.object_bytes},
          {"size_bytes", cache.size_bytes},
          {"objects_a_slab", cache.objects_a_slab},
          {"pages_a_slab", cache.pages_a_slab},
          {"slabs", cache.slabs},
          {"objects", cache.objects},
          {"active", cache.active},
          {"address", HexAddress(cache.address)}};
}

}  // namespace

std::string ToText(const SlabCaches& found, const TextStyle& style) {
  Table table({{"NAME", false},
               {"OBJECT", true},
               {"SIZE", true},
               {"ACTIVE", true},
               {"TOTAL", true},
               {"SLABS", true},
               {"ADDRESS", false}});
  for (const SlabCache& cache : found.caches) {
    table.AddRow({cache.name, std::to_string(cache.object_bytes), std::to_string(cache.size_bytes),
                  std::to_string(cache.active), std::to_string(cache.objects),
                  std::to_string(cache.slabs), HexAddress(cache.address)});
  }
  return table.Text(style);
}

std::string ToJson(const SlabCaches& found) {
  nlohmann::ordered_json caches = nlohmann::ordered_json::array();
  for (const SlabCache& cache : found.caches) caches.push_back(CacheJson(cache));
  return JsonText({{"caches", std::move(caches)},
                   {"object", nullptr},
                   {"notes", found.findings.notes},
                   {"incomplete", found.findings.incomplete}});
}

std::string ToText(const SlabObject& object) {
  return HexAddress(object.object + object.offset) + " is " + Hex(object.offset) +
         " bytes into object " + std::to_string(object.index) + " at " + HexAddress(object.object) +
         ", of " + std::to_string(object.cache.object_bytes) + " bytes, of cache " +
         Escaped(object.cache.name) + ", in the slab at " + HexAddress(object.slab) + "\n";
}

std::string ToJson(const SlabObject& object) {
  return JsonText({{"caches", nlohmann::ordered_json::array({CacheJson(object.cache)})},
                   {"object",
                    {{"slab", HexAddress(object.slab)},
                     {"address", HexAddress(object.object)},
                     {"index", object.index},
                     {"offset", object.offset}}},
                   {"notes", nlohmann::ordered_json::array()},
                   {"incomplete", false}});
}

}  // namespace kcoredump

/* SPDX-License-Identifier: MIT
 *
 * A C program against the installed tree. The numbers of the ABI's enums stand in no function's
 * type, so that abidiff does not see them. */
#include <inttypes.h>
#include <kcoredump/kcoredump.h>
#include <stdio.h>

_Static_assert(KCD_OK == 0 && KCD_E_NOT_FOUND == -1 && KCD_E_INVALID == -5 && KCD_E_NOMEM == -10,
               "");
_Static_assert(KCD_PHYSICAL == 0 && KCD_KERNEL == 1 && KCD_PROCESS == 2, "");
_Static_assert(KCD_PAGE_OK == 0 && KCD_PAGE_ZERO == 1 && KCD_PAGE_EXCLUDED == 2, "");
_Static_assert(KCD_PAGE_UNREADABLE == 3 && KCD_PAGE_POISONED == 4 && KCD_PAGE_OFFLINE == 5, "");
_Static_assert(KCD_PAGE_ABSENT == 6 && KCD_PAGE_RETRIED == 7 && KCD_PAGE_NOT_REACHED == 8, "");
_Static_assert(KCD_PAGE_UNMAPPED == 9 && KCD_CAPTURE_PARTIAL == 2, "");
_Static_assert(sizeof(kcd_page) == 8 && sizeof(kcd_address) == 16, "structs without size");

int main(int argc, char** argv) {
  kcd_error error = {.size = sizeof error};
  kcd_image* image = NULL;
  kcd_reader* reader = NULL;
  unsigned char bytes[4] = {0};
  const kcd_address at = {0x1000, KCD_PHYSICAL, 0};
  if (argc != 2 || kcd_abi_version() != KCD_ABI_VERSION) return 2;
  if (kcd_open(argv[1], &image, &error) != KCD_OK ||
      kcd_reader_open(image, &reader, &error) != KCD_OK ||
      kcd_read_bytes(reader, at, bytes, sizeof bytes, &error) != KCD_OK) {
    fprintf(stderr, "%s\n", error.message);
    return 1;
  }
  for (size_t i = 0; i < sizeof bytes; ++i) printf("%02x", bytes[i]);
  puts("");
  kcd_reader_free(reader);
  kcd_image_free(image);
  return 0;
}

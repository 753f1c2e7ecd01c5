/*
 * store_options.c - the choices of the store keys.
 */
#include "dataset/store_options.h"

const char *const mr_store_checksums[] = {"none", "md5", "crc32", "crc32c", "sha256", NULL};
const char *const mr_store_buffers[] = {"memory", "disk", NULL};

/*
 * avro.h - what `millrace avro check` prints.
 */
#ifndef MR_API_AVRO_H
#define MR_API_AVRO_H

#include "base/bytes.h"

enum mr_avro_mode {
    MR_AVRO_BACKWARD = 1, /* the new schema reads old data */
    MR_AVRO_FORWARD = 2,  /* the old schema reads new data */
    MR_AVRO_FULL = 3,
};

/*
 * Compares the last file with the one before it, or with all before it (`transitive`). A line for each incompatibility in `out`; *compatible
 * when there is none. A file that cannot be read or is no schema is MR_CONFIG.
 */
enum mr_status mr_api_avro_check(const char *const *files, int nfiles, enum mr_avro_mode mode,
                                 bool transitive, struct mr_bytes *out, bool *compatible,
                                 struct mr_error *err);

#endif

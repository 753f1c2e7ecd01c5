/*
 * incremental.h - which files earlier runs have read (option `incremental` of the files source).
 */
#ifndef MR_CONNECT_FILES_INCREMENTAL_H
#define MR_CONNECT_FILES_INCREMENTAL_H

#include "connect/files/read.h"

/* Files that are in the listing; what has gone is remembered up to the second number. */
#define FILES_KNOWN_MOST ((int64_t)1 << 20)
#define FILES_GONE_MOST  ((int64_t)128 << 10)

/* A file that was read: hashes of its path below the place, and of its size and time. */
struct files_mark {
    uint64_t name;
    uint64_t state;
    int64_t modified; /* kept only where there is a horizon; else the time of the newest */
};

/* Where a run ended. */
struct files_known {
    const char *place; /* url of the directory that paths are below */
    int64_t newest;    /* the latest modification of a file that was read; INT64_MIN = none was */
    bool has_horizon;
    int64_t horizon; /* files that were modified before count as read and are not remembered */
    int64_t nlisted;
    struct files_mark *listed; /* by name */
    int64_t ngone;
    struct files_mark *gone; /* those that went last come first */
};

struct files_mark files_mark_of(const char *path, int64_t size, int64_t modified_micros);
enum mr_status files_known_write(const struct files_known *known, struct mr_arena *arena,
                                 struct mr_slice *out, struct mr_error *err);
/* False when the bytes are not what write made; running out of memory is in `err`. */
bool files_known_read(struct mr_slice bytes, struct mr_arena *arena, struct files_known *out,
                      struct mr_error *err);

/* Checks of the option that need no listing. */
enum mr_status files_incremental_check(struct files_source *source,
                                       const struct mr_source_bind *bind, struct mr_error *err);
/* What earlier runs have read. Before the listing. */
enum mr_status files_incremental_begin(struct files_source *source,
                                       const struct mr_source_bind *bind,
                                       struct mr_source_info *info, struct mr_error *err);
/* A file of the listing: *known = an earlier run has read it; *keep = it is to become an entry all the same. */
enum mr_status files_incremental_see(struct files_source *source,
                                     const struct mr_store_entry *entry, bool *known, bool *keep,
                                     struct mr_error *err);
/* A line for the plan, or NULL. */
const char *files_incremental_note(const struct files_source *source, struct mr_arena *arena);
/* Where this run ends. */
enum mr_status files_incremental_end(const struct files_source *source, struct mr_arena *arena,
                                     struct mr_split_list *out, struct mr_error *err);

#endif

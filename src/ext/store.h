/*
 * store.h - contract: a place for whole objects (local directory, S3).
 *
 * Paths are relative to the opened root, with '/' between parts, never starting with one. What is
 * staged is invisible to list and read until it is published.
 */
#ifndef MR_EXT_STORE_H
#define MR_EXT_STORE_H

#include "base/map.h"
#include "ext/runtime.h"

struct mr_store_entry {
    const char *path;
    int64_t size;
    int64_t modified_micros;
};

/* One of several reads of an object: `got` < `size` only at its end. */
struct mr_store_read {
    int64_t offset;
    size_t size;
    void *out;
    size_t got;
};

struct mr_store {
    const char *name;   /* "local" */
    const char *scheme; /* "file"; "s3", to which s3a is an alias */
    const char *doc;

    /*
     * `url` is scheme://... or an absolute path; `options` of the step (store keys: the rows of
     * dataset/store_options.h that it has), may be NULL.
     */
    enum mr_status (*open)(const char *url, const struct mr_options *options,
                           struct mr_runtime *runtime, void **handle, struct mr_error *err);
    /*
     * Calls `each` for all objects below `prefix` ("" or a directory, or one object) in byte order
     * of paths, from the first that is greater than `after` (NULL = all); staged and hidden ones
     * ('.', or '_' without '=', in any part below `prefix`) only if `hidden`. What `each` returns
     * other than MR_OK ends the listing.
     */
    enum mr_status (*list)(void *handle, const char *prefix, const char *after, bool hidden,
                           enum mr_status (*each)(void *context, const struct mr_store_entry *entry,
                                                  struct mr_error *err),
                           void *context, struct mr_error *err);
    /*
     * Reads up to `size` bytes at `offset`; *got < size only at the end. Absent: MR_SOURCE, class
     * config.
     */
    enum mr_status (*read)(void *handle, const char *path, int64_t offset, void *out, size_t size,
                           size_t *got, struct mr_error *err);
    /* The same for several parts of one object, in flight together where that is faster. */
    enum mr_status (*read_many)(void *handle, const char *path, struct mr_store_read *reads,
                                int nreads, struct mr_error *err);
    /* *exists false when there is no such object; else its size and time. entry->path is `path`. */
    enum mr_status (*stat)(void *handle, const char *path, struct mr_store_entry *entry,
                           bool *exists, struct mr_error *err);
    /* Atomically replaces or creates a small object. */
    enum mr_status (*put)(void *handle, const char *path, struct mr_slice data,
                          struct mr_error *err);
    /*
     * Creates a small object unless there is one: *created false when it exists already. Where the
     * outcome of an attempt is not known (reply lost, 412 on a repetition) the object is read back,
     * and *created says whether it holds `data`, into which the caller puts something unique. Only
     * if that fails too: class unknown. A store that cannot do this atomically refuses (class
     * config) rather than pretending.
     */
    enum mr_status (*put_if_absent)(void *handle, const char *path, struct mr_slice data,
                                    bool *created, struct mr_error *err);
    /*
     * Stages an object under its final path: open, append, then finish makes it durable (once
     * `sync` returned) and writes a ticket (versioned byte string) with which any process can
     * publish or discard it. `stage_close` frees; without finish it discards. `tag` (run identity)
     * lets a later run find what a dead one left; the last part of `path` contains it, because a
     * multipart upload of S3 has no other place that can be listed.
     */
    enum mr_status (*stage_open)(void *handle, const char *path, const char *tag, void **stage,
                                 struct mr_error *err);
    enum mr_status (*stage_append)(void *stage, const void *data, size_t size,
                                   struct mr_error *err);
    enum mr_status (*stage_finish)(void *stage, struct mr_bytes *ticket, struct mr_error *err);
    void (*stage_close)(void *stage);
    /* Idempotent: publishing what is published already is MR_OK. */
    enum mr_status (*publish)(void *handle, struct mr_slice ticket, struct mr_error *err);
    enum mr_status (*discard)(void *handle, struct mr_slice ticket, struct mr_error *err);
    /*
     * Is what the ticket describes still staged, whole, and not published? *whole false when that
     * cannot be seen; an error only where nothing can be asked at all.
     */
    enum mr_status (*is_staged)(void *handle, struct mr_slice ticket, bool *whole,
                                struct mr_error *err);
    /*
     * Discards everything staged under `tag` below `prefix` (S3: uploads to objects whose last part
     * contains it), except objects whose last part is a key of `kept` (NULL = none).
     */
    enum mr_status (*discard_tag)(void *handle, const char *prefix, const char *tag,
                                  const struct mr_map *kept, struct mr_error *err);
    /* Makes preceding finishes, publishes, discards and removes durable (directory fsync). */
    enum mr_status (*sync)(void *handle, struct mr_error *err);
    /* Absent is MR_OK. Directories that it empties go too, the root excepted. */
    enum mr_status (*remove)(void *handle, const char *path, struct mr_error *err);
    void (*close)(void *handle);
};

#endif

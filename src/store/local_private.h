/*
 * local_private.h - what the files of the local store share.
 */
#ifndef MR_STORE_LOCAL_PRIVATE_H
#define MR_STORE_LOCAL_PRIVATE_H

#include "base/map.h"
#include "ext/store.h"

#include <sys/stat.h>

/* Between the name and the tag of what is staged. */
#define LOCAL_STAGED_MARK ".inprogress-"
#define LOCAL_TOKEN_SIZE  16

struct local_stage;

/* An opened root. One thread at a time. */
struct local {
    struct mr_runtime *runtime;       /* may be NULL */
    char *root;                       /* without a slash at the end, "/" excepted */
    char token[LOCAL_TOKEN_SIZE + 1]; /* of the names that this handle stages under */
    struct mr_map dirty; /* directories (full paths) whose entries changed since the last sync */
    struct local_stage *newest; /* stages that hold a descriptor, by last use */
    struct local_stage *oldest;
    int descriptors;
    unsigned temporary; /* number of the next temporary name of `put` */
    char *read_path;    /* the object that `read_fd` is open on, or NULL */
    int read_fd;
};

/* Full path of an object: root/path. Refuses "..", absolute and empty parts. Heap. */
enum mr_status local_full_path(const struct local *local, const char *path, char **out,
                               struct mr_error *err);
/* "dir/name" -> "dir/.name.inprogress-token-tag"; without a token (""): "dir/.name.inprogress-tag". Heap. */
enum mr_status local_staged_path(const char *full, const char *token, const char *tag, char **out,
                                 struct mr_error *err);
/* Where the mark is in a staged object's name, of this tag (NULL = of any) whatever the token; NULL: it is none. */
const char *local_staged_mark(const char *name, const char *tag);
/* The error of a failed call on a path, with the hint that fits. */
enum mr_status local_errno(struct mr_error *err, enum mr_status status, int errnum,
                           const char *what, const char *path);

/* Creates the directory of `full` and those above it as needed; marks whatever changed. */
enum mr_status local_make_parents(struct local *local, const char *full, struct mr_error *err);
/* Remembers that entries of the directory of `full` changed, and that those above it up to the root may be new. */
enum mr_status local_mark_dirty(struct local *local, const char *full, struct mr_error *err);
/* Removes the directories that became empty above `full`, up to the root, which stays. */
void local_remove_empty_parents(struct local *local, const char *full);
enum mr_status local_write_all(int fd, const void *data, size_t size, const char *path,
                               struct mr_error *err);
/* fsync; a failure is fatal: what the kernel threw away cannot be asked for again. */
enum mr_status local_fsync(int fd, const char *path, struct mr_error *err);
enum mr_status local_sync(void *handle, struct mr_error *err);
/* The file that is open for reading is opened again at the next read. */
void local_forget_read(struct local *local);

/* Calls `each` for every file below `prefix` in byte order of paths; names starting with '.' or '_' only if `hidden`. */
enum mr_status local_walk(struct local *local, const char *prefix, bool hidden,
                          enum mr_status (*each)(void *context, const char *path,
                                                 const struct stat *info, struct mr_error *err),
                          void *context, struct mr_error *err);

enum mr_status local_stage_open(void *handle, const char *path, const char *tag, void **out,
                                struct mr_error *err);
enum mr_status local_stage_append(void *opaque, const void *data, size_t size,
                                  struct mr_error *err);
enum mr_status local_stage_finish(void *opaque, struct mr_bytes *ticket, struct mr_error *err);
void local_stage_close(void *opaque);

enum mr_status local_put(void *handle, const char *path, struct mr_slice data,
                         struct mr_error *err);
enum mr_status local_put_if_absent(void *handle, const char *path, struct mr_slice data,
                                   bool *created, struct mr_error *err);

enum mr_status local_publish(void *handle, struct mr_slice ticket, struct mr_error *err);
enum mr_status local_discard(void *handle, struct mr_slice ticket, struct mr_error *err);
enum mr_status local_is_staged(void *handle, struct mr_slice ticket, bool *whole,
                               struct mr_error *err);
enum mr_status local_discard_tag(void *handle, const char *prefix, const char *tag,
                                 const struct mr_map *kept, struct mr_error *err);

#endif

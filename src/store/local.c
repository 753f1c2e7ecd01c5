/*
 * local.c - the store on a local directory: opening, reading, removal, directory durability.
 *
 * An object is a file below the root. Two rules carry the guarantees of a commit:
 *
 *  - A name appears once its bytes are on the disk, never before, by an operation that cannot replace another file
 *    (local_publish.c).
 *  - A directory entry is durable only when its directory was synced, and a new directory only when its parent was.
 *    Every change notes the directory in `dirty`; `sync` writes them all out. Directories between the changed one and
 *    the root are noted too, because another run may have created them a moment ago and not have synced them yet.
 *
 * fsync is called once. When it fails the kernel has dropped the pages and a second call would say that all is well,
 * so the error is of class fatal. The alternative, syncfs on the whole file system at commit, would make one call of
 * thousands, but it waits for everybody else's data as well.
 *
 * Directories that removals emptied are removed too, the root excepted. A run that has just created one of them sees
 * its open fail with ENOENT and creates it again (local_stage_open).
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "store/local.h"

#include "base/failpoint.h"
#include "store/local_private.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/random.h>
#include <unistd.h>

enum mr_status local_errno(struct mr_error *err, enum mr_status status, int errnum,
                           const char *what, const char *path)
{
    mr_error_errno(err, status, errnum, "%s %s", what, path);
    if (errnum == ENOTDIR)
        mr_error_hint(err, "a part of the path is a file, not a directory");
    else if (errnum == EROFS)
        mr_error_hint(err, "the file system is mounted read-only");
    else if (errnum == ENAMETOOLONG)
        mr_error_hint(err, "a file name has at most 255 bytes: partition by a shorter value");
    else if (errnum == EMFILE)
        mr_error_hint(err, "raise the limit of open files (ulimit -n)");
    return errnum == ENOMEM ? MR_NOMEM : status;
}

static bool path_is_sane(const char *path)
{
    if (*path == '\0' || *path == '/')
        return false;
    for (const char *part = path; part;) {
        const char *end = strchr(part, '/');
        size_t size = end ? (size_t)(end - part) : strlen(part);
        if (size == 0 || (size == 1 && part[0] == '.') ||
            (size == 2 && part[0] == '.' && part[1] == '.'))
            return false;
        part = end ? end + 1 : NULL;
    }
    return true;
}

static enum mr_status join(const char *a, const char *b, char **out, struct mr_error *err)
{
    size_t size = strlen(a) + strlen(b) + 2;
    char *text = mr_alloc(size);
    if (!text)
        return mr_error_nomem(err);
    snprintf(text, size, "%s/%s", strcmp(a, "/") == 0 ? "" : a, b);
    *out = text;
    return MR_OK;
}

enum mr_status local_full_path(const struct local *local, const char *path, char **out,
                               struct mr_error *err)
{
    if (!path_is_sane(path))
        return mr_error_config(err, "'%s' is not a path of an object below %s", path, local->root);
    return join(local->root, path, out, err);
}

/* ---- directories ---- */

static enum mr_status mark(struct local *local, const char *directory, size_t size,
                           struct mr_error *err)
{
    return mr_map_put(&local->dirty, (struct mr_slice){directory, size}, local, err);
}

enum mr_status local_mark_dirty(struct local *local, const char *full, struct mr_error *err)
{
    size_t root = strlen(local->root);
    const char *slash = strrchr(full, '/');
    for (size_t size = slash ? (size_t)(slash - full) : 0; size >= root && size > 0;) {
        MR_TRY(mark(local, full, size, err));
        while (size > 0 && full[size - 1] != '/')
            size--;
        while (size > 0 && full[size - 1] == '/')
            size--;
    }
    return MR_OK;
}

/* Creates `directory` (a heap copy that it may change for a moment), its parents first. */
static enum mr_status make_directory(struct local *local, char *directory, struct mr_error *err)
{
    char *slash = strrchr(directory, '/');
    for (int attempt = 0; attempt < 100; attempt++) {
        if (mkdir(directory, 0777) == 0) {
            if (!slash)
                return mark(local, ".", 1, err);
            return mark(local, directory, slash == directory ? 1 : (size_t)(slash - directory),
                        err);
        }
        if (errno == EEXIST) {
            struct stat info;
            if (stat(directory, &info) == 0 && S_ISDIR(info.st_mode))
                return MR_OK;
            return local_errno(err, MR_SINK, ENOTDIR, "cannot create directory", directory);
        }
        if (errno != ENOENT || !slash || slash == directory)
            break;
        *slash = '\0';
        enum mr_status status = make_directory(local, directory, err);
        *slash = '/';
        MR_TRY(status);
    }
    return local_errno(err, MR_SINK, errno, "cannot create directory", directory);
}

enum mr_status local_make_parents(struct local *local, const char *full, struct mr_error *err)
{
    const char *slash = strrchr(full, '/');
    if (!slash || slash == full)
        return MR_OK;
    char *directory = mr_strndup(full, (size_t)(slash - full));
    if (!directory)
        return mr_error_nomem(err);
    enum mr_status status = make_directory(local, directory, err);
    mr_free(directory);
    return status;
}

void local_remove_empty_parents(struct local *local, const char *full)
{
    char *directory = mr_strdup(full);
    size_t root = strlen(local->root);
    for (char *slash = directory ? strrchr(directory, '/') : NULL;
         slash && (size_t)(slash - directory) > root; slash = strrchr(directory, '/')) {
        *slash = '\0';
        if (rmdir(directory) != 0)
            break;
    }
    mr_free(directory);
}

enum mr_status local_fsync(int fd, const char *path, struct mr_error *err)
{
    MR_TRY(MR_FAILPOINT("store.fsync.before", err));
    if (fsync(fd) != 0) {
        local_errno(err, MR_SINK, errno, "cannot make durable", path);
        if (err)
            err->cls = MR_CLASS_FATAL;
        return MR_SINK;
    }
    return MR_FAILPOINT("store.fsync.after", err);
}

enum mr_status local_sync(void *handle, struct mr_error *err)
{
    struct local *local = handle;
    for (size_t i = 0; i < local->dirty.count; i++) {
        const char *directory = local->dirty.entries[i].key;
        int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0 && errno == ENOENT) /* emptied and removed: its parent is in the list */
            continue;
        if (fd < 0)
            return local_errno(err, MR_SINK, errno, "cannot open directory", directory);
        enum mr_status status = local_fsync(fd, directory, err);
        close(fd);
        MR_TRY(status);
    }
    mr_map_reset(&local->dirty);
    mr_map_init(&local->dirty, false);
    return MR_OK;
}

enum mr_status local_write_all(int fd, const void *data, size_t size, const char *path,
                               struct mr_error *err)
{
    const char *at = data;
    while (size > 0) {
        ssize_t written = write(fd, at, size < ((size_t)1 << 30) ? size : (size_t)1 << 30);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return local_errno(err, MR_SINK, errno, "cannot write", path);
        at += written;
        size -= (size_t)written;
    }
    return MR_OK;
}

/* ---- open, close ---- */

/* "file:///a/b/", "file:/a/b", "/a/b" -> "/a/b". */
static const char *path_of_url(const char *url)
{
    if (strncmp(url, "file:", 5) == 0) {
        url += 5;
        if (strncmp(url, "//localhost/", 12) == 0)
            url += 11;
        else if (strncmp(url, "//", 2) == 0)
            url += 2;
    }
    return url;
}

static enum mr_status local_open(const char *url, const struct mr_options *options,
                                 struct mr_runtime *runtime, void **handle, struct mr_error *err)
{
    (void)options;
    const char *path = path_of_url(url);
    if (*path == '\0' || strstr(path, "://"))
        return mr_error_config(err, "'%s' is not a local path", url);
    struct local *local = mr_calloc(1, sizeof *local);
    if (!local)
        return mr_error_nomem(err);
    size_t size = strlen(path);
    while (size > 1 && path[size - 1] == '/')
        size--;
    uint64_t random;
    if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random) {
        mr_free(local);
        return mr_error_set(err, MR_INTERNAL, MR_CLASS_FATAL, "no random numbers");
    }
    snprintf(local->token, sizeof local->token, "%016" PRIx64, random);
    local->runtime = runtime;
    local->read_fd = -1;
    mr_map_init(&local->dirty, false);
    local->root = mr_strndup(path, size);
    if (!local->root) {
        mr_free(local);
        return mr_error_nomem(err);
    }
    *handle = local;
    return MR_OK;
}

void local_forget_read(struct local *local)
{
    if (local->read_fd >= 0)
        close(local->read_fd);
    local->read_fd = -1;
    mr_free(local->read_path);
    local->read_path = NULL;
}

static void local_close(void *handle)
{
    struct local *local = handle;
    if (!local)
        return;
    local_forget_read(local);
    mr_map_reset(&local->dirty);
    mr_free(local->root);
    mr_free(local);
}

/* ---- list, read ---- */

struct list_context {
    const char *after;
    enum mr_status (*each)(void *context, const struct mr_store_entry *entry, struct mr_error *err);
    void *context;
};

static struct mr_store_entry entry_of(const char *path, const struct stat *info)
{
    return (struct mr_store_entry){
        .path = path,
        .size = info->st_size,
        .modified_micros = info->st_mtim.tv_sec * 1000000 + info->st_mtim.tv_nsec / 1000,
    };
}

static enum mr_status list_one(void *context, const char *path, const struct stat *info,
                               struct mr_error *err)
{
    struct list_context *list = context;
    if (list->after && strcmp(path, list->after) <= 0)
        return MR_OK;
    struct mr_store_entry entry = entry_of(path, info);
    return list->each(list->context, &entry, err);
}

static enum mr_status local_list(void *handle, const char *prefix, const char *after, bool hidden,
                                 enum mr_status (*each)(void *context,
                                                        const struct mr_store_entry *entry,
                                                        struct mr_error *err),
                                 void *context, struct mr_error *err)
{
    struct list_context list = {after, each, context};
    return local_walk(handle, prefix, hidden, list_one, &list, err);
}

static enum mr_status open_for_read(struct local *local, const char *path, struct mr_error *err)
{
    if (local->read_path && strcmp(local->read_path, path) == 0)
        return MR_OK;
    local_forget_read(local);
    char *full;
    MR_TRY(local_full_path(local, path, &full, err));
    enum mr_status status = MR_OK;
    local->read_fd = open(full, O_RDONLY | O_CLOEXEC);
    if (local->read_fd < 0)
        status = local_errno(err, MR_SOURCE, errno, "cannot open", full);
    else if (!(local->read_path = mr_strdup(path)))
        status = mr_error_nomem(err);
    mr_free(full);
    return status;
}

static enum mr_status local_read(void *handle, const char *path, int64_t offset, void *out,
                                 size_t size, size_t *got, struct mr_error *err)
{
    struct local *local = handle;
    *got = 0;
    MR_TRY(open_for_read(local, path, err));
    while (*got < size) {
        ssize_t n = pread(local->read_fd, (char *)out + *got, size - *got, offset + (off_t)*got);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return local_errno(err, MR_SOURCE, errno, "cannot read", path);
        if (n == 0)
            break;
        *got += (size_t)n;
    }
    return MR_OK;
}

static enum mr_status local_read_many(void *handle, const char *path, struct mr_store_read *reads,
                                      int nreads, struct mr_error *err)
{
    for (int i = 0; i < nreads; i++)
        MR_TRY(local_read(handle, path, reads[i].offset, reads[i].out, reads[i].size, &reads[i].got,
                          err));
    return MR_OK;
}

static enum mr_status local_stat(void *handle, const char *path, struct mr_store_entry *entry,
                                 bool *exists, struct mr_error *err)
{
    struct stat info;
    char *full;
    *exists = false;
    MR_TRY(local_full_path(handle, path, &full, err));
    enum mr_status status = MR_OK;
    if (stat(full, &info) == 0) {
        *exists = S_ISREG(info.st_mode);
        *entry = entry_of(path, &info);
    } else if (errno != ENOENT && errno != ENOTDIR) {
        status = local_errno(err, MR_SOURCE, errno, "cannot look at", full);
    }
    mr_free(full);
    return status;
}

static enum mr_status local_remove(void *handle, const char *path, struct mr_error *err)
{
    struct local *local = handle;
    char *full;
    MR_TRY(local_full_path(local, path, &full, err));
    enum mr_status status = MR_FAILPOINT("store.remove.before", err);
    if (status == MR_OK && unlink(full) != 0 && errno != ENOENT)
        status = local_errno(err, MR_SINK, errno, "cannot remove", full);
    if (status == MR_OK)
        status = MR_FAILPOINT("store.remove.after", err);
    if (status == MR_OK)
        status = local_mark_dirty(local, full, err);
    if (status == MR_OK)
        local_remove_empty_parents(local, full);
    mr_free(full);
    return status;
}

const struct mr_store mr_store_local = {
    .name = "local",
    .scheme = "file",
    .doc = "A directory of this machine.",
    .open = local_open,
    .list = local_list,
    .read = local_read,
    .read_many = local_read_many,
    .stat = local_stat,
    .put = local_put,
    .put_if_absent = local_put_if_absent,
    .stage_open = local_stage_open,
    .stage_append = local_stage_append,
    .stage_finish = local_stage_finish,
    .stage_close = local_stage_close,
    .publish = local_publish,
    .discard = local_discard,
    .is_staged = local_is_staged,
    .discard_tag = local_discard_tag,
    .sync = local_sync,
    .remove = local_remove,
    .close = local_close,
};

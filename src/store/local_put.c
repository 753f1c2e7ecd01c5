/*
 * local_put.c - small objects, written whole.
 *
 * The bytes go durably into "dir/.name.inprogress-put", which then gets the object's name: by rename to replace what is there, by
 * link to create it or not at all. The writer keeps the temporary file locked (flock) until then. One that is found unlocked is
 * what a killed process left, and goes; beside one that is locked a second writer takes a name of its own, with the numbers
 * of its process and thread (several runs of a process have a handle each). A file without any name (O_TMPFILE) would leave nothing at all, but nothing can be replaced by a link.
 *
 * Who has locked a file looks whether the name still means it: whoever held the lock before may have removed or renamed it.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "base/failpoint.h"
#include "store/local_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

#define TRIES 100

/* A temporary file, open and locked. */
struct temporary {
    char *path; /* NULL = none */
    int fd;
};

/* Is the file still what `path` names? */
static bool is_named(int fd, const char *path)
{
    struct stat open_one, named;
    return fstat(fd, &open_one) == 0 && stat(path, &named) == 0 &&
           open_one.st_dev == named.st_dev && open_one.st_ino == named.st_ino;
}

/* A file that was just created. Where the file system has no locks there is no other holder either. */
static bool lock_own(int fd, const char *path)
{
    return (flock(fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) && is_named(fd, path);
}

/* Removes what a dead process left. *busy: it is in use, or cannot be told. */
static void remove_dead(const char *path, bool *busy)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    *busy = fd < 0 && errno != ENOENT;
    if (fd < 0)
        return;
    if (flock(fd, LOCK_EX | LOCK_NB) != 0)
        *busy = true;
    else if (is_named(fd, path))
        unlink(path);
    close(fd);
}

/* -1 with *taken: somebody else writes under this name. */
static int create(const char *path, bool *taken)
{
    *taken = false;
    for (int i = 0; i < TRIES && !*taken; i++) {
        int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd < 0 && errno != EEXIST)
            return -1;
        if (fd >= 0 && lock_own(fd, path))
            return fd;
        if (fd >= 0)
            close(fd);
        else
            remove_dead(path, taken);
    }
    *taken = true;
    return -1;
}

static enum mr_status create_temporary(struct local *local, const char *full, struct temporary *out,
                                       struct mr_error *err)
{
    char tag[64];
    bool taken;
    MR_TRY(local_make_parents(local, full, err));
    MR_TRY(local_staged_path(full, "", "put", &out->path, err));
    out->fd = create(out->path, &taken);
    if (out->fd >= 0 || !taken)
        return out->fd >= 0 ? MR_OK : local_errno(err, MR_SINK, errno, "cannot create", out->path);
    mr_free(out->path);
    out->path = NULL;
    snprintf(tag, sizeof tag, "put-%ld-%ld-%u", (long)getpid(), (long)gettid(), local->temporary++);
    MR_TRY(local_staged_path(full, "", tag, &out->path, err));
    unlink(out->path); /* never truncated: it may be a second link to an object */
    out->fd = open(out->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    return out->fd >= 0 ? MR_OK : local_errno(err, MR_SINK, errno, "cannot create", out->path);
}

static enum mr_status write_temporary(struct local *local, const char *full, struct mr_slice data,
                                      struct temporary *out, struct mr_error *err)
{
    MR_TRY(create_temporary(local, full, out, err));
    MR_TRY(local_write_all(out->fd, data.data, data.size, out->path, err));
    return local_fsync(out->fd, out->path, err);
}

/* `gone`: it has got another name. */
static void drop(struct temporary *temporary, bool gone)
{
    if (temporary->fd >= 0 && !gone)
        unlink(temporary->path);
    if (temporary->fd >= 0)
        close(temporary->fd);
    mr_free(temporary->path);
}

static enum mr_status make_durable(struct local *local, const char *full, struct mr_error *err)
{
    MR_TRY(local_mark_dirty(local, full, err));
    return local_sync(local, err);
}

enum mr_status local_put(void *handle, const char *path, struct mr_slice data, struct mr_error *err)
{
    struct local *local = handle;
    struct temporary temporary = {NULL, -1};
    char *full;
    bool renamed = false;
    MR_TRY(local_full_path(local, path, &full, err));
    enum mr_status status = write_temporary(local, full, data, &temporary, err);
    if (status == MR_OK)
        status = MR_FAILPOINT("store.put.rename.before", err);
    if (status == MR_OK) {
        renamed = rename(temporary.path, full) == 0;
        if (!renamed)
            status = local_errno(err, MR_SINK, errno, "cannot create", full);
    }
    if (status == MR_OK)
        status = MR_FAILPOINT("store.put.rename.after", err);
    drop(&temporary, renamed);
    if (status == MR_OK)
        status = make_durable(local, full, err);
    local_forget_read(local);
    mr_free(full);
    return status;
}

enum mr_status local_put_if_absent(void *handle, const char *path, struct mr_slice data,
                                   bool *created, struct mr_error *err)
{
    struct local *local = handle;
    struct temporary temporary = {NULL, -1};
    char *full;
    *created = false;
    MR_TRY(local_full_path(local, path, &full, err));
    enum mr_status status = write_temporary(local, full, data, &temporary, err);
    if (status == MR_OK)
        status = MR_FAILPOINT("store.put.link.before", err);
    if (status == MR_OK) {
        *created = link(temporary.path, full) == 0;
        if (!*created && errno != EEXIST)
            status = local_errno(err, MR_SINK, errno, "cannot create", full);
    }
    drop(&temporary, false);
    if (status == MR_OK)
        status = MR_FAILPOINT("store.put.link.after", err);
    if (status == MR_OK)
        status = make_durable(local, full, err);
    mr_free(full);
    return status;
}

/*
 * local_publish.c - from a ticket to a visible file, or to nothing; idempotent, in any process.
 *
 * Publishing is renameat2(RENAME_NOREPLACE): one step, and it never replaces a file. Where a file system lacks the flag,
 * link() and unlink() do the same in two, and a crash between them leaves two names of one file, which the next call
 * recognises by the inode. The alternative, plain rename(), silently replaces what another writer put there.
 *
 * Names are a pure function of the run's identity, so a name that is taken already means one of three things: we
 * published it before we crashed (the staged name is gone), it is the other link, or the same epoch was written
 * twice because the state was set back. The last is told from a stranger's file by size and CRC; equal bytes are as good as
 * published, anything else stops the run.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "base/failpoint.h"
#include "base/hash.h"
#include "store/local_private.h"
#include "store/local_ticket.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define TICKET_VERSION 2

void local_ticket_write(const struct local_ticket *ticket, struct mr_bytes *out)
{
    mr_bytes_u8(out, TICKET_VERSION);
    mr_bytes_lenpref(out, ticket->path.data, ticket->path.size);
    mr_bytes_lenpref(out, ticket->tag.data, ticket->tag.size);
    mr_bytes_lenpref(out, ticket->token.data, ticket->token.size);
    mr_bytes_u64le(out, (uint64_t)ticket->size);
    mr_bytes_u32le(out, ticket->crc);
}

enum mr_status local_ticket_read(struct mr_slice data, struct local_ticket *out,
                                 struct mr_error *err)
{
    struct mr_byte_reader reader;
    mr_byte_reader_init(&reader, data.data, data.size);
    uint8_t version = mr_byte_reader_u8(&reader);
    out->path = mr_byte_reader_lenpref(&reader);
    out->tag = mr_byte_reader_lenpref(&reader);
    out->token = version < 2 ? mr_slice_of("") : mr_byte_reader_lenpref(&reader);
    out->size = (int64_t)mr_byte_reader_u64le(&reader);
    out->crc = mr_byte_reader_u32le(&reader);
    if (!mr_byte_reader_done(&reader) || version < 1 || version > TICKET_VERSION)
        return mr_error_set(err, MR_SINK, MR_CLASS_FATAL,
                            "the record of a staged file is damaged or of another version");
    return MR_OK;
}

/* The two names of a ticket's object. */
struct names {
    char *full;
    char *staged;
};

static void names_reset(struct names *names)
{
    mr_free(names->full);
    mr_free(names->staged);
}

static enum mr_status names_of(const struct local *local, const struct local_ticket *ticket,
                               struct names *out, struct mr_error *err)
{
    memset(out, 0, sizeof *out);
    char *path = mr_strndup(ticket->path.data, ticket->path.size);
    char *tag = mr_strndup(ticket->tag.data, ticket->tag.size);
    char *token = mr_strndup(ticket->token.data, ticket->token.size);
    enum mr_status status = path && tag && token ? MR_OK : mr_error_nomem(err);
    if (status == MR_OK)
        status = local_full_path(local, path, &out->full, err);
    if (status == MR_OK)
        status = local_staged_path(out->full, token, tag, &out->staged, err);
    mr_free(path);
    mr_free(tag);
    mr_free(token);
    if (status != MR_OK)
        names_reset(out);
    return status;
}

/* Does the file hold the bytes that the ticket describes? */
static enum mr_status holds(const char *full, const struct local_ticket *ticket, bool *same,
                            struct mr_error *err)
{
    *same = false;
    int fd = open(full, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? MR_OK : local_errno(err, MR_SINK, errno, "cannot open", full);
    struct stat info;
    enum mr_status status = MR_OK;
    const size_t chunk = (size_t)1 << 16;
    char *buffer = mr_alloc(chunk);
    if (!buffer) {
        status = mr_error_nomem(err);
    } else if (fstat(fd, &info) == 0 && info.st_size == ticket->size) {
        uint32_t crc = 0;
        ssize_t n;
        while ((n = read(fd, buffer, chunk)) > 0)
            crc = mr_crc32(crc, buffer, (size_t)n);
        if (n < 0)
            status = local_errno(err, MR_SINK, errno, "cannot read", full);
        *same = n == 0 && crc == ticket->crc;
    }
    mr_free(buffer);
    close(fd);
    return status;
}

static bool same_file(const struct names *names)
{
    struct stat a, b;
    return stat(names->full, &a) == 0 && stat(names->staged, &b) == 0 && a.st_dev == b.st_dev &&
           a.st_ino == b.st_ino;
}

/* link and unlink, for file systems without RENAME_NOREPLACE. errno of the link is the answer. */
static enum mr_status link_over(const struct names *names, int *error, struct mr_error *err)
{
    *error = 0;
    if (link(names->staged, names->full) != 0) {
        *error = errno;
        return MR_OK;
    }
    MR_TRY(MR_FAILPOINT("store.publish.link.after", err));
    if (unlink(names->staged) != 0 && errno != ENOENT)
        return local_errno(err, MR_SINK, errno, "cannot remove", names->staged);
    return MR_FAILPOINT("store.publish.unlink.after", err);
}

static enum mr_status rename_over(const struct names *names, int *error, struct mr_error *err)
{
    *error = 0;
#ifdef MR_ENABLE_FAILPOINTS
    /* So that the tests can walk the other road on any file system. */
    if (getenv("MILLRACE_TEST_LINK"))
        return link_over(names, error, err);
#endif
    if (renameat2(AT_FDCWD, names->staged, AT_FDCWD, names->full, RENAME_NOREPLACE) == 0)
        return MR_OK;
    *error = errno;
    if (*error == EINVAL || *error == ENOSYS || *error == EOPNOTSUPP)
        return link_over(names, error, err);
    return MR_OK;
}

/* The name is taken, or the staged file is gone: fine if what is there is what we meant to put there. */
static enum mr_status settle(const struct names *names, const struct local_ticket *ticket,
                             int error, struct mr_error *err)
{
    bool same = error == EEXIST && same_file(names);
    if (!same)
        MR_TRY(holds(names->full, ticket, &same, err));
    if (same) {
        if (error == EEXIST && unlink(names->staged) != 0 && errno != ENOENT)
            return local_errno(err, MR_SINK, errno, "cannot remove", names->staged);
        return MR_OK;
    }
    if (error == EEXIST)
        mr_error_set(err, MR_SINK, MR_CLASS_FATAL, "%s exists already with other content",
                     names->full);
    else
        mr_error_set(err, MR_SINK, MR_CLASS_FATAL,
                     "%s was staged for this commit and is gone, and %s does not hold its rows",
                     names->staged, names->full);
    if (err)
        mr_error_hint(err, "somebody else changed this directory between the run and its commit");
    return MR_SINK;
}

enum mr_status local_publish(void *handle, struct mr_slice data, struct mr_error *err)
{
    struct local *local = handle;
    struct local_ticket ticket;
    struct names names;
    int error;
    MR_TRY(local_ticket_read(data, &ticket, err));
    MR_TRY(names_of(local, &ticket, &names, err));
    enum mr_status status = MR_FAILPOINT("store.publish.before", err);
    if (status == MR_OK)
        status = rename_over(&names, &error, err);
    if (status == MR_OK && error) {
        if (error == EEXIST || error == ENOENT)
            status = settle(&names, &ticket, error, err);
        else
            status = local_errno(err, MR_SINK, error, "cannot publish", names.full);
    }
    if (status == MR_OK)
        status = MR_FAILPOINT("store.publish.after", err);
    /* Also when it was published before: that process may have died before its directory was synced. */
    if (status == MR_OK)
        status = local_mark_dirty(local, names.full, err);
    if (status == MR_OK && local->runtime)
        mr_progressed(local->runtime);
    names_reset(&names);
    return status;
}

static enum mr_status drop_staged(struct local *local, const char *staged, struct mr_error *err)
{
    MR_TRY(MR_FAILPOINT("store.discard.before", err));
    if (unlink(staged) != 0 && errno != ENOENT)
        return local_errno(err, MR_SINK, errno, "cannot remove", staged);
    MR_TRY(MR_FAILPOINT("store.discard.after", err));
    MR_TRY(local_mark_dirty(local, staged, err));
    local_remove_empty_parents(local, staged);
    return MR_OK;
}

enum mr_status local_discard(void *handle, struct mr_slice data, struct mr_error *err)
{
    struct local *local = handle;
    struct local_ticket ticket;
    struct names names;
    MR_TRY(local_ticket_read(data, &ticket, err));
    MR_TRY(names_of(local, &ticket, &names, err));
    enum mr_status status = drop_staged(local, names.staged, err);
    names_reset(&names);
    return status;
}

enum mr_status local_is_staged(void *handle, struct mr_slice data, bool *whole,
                               struct mr_error *err)
{
    struct local_ticket ticket;
    struct names names;
    struct stat info;
    *whole = false;
    MR_TRY(local_ticket_read(data, &ticket, err));
    MR_TRY(names_of(handle, &ticket, &names, err));
    enum mr_status status = MR_OK;
    if (lstat(names.staged, &info) == 0)
        *whole = S_ISREG(info.st_mode) && info.st_nlink == 1 && info.st_size == ticket.size;
    else if (errno != ENOENT && errno != ENOTDIR)
        status = local_errno(err, MR_SINK, errno, "cannot look at", names.staged);
    names_reset(&names);
    return status;
}

struct discard_context {
    struct local *local;
    const char *tag;
    const struct mr_map *kept;
};

/* `mark` ends the name of the object that `path` is the staged form of. */
static bool is_kept(const struct discard_context *discard, const char *path, const char *mark)
{
    const char *slash = strrchr(path, '/');
    const char *name = (slash ? slash + 1 : path) + 1;
    return discard->kept && mark > name &&
           mr_map_get(discard->kept, (struct mr_slice){name, (size_t)(mark - name)});
}

static enum mr_status discard_one(void *context, const char *path, const struct stat *info,
                                  struct mr_error *err)
{
    const struct discard_context *discard = context;
    (void)info;
    const char *mark = local_staged_mark(path, discard->tag);
    if (!mark || is_kept(discard, path, mark))
        return MR_OK;
    char *full;
    MR_TRY(local_full_path(discard->local, path, &full, err));
    enum mr_status status = drop_staged(discard->local, full, err);
    mr_free(full);
    return status;
}

enum mr_status local_discard_tag(void *handle, const char *prefix, const char *tag,
                                 const struct mr_map *kept, struct mr_error *err)
{
    struct discard_context discard = {handle, tag, kept};
    return local_walk(handle, prefix, true, discard_one, &discard, err);
}

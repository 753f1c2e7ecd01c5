/*
 * local_stage.c - objects being written: invisible names, durable at finish, any number at a time.
 *
 * An object "d/name" is written as "d/.name.inprogress-<token>-<tag>", in the directory where it will appear: publishing is
 * then one rename inside one directory, on one file system. The tag tells whose it is, the token (random, one a handle) which
 * process's: one that was stopped, taken for dead and woken up stages the same objects beside the run that took over, and
 * without a token it would put its file under the name that the other is about to publish. What is there under the
 * whole name is an earlier attempt of our own; it is unlinked, never truncated: it may be a second link to a published file.
 *
 * A writer with a thousand partitions keeps a thousand stages, so descriptors are a cache here: at most
 * MAX_DESCRIPTORS of a handle are open, the stage that was not written to for longest gives up its own and
 * opens again (append, size checked) when more bytes come. Linux reports a failed write-back to the first fsync after
 * such a reopen, so finishing still notices. The alternative, ending a file whenever descriptors run out, turns
 * shuffled input into hundreds of thousands of tiny files.
 *
 * The ticket: u8 version 2, path, tag, token (each with its length in front), u64 size, u32 CRC of the bytes. Version 1 has no
 * token, nor have the names that it stands for.
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
#include <unistd.h>

#define MAX_DESCRIPTORS  64
#define WRITE_BACK_BYTES ((int64_t)8 << 20)

struct local_stage {
    struct local *local;
    struct local_stage *newer; /* list of those with a descriptor */
    struct local_stage *older;
    int fd;     /* -1 = given up for now */
    char *path; /* relative to the root */
    char *tag;
    char *staged; /* full path while invisible */
    int64_t size;
    int64_t sent; /* bytes that the kernel was asked to start writing to the disk */
    uint32_t crc;
    bool created;
    bool finished;
};

enum mr_status local_staged_path(const char *full, const char *token, const char *tag, char **out,
                                 struct mr_error *err)
{
    size_t size = strlen(full) + strlen(token) + strlen(tag) + sizeof LOCAL_STAGED_MARK + 2;
    char *text = mr_alloc(size);
    if (!text)
        return mr_error_nomem(err);
    const char *slash = strrchr(full, '/');
    int directory = slash ? (int)(slash - full) + 1 : 0;
    snprintf(text, size, "%.*s.%s" LOCAL_STAGED_MARK "%s%s%s", directory, full, full + directory,
             token, token[0] ? "-" : "", tag);
    *out = text;
    return MR_OK;
}

const char *local_staged_mark(const char *name, const char *tag)
{
    const char *slash = strrchr(name, '/');
    name = slash ? slash + 1 : name;
    const char *mark = name[0] == '.' ? strstr(name, LOCAL_STAGED_MARK) : NULL;
    for (const char *next = mark; next; next = strstr(next + 1, LOCAL_STAGED_MARK))
        mark = next;
    if (!mark || !tag)
        return mark;
    const char *behind = mark + sizeof LOCAL_STAGED_MARK - 1;
    if (strspn(behind, "0123456789abcdef") >= LOCAL_TOKEN_SIZE && behind[LOCAL_TOKEN_SIZE] == '-' &&
        strcmp(behind + LOCAL_TOKEN_SIZE + 1, tag) == 0)
        return mark;
    return strcmp(behind, tag) == 0 ? mark : NULL;
}

/* ---- the cache of descriptors ---- */

static void leave_list(struct local_stage *stage)
{
    struct local *local = stage->local;
    *(stage->newer ? &stage->newer->older : &local->newest) = stage->older;
    *(stage->older ? &stage->older->newer : &local->oldest) = stage->newer;
    stage->newer = stage->older = NULL;
    local->descriptors--;
}

static void enter_list(struct local_stage *stage)
{
    struct local *local = stage->local;
    stage->older = local->newest;
    *(local->newest ? &local->newest->newer : &local->oldest) = stage;
    local->newest = stage;
    local->descriptors++;
}

static enum mr_status give_up_descriptor(struct local_stage *stage, struct mr_error *err)
{
    leave_list(stage);
    int fd = stage->fd;
    stage->fd = -1;
    if (close(fd) != 0 && errno != EINTR)
        return local_errno(err, MR_SINK, errno, "cannot write", stage->staged);
    return MR_OK;
}

/* Room for one more descriptor. */
static enum mr_status make_room(struct local *local, struct mr_error *err)
{
    while (local->descriptors >= MAX_DESCRIPTORS)
        MR_TRY(give_up_descriptor(local->oldest, err));
    return MR_OK;
}

static enum mr_status reopen(struct local_stage *stage, struct mr_error *err)
{
    MR_TRY(make_room(stage->local, err));
    int fd = open(stage->staged, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return local_errno(err, MR_SINK, errno, "cannot reopen", stage->staged);
    struct stat info;
    if (fstat(fd, &info) != 0 || info.st_size != stage->size) {
        close(fd);
        return mr_error_set(err, MR_SINK, MR_CLASS_FATAL, "%s was changed by somebody else",
                            stage->staged);
    }
    stage->fd = fd;
    enter_list(stage);
    return MR_OK;
}

static enum mr_status need_descriptor(struct local_stage *stage, struct mr_error *err)
{
    if (stage->fd < 0)
        return reopen(stage, err);
    if (stage->local->newest != stage) {
        leave_list(stage);
        enter_list(stage);
    }
    return MR_OK;
}

/* ---- writing ---- */

static enum mr_status create(struct local_stage *stage, const char *full, struct mr_error *err)
{
    MR_TRY(make_room(stage->local, err));
    for (int attempt = 0; stage->fd < 0; attempt++) {
        /* Another run may remove the directory while it is empty: make it again. */
        MR_TRY(local_make_parents(stage->local, full, err));
        stage->fd = open(stage->staged, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (stage->fd >= 0)
            break;
        if (errno == EEXIST && unlink(stage->staged) == 0 && attempt < 100)
            continue;
        if (errno != ENOENT || attempt >= 100)
            return local_errno(err, MR_SINK, errno, "cannot create", stage->staged);
    }
    stage->created = true;
    enter_list(stage);
    return local_mark_dirty(stage->local, full, err);
}

static void free_stage(struct local_stage *stage)
{
    mr_free(stage->path);
    mr_free(stage->tag);
    mr_free(stage->staged);
    mr_free(stage);
}

enum mr_status local_stage_open(void *handle, const char *path, const char *tag, void **out,
                                struct mr_error *err)
{
    char *full = NULL;
    enum mr_status status = MR_OK;
    struct local_stage *stage = mr_calloc(1, sizeof *stage);
    if (!stage)
        return mr_error_nomem(err);
    stage->local = handle;
    stage->fd = -1;
    stage->path = mr_strdup(path);
    stage->tag = mr_strdup(tag);
    if (!stage->path || !stage->tag) {
        status = mr_error_nomem(err);
        goto out;
    }
    MR_TRY_OUT(local_full_path(handle, path, &full, err));
    MR_TRY_OUT(local_staged_path(full, stage->local->token, tag, &stage->staged, err));
    MR_TRY_OUT(MR_FAILPOINT("store.stage.open", err));
    MR_TRY_OUT(create(stage, full, err));
out:
    mr_free(full);
    if (status == MR_OK)
        *out = stage;
    else
        local_stage_close(stage);
    return status;
}

enum mr_status local_stage_append(void *opaque, const void *data, size_t size, struct mr_error *err)
{
    struct local_stage *stage = opaque;
    MR_TRY(need_descriptor(stage, err));
    MR_TRY(MR_FAILPOINT("store.stage.write", err));
    MR_TRY(local_write_all(stage->fd, data, size, stage->staged, err));
    stage->crc = mr_crc32(stage->crc, data, size);
    stage->size += (int64_t)size;
    if (stage->size - stage->sent >= WRITE_BACK_BYTES) {
        /* Starts the disk early so that fsync finds little left to do; only a hint, failure has no meaning. */
        sync_file_range(stage->fd, stage->sent, stage->size - stage->sent, SYNC_FILE_RANGE_WRITE);
        stage->sent = stage->size;
    }
    return MR_OK;
}

enum mr_status local_stage_finish(void *opaque, struct mr_bytes *ticket, struct mr_error *err)
{
    struct local_stage *stage = opaque;
    MR_TRY(need_descriptor(stage, err));
    MR_TRY(local_fsync(stage->fd, stage->staged, err));
    MR_TRY(give_up_descriptor(stage, err));
    struct local_ticket fields = {
        .path = mr_slice_of(stage->path),
        .tag = mr_slice_of(stage->tag),
        .token = mr_slice_of(stage->local->token),
        .size = stage->size,
        .crc = stage->crc,
    };
    local_ticket_write(&fields, ticket);
    MR_TRY(mr_bytes_status(ticket, err));
    stage->finished = true;
    return MR_OK;
}

void local_stage_close(void *opaque)
{
    struct local_stage *stage = opaque;
    if (!stage)
        return;
    if (stage->fd >= 0)
        give_up_descriptor(stage, NULL);
    if (!stage->finished && stage->created) {
        unlink(stage->staged);
        local_remove_empty_parents(stage->local, stage->staged);
    }
    free_stage(stage);
}

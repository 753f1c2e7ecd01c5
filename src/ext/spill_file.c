/*
 * spill_file.c - packed batches in a temporary file.
 *
 * The file never has a name that others could see for longer than it takes to unlink it, so that
 * neither a kill nor a crash leaves anything behind. LZ4 costs less than the disk that it saves and
 * is left out where a batch does not shrink. The checksum turns a disk that lies into an error
 * instead of wrong rows.
 */
#include "ext/spill_file.h"

#include "base/failpoint.h"
#include "base/hash.h"
#include "base/temporary.h"
#include "col/pack.h"
#include "ext/codec.h"
#include "ext/registry.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define BLOCK 4096

struct mr_spill_file {
    atomic_int_fast32_t refs;
    int fd;
    int64_t size;
    const struct mr_codec *codec; /* NULL: stored as they are */
    void *scratch;                /* of the codec */
    struct mr_bytes packed;
    struct mr_bytes stored;
};

static enum mr_status failed(struct mr_error *err, const char *what, const char *directory)
{
    int number = errno;
    mr_error_errno(err, number == ENOSPC || number == EDQUOT ? MR_LIMIT : MR_SOURCE, number,
                   "cannot %s a temporary file in %s", what, directory);
    if (number == ENOSPC || number == EDQUOT)
        mr_error_hint(err, "rows that do not fit into resources.memory are kept there: set "
                           "resources.tempDir to a larger disk, or raise resources.memory");
    else
        mr_error_hint(err, "set resources.tempDir (or TMPDIR) to a directory that can be written");
    return err != NULL ? err->status : MR_SOURCE;
}

enum mr_status mr_spill_file_new(struct mr_runtime *runtime, struct mr_spill_file **out,
                                 struct mr_error *err)
{
    *out = NULL;
    struct mr_spill_file *file = mr_calloc(1, sizeof *file);
    if (file == NULL)
        return mr_error_nomem(err);
    atomic_init(&file->refs, 1);
    mr_bytes_init(&file->packed, (size_t)INT64_MAX);
    mr_bytes_init(&file->stored, (size_t)INT64_MAX);
    file->codec = mr_registry_codec(runtime->registry, "lz4");
    file->fd = mr_open_unnamed(runtime->temp_dir);
    if (file->fd < 0) {
        mr_free(file);
        return failed(err, "make", runtime->temp_dir);
    }
    *out = file;
    return MR_OK;
}

struct mr_spill_file *mr_spill_file_ref(struct mr_spill_file *file)
{
    atomic_fetch_add_explicit(&file->refs, 1, memory_order_relaxed);
    return file;
}

void mr_spill_file_seal(struct mr_spill_file *file)
{
    if (file->scratch != NULL)
        file->codec->free_scratch(file->scratch);
    file->scratch = NULL;
    mr_bytes_reset(&file->packed);
    mr_bytes_reset(&file->stored);
}

void mr_spill_file_align(struct mr_spill_file *file)
{
    file->size = (file->size + BLOCK - 1) / BLOCK * BLOCK;
}

void mr_spill_file_forget(const struct mr_spill_file *file, const struct mr_spill_extent *extent)
{
#ifdef FALLOC_FL_PUNCH_HOLE
    int64_t end = (extent->offset + extent->stored + BLOCK - 1) / BLOCK * BLOCK;
    (void)fallocate(file->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, extent->offset,
                    end - extent->offset);
#endif
}

void mr_spill_file_unref(struct mr_spill_file *file)
{
    if (file == NULL || atomic_fetch_sub_explicit(&file->refs, 1, memory_order_acq_rel) > 1)
        return;
    close(file->fd);
    mr_spill_file_seal(file);
    mr_free(file);
}

static enum mr_status write_all(struct mr_spill_file *file, struct mr_runtime *runtime,
                                const char *data, size_t size, struct mr_error *err)
{
    MR_TRY(MR_FAILPOINT("spill.write", err));
    int64_t at = file->size;
    while (size > 0) {
        ssize_t n = pwrite(file->fd, data, size, at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return failed(err, "write", runtime->temp_dir);
        data += n;
        size -= (size_t)n;
        at += n;
    }
    file->size = at;
    return MR_OK;
}

/* Compresses `packed` into `stored`; false where that does not pay. */
static enum mr_status compress(struct mr_spill_file *file, bool *smaller, struct mr_error *err)
{
    *smaller = false;
    size_t bound = file->codec != NULL ? file->codec->bound(file->packed.size) : 0;
    if (bound == 0)
        return MR_OK;
    mr_bytes_clear(&file->stored);
    char *to = mr_bytes_reserve(&file->stored, bound);
    if (to == NULL)
        return mr_bytes_status(&file->stored, err);
    size_t size;
    MR_TRY(file->codec->compress(file->packed.data, file->packed.size, INT_MIN, to, bound, &size,
                                 &file->scratch, err));
    file->stored.size = size;
    *smaller = size < file->packed.size;
    return MR_OK;
}

enum mr_status mr_spill_file_append(struct mr_spill_file *file, struct mr_runtime *runtime,
                                    const struct mr_batch *batch, struct mr_spill_extent *out,
                                    struct mr_error *err)
{
    bool smaller;
    mr_bytes_clear(&file->packed);
    MR_TRY(mr_batch_pack(batch, &file->packed, err));
    MR_TRY(compress(file, &smaller, err));
    const struct mr_bytes *bytes = smaller ? &file->stored : &file->packed;
    *out = (struct mr_spill_extent){
        .offset = file->size,
        .stored = (int64_t)bytes->size,
        .packed = (int64_t)file->packed.size,
        .checksum = mr_hash64(bytes->data, bytes->size),
    };
    MR_TRY(write_all(file, runtime, bytes->data, bytes->size, err));
    mr_count(runtime, MR_COUNT_SPILL_BYTES, (int64_t)bytes->size);
    return MR_OK;
}

static enum mr_status read_all(const struct mr_spill_file *file, struct mr_runtime *runtime,
                               const struct mr_spill_extent *extent, uint8_t *to,
                               struct mr_error *err)
{
    MR_TRY(MR_FAILPOINT("spill.read", err));
    int64_t at = 0;
    while (at < extent->stored) {
        ssize_t n = pread(file->fd, to + at, (size_t)(extent->stored - at), extent->offset + at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return failed(err, "read", runtime->temp_dir);
        if (n == 0)
            break;
        at += n;
    }
    if (at < extent->stored || mr_hash64(to, (size_t)at) != extent->checksum)
        return mr_error_set(err, MR_SOURCE, MR_CLASS_FATAL,
                            "a temporary file in %s does not hold what was written to it",
                            runtime->temp_dir);
    return MR_OK;
}

static enum mr_status decompress(const struct mr_spill_file *file, struct mr_runtime *runtime,
                                 const struct mr_spill_extent *extent, struct mr_buffer *stored,
                                 struct mr_buffer **out, struct mr_error *err)
{
    MR_TRY(mr_buffer_new(runtime->memory, (size_t)extent->packed, out, err));
    enum mr_status status = file->codec->decompress(stored->data, (size_t)extent->stored,
                                                    (*out)->data, (size_t)extent->packed, err);
    if (status == MR_OK)
        mr_buffer_finish(*out, (size_t)extent->packed);
    return status;
}

enum mr_status mr_spill_file_read(const struct mr_spill_file *file, struct mr_runtime *runtime,
                                  const struct mr_spill_extent *extent,
                                  const struct mr_schema *schema, int64_t rows,
                                  struct mr_batch **out, struct mr_error *err)
{
    struct mr_buffer *stored = NULL, *packed = NULL;
    *out = NULL;
    MR_TRY(mr_buffer_new(runtime->memory, (size_t)extent->stored, &stored, err));
    enum mr_status status = read_all(file, runtime, extent, stored->data, err);
    if (status == MR_OK && extent->stored < extent->packed) {
        status = decompress(file, runtime, extent, stored, &packed, err);
    } else if (status == MR_OK) {
        mr_buffer_finish(stored, (size_t)extent->stored);
        packed = mr_buffer_ref(stored);
    }
    if (status == MR_OK)
        status = mr_batch_unpack(schema, rows, packed, out, err);
    mr_buffer_unref(packed);
    mr_buffer_unref(stored);
    return status;
}

/*
 * avro.c - schemas of files against each other.
 */
#include "api/avro.h"

#include "enc/avro_check.h"

struct schemas {
    struct mr_arena arena;
    const struct mr_avro_document **items;
};

static enum mr_status check(struct schemas *schemas, const char *mode, const char *written,
                            const struct mr_avro_document *writer,
                            const struct mr_avro_document *reader, struct mr_bytes *out,
                            bool *compatible, struct mr_error *err)
{
    const struct mr_avro_difference *found;
    int count;
    MR_TRY(mr_avro_check(&schemas->arena, writer->root, reader->root, &found, &count, err));
    for (int i = 0; i < count; i++)
        mr_bytes_printf(out, "%s (data of %s): %s%s%s\n", mode, written, found[i].path,
                        *found[i].path ? ": " : "", found[i].what);
    if (count == MR_AVRO_MAX_DIFFERENCES)
        mr_bytes_text(out, "more are not listed\n");
    *compatible = *compatible && count == 0;
    return MR_OK;
}

static enum mr_status check_all(struct schemas *schemas, const char *const *files, int nfiles,
                                enum mr_avro_mode mode, bool transitive, struct mr_bytes *out,
                                bool *compatible, struct mr_error *err)
{
    for (int i = 0; i < nfiles; i++) {
        enum mr_status status =
            mr_avro_load(&schemas->arena, files[i], NULL, &schemas->items[i], err);
        if (status != MR_OK) {
            if (err)
                mr_error_prefix(err, "%s", files[i]);
            return status;
        }
    }
    int last = nfiles - 1;
    for (int i = transitive ? 0 : last - 1; i < last; i++) {
        if (mode & MR_AVRO_BACKWARD)
            MR_TRY(check(schemas, "backward", files[i], schemas->items[i], schemas->items[last],
                         out, compatible, err));
        if (mode & MR_AVRO_FORWARD)
            MR_TRY(check(schemas, "forward", files[last], schemas->items[last], schemas->items[i],
                         out, compatible, err));
    }
    return mr_bytes_status(out, err);
}

enum mr_status mr_api_avro_check(const char *const *files, int nfiles, enum mr_avro_mode mode,
                                 bool transitive, struct mr_bytes *out, bool *compatible,
                                 struct mr_error *err)
{
    struct schemas schemas;
    *compatible = true;
    mr_arena_init(&schemas.arena, NULL);
    schemas.items = mr_arena_calloc(&schemas.arena, (size_t)nfiles + 1, sizeof(void *));
    enum mr_status status =
        schemas.items ? check_all(&schemas, files, nfiles, mode, transitive, out, compatible, err)
                      : mr_error_nomem(err);
    mr_arena_reset(&schemas.arena);
    return status;
}

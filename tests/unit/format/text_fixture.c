#include "unit/format/text_fixture.h"

#include "codec/codecs.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

static const struct mr_codec *const codecs[] = {&mr_codec_zstd, &mr_codec_gzip, &mr_codec_lz4,
                                                NULL};
static const struct mr_registry registry = {.codecs = codecs};

static enum mr_status read_one(struct mr_byte_source *source, int64_t offset, void *out,
                               size_t size, struct mr_error *err)
{
    struct text_file *file = (struct text_file *)(void *)source;
    if (offset < 0 || (int64_t)size > source->size - offset)
        return mr_error_data(err, MR_SOURCE, "behind the end");
    if (size > 0)
        memcpy(out, file->data + offset, size);
    return MR_OK;
}

static enum mr_status read_many(struct mr_byte_source *source, const struct mr_byte_read *reads,
                                int nreads, struct mr_error *err)
{
    for (int i = 0; i < nreads; i++)
        MR_TRY(read_one(source, reads[i].offset, reads[i].out, reads[i].size, err));
    return MR_OK;
}

static void note_bad(void *context, const struct mr_bad_row *row)
{
    struct text_fixture *f = context;
    mr_bytes_printf(&f->bad, "%lld:%lld:%s:%s|", (long long)row->position, (long long)row->offset,
                    row->column ? row->column : "-", row->reason);
    mr_bytes_append(&f->bad, row->record.data, row->record.size);
    mr_bytes_char(&f->bad, '\n');
}

void text_init(struct text_fixture *f, const struct mr_format *format, const char *const *options,
               int64_t memory)
{
    *f = (struct text_fixture){.rows = 0};
    mr_arena_init(&f->arena, NULL);
    mr_memory_init(&f->memory, NULL, "test", memory > 0 ? memory : INT64_MAX);
    f->runtime =
        (struct mr_runtime){.memory = &f->memory, .registry = &registry, .counters = &f->counters};
    f->read = (struct mr_format_read){.source = &f->file.source,
                                      .bad = note_bad,
                                      .bad_context = f,
                                      .runtime = &f->runtime};
    f->file.source =
        (struct mr_byte_source){.name = "file", .read = read_one, .read_many = read_many};
    mr_bytes_init(&f->out, (size_t)1 << 30);
    mr_bytes_init(&f->bad, (size_t)1 << 30);
    if (options && mr_options_from_texts(&f->arena, format->options, options, &f->read.options,
                                         &f->err) != MR_OK) {
        fprintf(stderr, "%s\n", f->err.message);
        abort();
    }
}

void text_clear(struct text_fixture *f)
{
    mr_bytes_clear(&f->out);
    mr_bytes_clear(&f->bad);
    mr_bytes_append(&f->out, "", 0);
    mr_bytes_append(&f->bad, "", 0);
    f->rows = 0;
}

void text_reset(struct text_fixture *f)
{
    mr_bytes_reset(&f->out);
    mr_bytes_reset(&f->bad);
    mr_arena_reset(&f->arena);
    if (mr_memory_used(&f->memory) != 0) {
        fprintf(stderr, "%lld bytes are still charged\n", (long long)mr_memory_used(&f->memory));
        abort();
    }
}

void text_file(struct text_fixture *f, const char *data, size_t size, const char *schema)
{
    f->file.data = data;
    f->file.source.size = (int64_t)size;
    f->read.schema = NULL;
    if (schema && mr_schema_parse(&f->arena, schema, &f->read.schema, &f->err) != MR_OK) {
        fprintf(stderr, "%s\n", f->err.message);
        abort();
    }
    text_clear(f);
}

static enum mr_status show(struct text_fixture *f, struct mr_batch *batch)
{
    struct mr_json_rows *rows;
    enum mr_status status = MR_OK;
    for (int i = 0; i < batch->schema->nfields && status == MR_OK; i++)
        status = mr_column_check(batch->columns[i], &f->err);
    if (status == MR_OK)
        status = mr_json_rows_new(batch->schema, &rows, &f->err);
    if (status != MR_OK)
        return status;
    mr_json_rows_encode(rows, batch, 0, batch->rows, &f->out);
    mr_json_rows_free(rows);
    f->rows += batch->rows;
    return mr_bytes_status(&f->out, &f->err);
}

enum mr_status text_read(struct text_fixture *f, const struct mr_format *format, int64_t offset,
                         int64_t size)
{
    struct mr_file_range range = {offset, size};
    struct mr_batch *batch;
    struct mr_file_info info;
    void *reader = NULL;
    enum mr_status status = MR_OK;
    if (!f->read.schema) {
        status = format->probe(&f->read, &f->arena, &info, &f->err);
        f->read.schema = status == MR_OK ? info.schema : NULL;
    }
    if (status == MR_OK)
        status = format->read_open(&f->read, &range, &reader, &f->err);
    while (status == MR_OK) {
        status = format->read_next(reader, &batch, &f->err);
        if (status != MR_OK || !batch)
            break;
        status = show(f, batch);
        mr_batch_unref(batch);
    }
    if (reader)
        format->read_close(reader);
    return status;
}

const char *text_probe(struct text_fixture *f, const struct mr_format *format,
                       struct mr_file_info *info)
{
    struct mr_bytes text;
    if (format->probe(&f->read, &f->arena, info, &f->err) != MR_OK)
        return NULL;
    mr_bytes_init(&text, MR_BYTES_DEFAULT_MAXIMUM);
    mr_bytes_text(&text, "");
    mr_schema_format(info->schema, &text);
    const char *out = mr_arena_strdup(&f->arena, text.data ? text.data : "");
    mr_bytes_reset(&text);
    return out;
}

/*
 * avro_make.c - copies an Avro file into a file of any format, by the engine's own reader and writer, for readers in Python.
 *
 *     avro_make IN.avro OUT FORMAT [KEY VALUE ..]
 *
 * Keys: compression, level, block (bytes of a block), range (bytes a range: read piece by piece), reader (schema in reading),
 * writer (schema in writing), columns (a Spark schema), positions (1: a last column of row positions), batch (rows).
 * Prints the number of rows, and the schema of the columns. Errors are status and message on standard error.
 */
#include "base/bytes.h"
#include "col/batch.h"
#include "contract/fixture.h"
#include "contract/registered.h"
#include "ext/format.h"
#include "format/avro.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

struct file_sink {
    struct mr_byte_sink base;
    FILE *file;
};

static enum mr_status append(struct mr_byte_sink *base, const void *data, size_t size,
                             struct mr_error *err)
{
    FILE *file = ((struct file_sink *)(void *)base)->file;
    if (fwrite(data, 1, size, file) != size)
        return mr_error_set(err, MR_SINK, MR_CLASS_FATAL, "write");
    return MR_OK;
}

struct memory_source {
    struct mr_byte_source base;
    const char *data;
};

static enum mr_status read_bytes(struct mr_byte_source *base, int64_t offset, void *out,
                                 size_t size, struct mr_error *err)
{
    struct memory_source *source = (struct memory_source *)(void *)base;
    if (offset < 0 || (int64_t)size > base->size - offset)
        return mr_error_data(err, MR_SOURCE, "read past the end");
    memcpy(out, source->data + offset, size);
    return MR_OK;
}

static const char *key(int argc, char **argv, const char *name)
{
    for (int i = 4; i + 1 < argc; i += 2)
        if (strcmp(argv[i], name) == 0)
            return argv[i + 1];
    return NULL;
}

static int64_t number(int argc, char **argv, const char *name, int64_t fallback)
{
    const char *text = key(argc, argv, name);
    return text ? atoll(text) : fallback;
}

static const struct mr_options *options_of(struct fixture *f, const char *schema)
{
    const char *pairs[] = {"avroSchema", schema, NULL};
    const struct mr_options *out = NULL;
    if (schema)
        FIXTURE_OK(f,
                   mr_options_from_texts(&f->arena, mr_format_avro.options, pairs, &out, &f->err));
    return out;
}

static enum mr_status copy(const struct mr_format_read *read, int64_t range_bytes,
                           const struct mr_format *format, void *writer, int64_t *rows,
                           struct mr_error *err)
{
    int64_t step = range_bytes ? range_bytes : read->source->size + 1;
    for (int64_t from = 0; from < read->source->size || from == 0; from += step) {
        struct mr_file_range range = {from, step};
        void *reader;
        MR_TRY(mr_format_avro.read_open(read, &range, &reader, err));
        struct mr_batch *batch = NULL;
        enum mr_status status;
        while ((status = mr_format_avro.read_next(reader, &batch, err)) == MR_OK && batch) {
            for (int i = 0; status == MR_OK && i < batch->schema->nfields; i++)
                status = mr_column_check(batch->columns[i], err);
            *rows += batch->rows;
            if (status == MR_OK)
                status = format->write(writer, batch, err);
            mr_batch_unref(batch);
            if (status != MR_OK)
                break;
        }
        mr_format_avro.read_close(reader);
        MR_TRY(status);
    }
    return MR_OK;
}

static const struct mr_schema *with_positions(struct fixture *f, const struct mr_schema *schema)
{
    struct mr_field fields[200];
    if (schema->nfields > 0)
        memcpy(fields, schema->fields, (size_t)schema->nfields * sizeof *fields);
    fields[schema->nfields] =
        (struct mr_field){.name = "row position", .type = mr_type_of(MR_TYPE_INT64)};
    return mr_schema_new(&f->arena, fields, schema->nfields + 1);
}

static enum mr_status run(struct fixture *f, int argc, char **argv, struct mr_error *err)
{
    struct memory_source source = {.base = {.name = argv[1], .read = read_bytes}};
    size_t size = 0;
    source.data = fixture_read(f, argv[1], &size);
    source.base.size = (int64_t)size;
    const char *columns = key(argc, argv, "columns");
    f->runtime.batch_rows = number(argc, argv, "batch", 0);
    struct mr_format_read read = {.source = &source.base,
                                  .options = options_of(f, key(argc, argv, "reader")),
                                  .schema = columns ? fixture_schema(f, columns) : NULL,
                                  .row_positions = key(argc, argv, "positions") != NULL,
                                  .runtime = &f->runtime};
    struct mr_file_info info;
    MR_TRY(mr_format_avro.probe(&read, &f->arena, &info, err));
    struct mr_bytes text;
    mr_bytes_init(&text, 1 << 20);
    mr_schema_format(info.schema, &text);
    read.schema = info.schema;
    if (read.row_positions)
        info.schema = with_positions(f, info.schema);
    struct mr_format_write write = {.schema = info.schema,
                                    .compression = key(argc, argv, "compression"),
                                    .level = (int)number(argc, argv, "level", INT_MIN),
                                    .row_group_bytes = number(argc, argv, "block", 0),
                                    .options = options_of(f, key(argc, argv, "writer")),
                                    .runtime = &f->runtime};
    const struct mr_format *format = mr_registry_format(&f->registry, argv[3]);
    struct file_sink sink = {{append}, fopen(argv[2], "wb")};
    void *writer = NULL;
    int64_t rows = 0;
    struct mr_file_statistics statistics;
    enum mr_status status = format->write_open(&write, &sink.base, &writer, err);
    if (status == MR_OK)
        status = copy(&read, number(argc, argv, "range", 0), format, writer, &rows, err);
    if (status == MR_OK)
        status = format->write_finish(writer, &statistics, err);
    if (writer)
        format->write_close(writer);
    fclose(sink.file);
    if (status == MR_OK)
        printf("%lld\n%s\n", (long long)rows, text.data);
    mr_bytes_reset(&text);
    return status;
}

int main(int argc, char **argv)
{
    struct fixture f;
    struct mr_error err = {0};
    if (argc < 4)
        return 2;
    fixture_init(&f, (int64_t)512 << 20);
    f.registry = *contract_registry();
    enum mr_status status = run(&f, argc, argv, &err);
    if (status != MR_OK)
        fprintf(stderr, "%s: %s (%s)\n", mr_status_name(status), err.message, err.where);
    int leaked = fixture_reset(&f);
    return status == MR_OK ? leaked : 1;
}

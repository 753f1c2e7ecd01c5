/*
 * text_read.c - a CSV or JSON file as the reader of the format sees it, for tests and measurements.
 *
 *     text_read [--schema S] [--on-error fail|null|drop] [--option NAME=TEXT].. [--cut BYTES] [--time] [--parquet FILE]
 *               [--codec NAME] csv|json FILE
 *     text_read --value FILE        (the file as one JSON value)
 *
 * Prints the schema, then a JSON object a row; bad rows go to stderr. --cut reads ranges of so many bytes one after the
 * other. --time prints rows, CPU seconds and the peak of memory instead of rows; --parquet writes the rows to a file.
 */
#include "base/time.h"
#include "codec/codecs.h"
#include "enc/json_decode.h"
#include "enc/json_text.h"
#include "ext/registry.h"
#include "format/parquet/parquet.h"
#include "format/text.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct mr_codec *const codecs[] = {&mr_codec_snappy, &mr_codec_zstd, &mr_codec_gzip,
                                                &mr_codec_lz4, NULL};
static const struct mr_registry registry = {.codecs = codecs};

struct file {
    struct mr_byte_source source;
    int descriptor;
};

struct sink {
    struct mr_byte_sink base;
    FILE *file;
};

struct job {
    struct mr_error err;
    struct mr_arena arena;
    struct mr_memory memory;
    struct mr_counters counters;
    struct mr_runtime runtime;
    struct file file;
    struct sink sink;
    struct mr_format_read read;
    const struct mr_format *format;
    const char *options[32];
    int noptions;
    int64_t cut, rows, bad;
    bool time;
    const char *parquet, *codec;
    void *writer;
};

static void check(const struct job *job, enum mr_status status)
{
    if (status == MR_OK)
        return;
    fprintf(stderr, "error: %s: %s\n", job->err.where, job->err.message);
    exit(1);
}

static enum mr_status read_one(struct mr_byte_source *source, int64_t offset, void *out,
                               size_t size, struct mr_error *err)
{
    struct file *file = (struct file *)(void *)source;
    while (size > 0) {
        ssize_t got = pread(file->descriptor, out, size, offset);
        if (got <= 0)
            return mr_error_data(err, MR_SOURCE, "read");
        out = (char *)out + got;
        offset += got;
        size -= (size_t)got;
    }
    return MR_OK;
}

static enum mr_status read_many(struct mr_byte_source *source, const struct mr_byte_read *reads,
                                int nreads, struct mr_error *err)
{
    for (int i = 0; i < nreads; i++)
        MR_TRY(read_one(source, reads[i].offset, reads[i].out, reads[i].size, err));
    return MR_OK;
}

static enum mr_status append(struct mr_byte_sink *base, const void *data, size_t size,
                             struct mr_error *err)
{
    if (fwrite(data, 1, size, ((struct sink *)(void *)base)->file) != size)
        return mr_error_set(err, MR_SINK, MR_CLASS_FATAL, "write");
    return MR_OK;
}

static void note_bad(void *context, const struct mr_bad_row *row)
{
    ((struct job *)context)->bad++;
    fprintf(stderr, "bad: %lld: %s: %s\n", (long long)row->position,
            row->column ? row->column : "-", row->reason);
}

static void open_file(struct job *job, const char *path)
{
    struct stat stat;
    job->file.descriptor = open(path, O_RDONLY);
    if (job->file.descriptor < 0 || fstat(job->file.descriptor, &stat) != 0) {
        perror(path);
        exit(1);
    }
    job->file.source = (struct mr_byte_source){stat.st_size, path, read_one, read_many};
}

static void take(struct job *job, struct mr_batch *batch)
{
    struct mr_json_rows *rows;
    job->rows += batch->rows;
    if (job->writer)
        check(job, mr_format_parquet.write(job->writer, batch, &job->err));
    if (job->time)
        return;
    struct mr_bytes text;
    mr_bytes_init(&text, (size_t)1 << 31);
    check(job, mr_json_rows_new(batch->schema, &rows, &job->err));
    mr_json_rows_encode(rows, batch, 0, batch->rows, &text);
    check(job, mr_bytes_status(&text, &job->err));
    fwrite(text.data, 1, text.size, stdout);
    mr_json_rows_free(rows);
    mr_bytes_reset(&text);
}

static void read_range(struct job *job, int64_t offset, int64_t size)
{
    struct mr_file_range range = {offset, size};
    struct mr_batch *batch;
    void *reader;
    check(job, job->format->read_open(&job->read, &range, &reader, &job->err));
    for (;;) {
        check(job, job->format->read_next(reader, &batch, &job->err));
        if (!batch)
            break;
        take(job, batch);
        mr_batch_unref(batch);
    }
    job->format->read_close(reader);
}

static void open_parquet(struct job *job)
{
    struct mr_format_write write = {.schema = job->read.schema,
                                    .compression = job->codec,
                                    .level = INT_MIN,
                                    .runtime = &job->runtime};
    job->sink = (struct sink){{append}, fopen(job->parquet, "wb")};
    if (!job->sink.file) {
        perror(job->parquet);
        exit(1);
    }
    check(job, mr_format_parquet.write_open(&write, &job->sink.base, &job->writer, &job->err));
}

static void run(struct job *job)
{
    struct mr_file_info info;
    int64_t began = mr_clock_thread_cpu_nanos();
    if (job->format->options)
        check(job, mr_options_from_texts(&job->arena, job->format->options, job->options,
                                         &job->read.options, &job->err));
    check(job, job->format->probe(&job->read, &job->arena, &info, &job->err));
    job->read.schema = info.schema;
    if (!job->time) {
        struct mr_bytes text;
        mr_bytes_init(&text, MR_BYTES_DEFAULT_MAXIMUM);
        mr_schema_format(info.schema, &text);
        printf("%s\n", text.size ? text.data : "");
        mr_bytes_reset(&text);
    }
    if (job->parquet)
        open_parquet(job);
    for (int64_t at = 0; at == 0 || at < job->file.source.size; at += job->cut) {
        read_range(job, at, job->cut);
        if (job->cut == INT64_MAX)
            break;
    }
    if (job->writer) {
        struct mr_file_statistics statistics;
        check(job, mr_format_parquet.write_finish(job->writer, &statistics, &job->err));
        mr_format_parquet.write_close(job->writer);
        fclose(job->sink.file);
    }
    if (!job->time)
        return;
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    printf("{\"rows\": %lld, \"bad\": %lld, \"cpu\": %.4f, \"bytes\": %lld, \"peak\": %lld, "
           "\"rss\": %lld}\n",
           (long long)job->rows, (long long)job->bad,
           (double)(mr_clock_thread_cpu_nanos() - began) / 1e9, (long long)job->file.source.size,
           (long long)mr_memory_peak(&job->memory), (long long)usage.ru_maxrss * 1024);
}

/* Any JSON text, by way of a column of type JSON. */
static int value(struct job *job)
{
    struct mr_field field = {.name = "v", .type = mr_type_of(MR_TYPE_JSON), .nullable = true};
    const struct mr_schema *schema = mr_schema_new(&job->arena, &field, 1);
    struct mr_json_decoder *decoder;
    struct mr_builder builder;
    struct mr_row_fault fault = {.found = false};
    struct mr_column *column;
    bool done;
    size_t size = (size_t)job->file.source.size;
    char *text = malloc(size + 64);
    check(job, read_one(&job->file.source, 0, text, size, &job->err));
    check(job, mr_json_decoder_new(schema, NULL, &job->memory, &decoder, &job->err));
    check(job, mr_builder_init(&builder, &job->memory, field.type, &job->err));
    check(job, mr_json_decode_value(decoder, (struct mr_slice){text, size}, false, &builder, &done,
                                    &fault, &job->err));
    if (done) {
        struct mr_bytes out;
        mr_bytes_init(&out, (size_t)1 << 30);
        check(job, mr_builder_finish(&builder, &column, &job->err));
        mr_json_value(column, 0, &out);
        fwrite(out.data, 1, out.size, stdout);
        mr_bytes_reset(&out);
        mr_column_unref(column);
    } else {
        fprintf(stderr, "bad: %s\n", fault.reason);
    }
    mr_builder_reset(&builder);
    mr_json_decoder_free(decoder);
    free(text);
    return done ? 0 : 2;
}

static enum mr_on_error on_error(const char *text)
{
    return strcmp(text, "null") == 0   ? MR_ON_ERROR_NULL
           : strcmp(text, "drop") == 0 ? MR_ON_ERROR_DROP
                                       : MR_ON_ERROR_FAIL;
}

/* One option of the command line and its argument. */
static void set(struct job *job, const char *name, char *text)
{
    char *equals = strchr(text, '=');
    if (strcmp(name, "--schema") == 0) {
        check(job, mr_schema_parse(&job->arena, text, &job->read.schema, &job->err));
    } else if (strcmp(name, "--on-error") == 0) {
        job->read.on_error = on_error(text);
    } else if (strcmp(name, "--cut") == 0) {
        job->cut = atoll(text);
    } else if (strcmp(name, "--parquet") == 0) {
        job->parquet = text;
    } else if (strcmp(name, "--codec") == 0) {
        job->codec = text;
    } else if (strcmp(name, "--option") == 0 && equals && job->noptions < 30) {
        *equals = '\0';
        job->options[job->noptions++] = text;
        job->options[job->noptions++] = equals + 1;
    } else {
        fprintf(stderr, "what is %s?\n", name);
        exit(1);
    }
}

int main(int argc, char **argv)
{
    static struct job job = {.cut = INT64_MAX, .codec = "snappy"};
    bool single = false;
    int at = 1;
    mr_arena_init(&job.arena, NULL);
    mr_memory_init(&job.memory, NULL, "text_read", INT64_MAX);
    job.runtime = (struct mr_runtime){.memory = &job.memory,
                                      .registry = &registry,
                                      .counters = &job.counters};
    job.read = (struct mr_format_read){.source = &job.file.source,
                                       .bad = note_bad,
                                       .bad_context = &job,
                                       .runtime = &job.runtime};
    for (; at < argc && strncmp(argv[at], "--", 2) == 0; at++) {
        if (strcmp(argv[at], "--time") == 0)
            job.time = true;
        else if (strcmp(argv[at], "--value") == 0)
            single = true;
        else if (at + 1 < argc)
            set(&job, argv[at], argv[at + 1]), at++;
    }
    if (argc - at != (single ? 1 : 2)) {
        fprintf(stderr, "text_read [options] csv|json FILE, or text_read --value FILE\n");
        return 1;
    }
    open_file(&job, argv[argc - 1]);
    int code = 0;
    if (single) {
        code = value(&job);
    } else {
        job.format = strcmp(argv[at], "csv") == 0 ? &mr_format_csv : &mr_format_json;
        run(&job);
    }
    close(job.file.descriptor);
    mr_arena_reset(&job.arena);
    return code;
}

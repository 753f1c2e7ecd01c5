/*
 * postgres_write.c - reads a table or query through fromPostgres and loads it through the COPY encoder, for test_postgres_write.py.
 *
 *   postgres_write [--into] [--parquet] [--repeat N] [--dump FILE] HOST PORT DATABASE QUERY TARGET [option=value]...
 *
 * Makes the table TARGET of the types that the encoder proposes and loads it; --into matches the columns of a table that
 * exists. --parquet: QUERY is a Parquet file instead. --repeat sends the rows N times; --dump writes what is sent to a file as well. Prints type, rows, time, error and usable
 * lines; fields are separated by tabs. A failed load is rolled back on the same connection.
 */
#include "base/time.h"
#include "codec/codecs.h"
#include "connect/postgres/catalog.h"
#include "connect/postgres/copy_encode.h"
#include "connect/postgres/postgres.h"
#include "ext/registry.h"
#include "format/parquet/parquet.h"
#include "net/pg_text.h"

#include <stdio.h>
#include <stdlib.h>

struct arguments {
    bool into;
    bool parquet;
    int repeat;
    const char *dump;
    const char *fixed[5]; /* host, port, database, query, target */
    int nfixed;
    const char *pairs[64];
    int npairs;
};

struct load {
    const struct arguments *arguments;
    struct mr_arena arena;
    struct mr_pg *pg;
    struct mr_batch *batches[4096];
    int nbatches;
    struct mr_copy_target *targets;
    const struct mr_schema *schema;
    int encodings[3];
    void *reader; /* of a Parquet file */
    FILE *dump;
};

static void parse(struct arguments *out, int argc, char **argv)
{
    out->repeat = 1;
    for (int i = 1; i < argc; i++) {
        char *equals = strchr(argv[i], '=');
        if (strcmp(argv[i], "--into") == 0) {
            out->into = true;
        } else if (strcmp(argv[i], "--parquet") == 0) {
            out->parquet = true;
        } else if (strcmp(argv[i], "--repeat") == 0 && i + 1 < argc) {
            out->repeat = atoi(argv[++i]);
        } else if (strcmp(argv[i], "--dump") == 0 && i + 1 < argc) {
            out->dump = argv[++i];
        } else if (out->nfixed < 5) {
            out->fixed[out->nfixed++] = argv[i];
        } else if (equals && out->npairs < 40) {
            *equals = '\0';
            out->pairs[out->npairs++] = argv[i];
            out->pairs[out->npairs++] = equals + 1;
        }
    }
    const char *names[] = {"host", "port", "database", "query"};
    for (int i = 0; i < 4; i++) {
        out->pairs[out->npairs++] = names[i];
        out->pairs[out->npairs++] = out->fixed[i];
    }
    out->pairs[out->npairs++] = "username";
    out->pairs[out->npairs++] = "postgres";
}

static void keep(struct load *load, struct mr_batch *batch)
{
    if (load->nbatches == 4096)
        abort();
    load->batches[load->nbatches++] = batch;
}

static enum mr_status read_splits(struct load *load, struct mr_runtime *runtime, void *state,
                                  struct mr_error *err)
{
    const struct mr_source *source = &mr_source_postgres;
    struct mr_split_list splits = {0};
    MR_TRY(source->splits(state, runtime, &load->arena, &splits, err));
    for (int i = 0; i < splits.count; i++) {
        void *reader = NULL;
        MR_TRY(source->reader_open(state, runtime, splits.items[i].token, (struct mr_slice){0},
                                   &reader, err));
        enum mr_status status;
        for (;;) {
            struct mr_item item;
            status = source->next(reader, &item, err);
            if (status != MR_OK || item.kind == MR_ITEM_END)
                break;
            keep(load, item.batch);
        }
        source->reader_close(reader);
        MR_TRY(status);
    }
    return MR_OK;
}

/* Types of the columns of a table that exists, those of domains resolved. */
static enum mr_status match(struct load *load, struct mr_error *err)
{
    const char *params[] = {load->arguments->fixed[4]};
    PGresult *result;
    MR_TRY(mr_pg_query(
        load->pg,
        "WITH RECURSIVE c AS (SELECT attnum, atttypid AS t, atttypmod AS m FROM pg_attribute WHERE "
        "attrelid = $1::regclass AND attnum > 0 UNION ALL SELECT attnum, typbasetype, typtypmod "
        "FROM c JOIN pg_type ON pg_type.oid = t WHERE typtype = 'd') "
        "SELECT t, m, format_type(t, m), typtype = 'e' OR typname = 'citext' FROM c JOIN pg_type "
        "ON pg_type.oid = t WHERE typtype <> 'd' ORDER BY attnum",
        1, params, &result, err));
    enum mr_status status = MR_OK;
    for (int i = 0; status == MR_OK && i < load->schema->nfields; i++) {
        struct mr_copy_target *target = &load->targets[i];
        target->type = (uint32_t)strtoul(PQgetvalue(result, i, 0), NULL, 10);
        target->typmod = atoi(PQgetvalue(result, i, 1));
        target->sql_type = mr_arena_strdup(&load->arena, PQgetvalue(result, i, 2));
        target->form = PQgetvalue(result, i, 3)[0] == 't' ? MR_FORM_TEXT : MR_FORM_CAST;
        status = mr_copy_target_match(&load->schema->fields[i], &load->arena, target, err);
    }
    PQclear(result);
    return status;
}

static enum mr_status make(struct load *load, struct mr_error *err)
{
    struct mr_bytes sql;
    mr_bytes_init(&sql, 1 << 20);
    mr_bytes_printf(&sql, "CREATE TABLE %s (", load->arguments->fixed[4]);
    enum mr_status status = MR_OK;
    for (int i = 0; status == MR_OK && i < load->schema->nfields; i++) {
        status = mr_copy_target_new(&load->schema->fields[i], &load->arena, &load->targets[i], err);
        if (status != MR_OK)
            break;
        mr_bytes_text(&sql, i ? ", " : "");
        mr_pg_identifier(&sql, load->schema->fields[i].name);
        mr_bytes_printf(&sql, " %s", load->targets[i].sql_type);
    }
    mr_bytes_text(&sql, ")");
    if (status == MR_OK)
        status = mr_pg_exec(load->pg, sql.data, err);
    mr_bytes_reset(&sql);
    return status;
}

/* Columns without a form go through a staging table of texts. */
static bool staged(const struct load *load, struct mr_bytes *columns, struct mr_bytes *casts)
{
    bool found = false;
    for (int i = 0; i < load->schema->nfields; i++) {
        const struct mr_copy_target *target = &load->targets[i];
        bool cast = target->form == MR_FORM_CAST;
        found = found || cast;
        mr_bytes_printf(columns, "%sc%d %s", i ? ", " : "", i,
                        !cast             ? target->sql_type
                        : target->element ? "text[]"
                                          : "text");
        mr_bytes_printf(casts, "%sc%d::%s", i ? ", " : "", i, target->sql_type);
    }
    return found;
}

static enum mr_status send_rows(struct load *load, int64_t *rows, struct mr_error *err)
{
    struct mr_copy_encoder encoder;
    mr_copy_encoder_init(&encoder, load->targets, load->schema->nfields, "table target");
    struct mr_bytes out;
    mr_bytes_init(&out, (size_t)1 << 30);
    mr_copy_encode_header(&out);
    enum mr_status status = MR_OK;
    for (int n = 0; n < load->arguments->repeat; n++) {
        for (int i = 0; status == MR_OK && i < load->nbatches; i++) {
            struct mr_batch *batch = load->batches[i];
            for (int64_t at = 0; status == MR_OK && at < batch->rows; at += 10000) {
                int64_t count = batch->rows - at < 10000 ? batch->rows - at : 10000;
                status = mr_copy_encode_rows(&encoder, batch, at, count, &out, err);
                if (status == MR_OK && load->dump)
                    fwrite(out.data, 1, out.size, load->dump);
                if (status == MR_OK)
                    status = mr_pg_copy_put(load->pg, out.data, out.size, err);
                mr_bytes_clear(&out);
            }
        }
    }
    mr_copy_encode_trailer(&out);
    if (load->dump)
        fwrite(out.data, 1, out.size, load->dump);
    if (status == MR_OK)
        status = mr_pg_copy_put(load->pg, out.data, out.size, err);
    if (status == MR_OK)
        status = mr_pg_copy_end(load->pg, rows, err);
    mr_bytes_reset(&out);
    printf("sent\t%lld\n", (long long)encoder.rows);
    return status;
}

static enum mr_status copy(struct load *load, int64_t *rows, struct mr_error *err)
{
    struct mr_bytes columns;
    struct mr_bytes casts;
    mr_bytes_init(&columns, 1 << 20);
    mr_bytes_init(&casts, 1 << 20);
    const char *target = load->arguments->fixed[4];
    bool stage = staged(load, &columns, &casts);
    char sql[4000];
    enum mr_status status = mr_pg_exec(load->pg, "BEGIN", err);
    snprintf(sql, sizeof sql, "CREATE TEMP TABLE staging (%s)", columns.data);
    if (status == MR_OK && stage)
        status = mr_pg_exec(load->pg, sql, err);
    snprintf(sql, sizeof sql, "COPY %s FROM STDIN BINARY", stage ? "staging" : target);
    int64_t began = mr_clock_monotonic_micros();
    int64_t cpu = mr_clock_process_cpu_nanos();
    if (status == MR_OK)
        status = mr_pg_copy_in(load->pg, sql, err);
    if (status == MR_OK)
        status = send_rows(load, rows, err);
    printf("time\t%lld\t%lld\n", (long long)(mr_clock_monotonic_micros() - began),
           (long long)(mr_clock_process_cpu_nanos() - cpu) / 1000);
    snprintf(sql, sizeof sql, "INSERT INTO %s SELECT %s FROM staging", target, casts.data);
    if (status == MR_OK && stage)
        status = mr_pg_exec(load->pg, sql, err);
    if (status == MR_OK)
        status = mr_pg_exec(load->pg, "COMMIT", err);
    mr_bytes_reset(&columns);
    mr_bytes_reset(&casts);
    return status;
}

static enum mr_status read_table(struct load *load, struct mr_runtime *runtime,
                                 struct mr_error *err)
{
    const struct mr_options *options;
    MR_TRY(mr_options_from_texts(&load->arena, mr_source_postgres.options, load->arguments->pairs,
                                 &options, err));
    struct mr_source_bind bind = {.options = options, .runtime = runtime, .arena = &load->arena};
    struct mr_source_info info;
    void *state = NULL;
    MR_TRY(mr_source_postgres.bind(&bind, &state, &info, err));
    load->schema = info.schema;
    enum mr_status status = read_splits(load, runtime, state, err);
    mr_source_postgres.close(state);
    return status;
}

struct file_source {
    struct mr_byte_source base;
    FILE *file;
};

static enum mr_status read_file(struct mr_byte_source *base, int64_t offset, void *out, size_t size,
                                struct mr_error *err)
{
    struct file_source *source = (struct file_source *)(void *)base;
    if (fseek(source->file, (long)offset, SEEK_SET) != 0 ||
        fread(out, 1, size, source->file) != size)
        return mr_error_data(err, MR_SOURCE, "%s: cut", base->name);
    return MR_OK;
}

static enum mr_status read_many(struct mr_byte_source *base, const struct mr_byte_read *reads,
                                int nreads, struct mr_error *err)
{
    for (int i = 0; i < nreads; i++)
        MR_TRY(read_file(base, reads[i].offset, reads[i].out, reads[i].size, err));
    return MR_OK;
}

static enum mr_status read_parquet(struct load *load, struct mr_runtime *runtime,
                                   struct mr_error *err)
{
    const char *path = load->arguments->fixed[3];
    struct file_source source = {
        .base = {.name = path, .read = read_file, .read_many = read_many},
        .file = fopen(path, "rb"),
    };
    if (source.file == NULL)
        return mr_error_data(err, MR_SOURCE, "%s: cannot be opened", path);
    fseek(source.file, 0, SEEK_END);
    source.base.size = ftell(source.file);
    struct mr_format_read read = {.source = &source.base, .runtime = runtime};
    static const char *const none[] = {NULL};
    static const struct mr_file_range all = {0, INT64_MAX};
    struct mr_file_info info;
    void *reader = NULL;
    enum mr_status status =
        mr_options_from_texts(&load->arena, mr_format_parquet.options, none, &read.options, err);
    if (status == MR_OK)
        status = mr_format_parquet.probe(&read, &load->arena, &info, err);
    if (status == MR_OK)
        status = mr_format_parquet.read_open(&read, &all, &reader, err);
    while (status == MR_OK) {
        struct mr_batch *batch = NULL;
        load->schema = info.schema;
        status = mr_format_parquet.read_next(reader, &batch, err);
        if (status != MR_OK || batch == NULL)
            break;
        for (int i = 0; i < info.schema->nfields; i++)
            load->encodings[batch->columns[i]->encoding]++;
        keep(load, batch);
    }
    load->reader = reader; /* batches die before it */
    fclose(source.file);
    printf("encodings\t%d\t%d\t%d\n", load->encodings[MR_FLAT], load->encodings[MR_CONSTANT],
           load->encodings[MR_DICTIONARY]);
    return status;
}

static enum mr_status run(struct load *load, struct mr_runtime *runtime, struct mr_error *err)
{
    MR_TRY(load->arguments->parquet ? read_parquet(load, runtime, err)
                                    : read_table(load, runtime, err));
    load->targets =
        mr_arena_calloc(&load->arena, (size_t)load->schema->nfields + 1, sizeof *load->targets);
    for (int i = 0; i < load->schema->nfields; i++)
        load->targets[i].name = load->schema->fields[i].name;
    enum mr_status status;
    const char *keywords[] = {"host", "port", "dbname", "user", "client_encoding", NULL};
    const char *values[] = {load->arguments->fixed[0],
                            load->arguments->fixed[1],
                            load->arguments->fixed[2],
                            "postgres",
                            "UTF8",
                            NULL};
    struct mr_pg_config config = {.keywords = keywords, .values = values, .location = "test"};
    MR_TRY(mr_pg_open(&config, runtime->waiter, MR_WAIT_SINK, &load->pg, err));
    MR_TRY(load->arguments->into ? match(load, err) : make(load, err));
    for (int i = 0; i < load->schema->nfields; i++)
        printf("type\t%s\t%s\t%d\n", load->targets[i].name, load->targets[i].sql_type,
               load->targets[i].form == MR_FORM_CAST);
    int64_t rows = 0;
    status = copy(load, &rows, err);
    if (status == MR_OK)
        printf("rows\t%lld\n", (long long)rows);
    else if (mr_pg_exec(load->pg, "ROLLBACK", NULL) == MR_OK)
        printf("usable\t%d\n", mr_pg_usable(load->pg));
    return status;
}

int main(int argc, char **argv)
{
    struct arguments arguments = {0};
    parse(&arguments, argc, argv);
    static struct load load;
    load.arguments = &arguments;
    load.dump = arguments.dump ? fopen(arguments.dump, "wb") : NULL;
    struct mr_memory memory;
    mr_memory_init(&memory, NULL, "test", INT64_MAX);
    static struct mr_counters counters;
    struct mr_waiter waiter = mr_waiter_plain();
    mr_arena_init(&load.arena, NULL);
    static const struct mr_codec *const codecs[] = {&mr_codec_snappy, &mr_codec_none, NULL};
    struct mr_registry registry = {.codecs = codecs};
    struct mr_runtime runtime = {.registry = &registry,
                                 .waiter = &waiter,
                                 .memory = &memory,
                                 .counters = &counters,
                                 .parallelism = 1,
                                 .time_zone = "UTC",
                                 .shared = mr_shared_new()};
    struct mr_error err = {0};
    enum mr_status status = run(&load, &runtime, &err);
    if (status != MR_OK)
        printf("error\t%s\t%s\t%s\t%s\n", mr_status_name(err.status), mr_error_class_name(err.cls),
               err.message, err.hint);
    mr_pg_close(load.pg);
    for (int i = 0; i < load.nbatches; i++)
        mr_batch_unref(load.batches[i]);
    if (load.reader)
        mr_format_parquet.read_close(load.reader);
    if (load.dump)
        fclose(load.dump);
    mr_shared_free(runtime.shared);
    mr_arena_reset(&load.arena);
    if (mr_memory_used(&memory) != 0)
        printf("leak\t%lld\n", (long long)mr_memory_used(&memory));
    return mr_status_exit_code(status);
}

/*
 * bind.c - checks of the files sink: everything that can be known before a row is read.
 *
 * The format is asked to open a writer over nothing, so that a type it cannot hold or a codec it does not take is found here,
 * by the code that would find it later.
 */
#include "connect/files/files.h"
#include "connect/files/files_private.h"

#include "dataset/hive.h"
#include "ext/codec.h"
#include "ext/registry.h"

#include <limits.h>

/* ---- format and compression ---- */

static enum mr_status find_format(const struct mr_options *options, struct mr_runtime *runtime,
                                  const struct mr_format **out, struct mr_error *err)
{
    const char *name = mr_options_text(options, "format");
    *out = mr_registry_format(runtime->registry, name);
    if (*out && (*out)->write_open)
        return MR_OK;
    mr_options_error(options, "format", err, "format %s is not built in this version", name);
    if (err)
        mr_error_hint(err, "parquet, avro, json and csv are");
    return MR_CONFIG;
}

static bool is_text(const struct mr_format *format)
{
    return strcmp(format->name, "json") == 0 || strcmp(format->name, "csv") == 0;
}

/* Spark's names: part-0.snappy.parquet, part-0.json.gz. */
static enum mr_status name_extension(struct files *files, const struct mr_codec *codec,
                                     struct mr_arena *arena, struct mr_error *err)
{
    const char *format = files->format->extension;
    if (!codec)
        files->extension = format;
    else if (is_text(files->format))
        files->extension = mr_arena_printf(arena, "%s.%s", format,
                                           codec->extension ? codec->extension : codec->name);
    else
        files->extension =
            mr_arena_printf(arena, "%s.%s", strcmp(codec->name, "gzip") == 0 ? "gz" : codec->name,
                            format);
    return files->extension ? MR_OK : mr_error_nomem(err);
}

static enum mr_status find_compression(struct files *files, const struct mr_options *options,
                                       struct mr_runtime *runtime, struct mr_arena *arena,
                                       struct mr_error *err)
{
    const char *name = mr_options_text(options, "compression");
    if (!name)
        name = is_text(files->format) ? "none" : "snappy";
    if (strcmp(name, "uncompressed") == 0)
        name = "none";
    if (strcmp(name, "zstandard") == 0)
        name = "zstd";
    files->compression = name;
    files->level = INT_MIN;
    bool leveled = mr_options_has(options, "compressionLevel");
    const struct mr_codec *codec = NULL;
    if (strcmp(name, "none") != 0) {
        codec = mr_registry_codec(runtime->registry, name);
        if (!codec)
            return mr_options_error(options, "compression", err,
                                    "compression %s is not in this build", name);
    }
    if (leveled) {
        int64_t level = mr_options_integer(options, "compressionLevel", 0);
        if (!codec || codec->min_level == codec->max_level)
            return mr_options_error(options, "compressionLevel", err,
                                    "compression %s has no levels", name);
        if (level < codec->min_level || level > codec->max_level)
            return mr_options_error(options, "compressionLevel", err, "%s has levels %d to %d",
                                    name, codec->min_level, codec->max_level);
        files->level = (int)level;
    }
    return name_extension(files, codec, arena, err);
}

static enum mr_status swallow(struct mr_byte_sink *sink, const void *data, size_t size,
                              struct mr_error *err)
{
    (void)sink;
    (void)data;
    (void)size;
    (void)err;
    return MR_OK;
}

static enum mr_status try_format(const struct files *files, struct mr_runtime *runtime,
                                 struct mr_error *err)
{
    struct mr_byte_sink sink = {swallow};
    struct mr_format_write write = {
        .schema = files->file_schema,
        .compression = files->compression,
        .level = files->level,
        .row_group_rows = mr_options_integer(files->options, "rowGroupRows", 0),
        .row_group_bytes = mr_options_integer(files->options, "rowGroupBytes", 0),
        .options = files->options,
        .runtime = runtime,
    };
    void *writer;
    MR_TRY(files->format->write_open(&write, &sink, &writer, err));
    files->format->write_close(writer);
    return MR_OK;
}

/* ---- partitions ---- */

static enum mr_status add_partition_column(struct files *files, const char *name,
                                           struct mr_runtime *runtime, struct mr_error *err)
{
    int column = mr_schema_find(files->schema, name);
    if (column < 0) {
        mr_schema_unknown_column(files->schema, name, err);
        if (err)
            mr_error_prefix(err, "partitionBy");
        return MR_CONFIG;
    }
    for (int i = 0; i < files->npartition_columns; i++) {
        if (files->partition_columns[i] == column)
            return mr_options_error(files->options, "partitionBy", err,
                                    "column '%s' is named twice", name);
    }
    MR_TRY(mr_hive_check(&files->schema->fields[column], err));
    files->partition_columns[files->npartition_columns++] = column;
    if (files->schema->fields[column].type->id == MR_TYPE_TIMESTAMP && !files->tz)
        return mr_tz_new(runtime->time_zone ? runtime->time_zone : "UTC", &files->tz, err);
    return MR_OK;
}

static enum mr_status split_schema(struct files *files, const struct mr_sink_bind *bind,
                                   struct mr_error *err)
{
    const struct mr_option_value *wanted = mr_options_get(bind->options, "partitionBy");
    int count = wanted->set ? wanted->u.strings.count : 0;
    files->partition_columns =
        mr_arena_calloc(bind->arena, (size_t)count + 1, sizeof *files->partition_columns);
    struct mr_field *fields =
        mr_arena_calloc(bind->arena, (size_t)files->schema->nfields + 1, sizeof *fields);
    if (!files->partition_columns || !fields)
        return mr_error_nomem(err);
    for (int i = 0; i < count; i++)
        MR_TRY(add_partition_column(files, wanted->u.strings.items[i], bind->runtime, err));
    int kept = 0;
    for (int i = 0; i < files->schema->nfields; i++) {
        bool partition = false;
        for (int k = 0; k < count; k++)
            partition |= files->partition_columns[k] == i;
        if (!partition)
            fields[kept++] = files->schema->fields[i];
    }
    if (kept == 0 && count > 0)
        return mr_options_error(bind->options, "partitionBy", err,
                                "no column is left for the files");
    files->file_schema = mr_schema_new(bind->arena, fields, kept);
    return files->file_schema ? MR_OK : mr_error_nomem(err);
}

/* ---- the target ---- */

static enum mr_status seen(void *context, const struct mr_store_entry *entry, struct mr_error *err)
{
    (void)entry;
    (void)err;
    *(bool *)context = true;
    return MR_CANCELLED; /* one is enough: ends the listing */
}

enum mr_status files_exists(const struct files *files, struct mr_runtime *runtime, bool *exists,
                            struct mr_error *err)
{
    const struct mr_location *location = &files->location;
    void *handle;
    *exists = false;
    MR_TRY(location->store->open(location->url, files->options, runtime, &handle, err));
    enum mr_status status = location->store->list(handle, "", NULL, false, seen, exists, err);
    location->store->close(handle);
    return *exists ? MR_OK : status;
}

/* Files that no log names are no part of a Delta table, and an overwrite would take away those that one does. */
static enum mr_status refuse_delta_table(const struct files *files, struct mr_runtime *runtime,
                                         struct mr_error *err)
{
    const struct mr_location *location = &files->location;
    void *handle;
    bool found = false;
    MR_TRY(location->store->open(location->url, files->options, runtime, &handle, err));
    enum mr_status status =
        location->store->list(handle, "_delta_log", NULL, false, seen, &found, err);
    location->store->close(handle);
    if (!found)
        return status;
    mr_error_set(err, MR_SINK, MR_CLASS_CONFIG, "%s is a Delta table", location->text);
    if (err)
        mr_error_hint(err, "write it with toDeltaLake, or choose another path");
    return MR_SINK;
}

static enum mr_status check_target(struct files *files, const struct mr_sink_bind *bind,
                                   struct mr_sink_info *info, struct mr_error *err)
{
    if (bind->runtime->offline || !files->location.store)
        return MR_OK;
    MR_TRY(refuse_delta_table(files, bind->runtime, err));
    if ((files->mode != FILES_ERROR_IF_EXISTS && files->mode != FILES_IGNORE))
        return MR_OK;
    bool exists;
    MR_TRY(files_exists(files, bind->runtime, &exists, err));
    info->skip = exists && files->mode == FILES_IGNORE;
    if (!exists || files->mode == FILES_IGNORE)
        return MR_OK;
    mr_options_error(bind->options, "mode", err, "%s holds files already", files->location.text);
    if (err)
        mr_error_hint(err, "mode errorifexists stops here; append adds, overwrite replaces");
    if (err)
        err->status = MR_SINK; /* the file is right, the target is not */
    return MR_SINK;
}

/* ---- notes ---- */

#define MAX_NOTES 4

static enum mr_status make_notes(const struct files *files, const struct mr_sink_bind *bind,
                                 struct mr_sink_info *info, struct mr_error *err)
{
    static const char *const uploads[] = {"multipartSize",  "multipartThreshold", "uploadThreads",
                                          "maxConnections", "uploadBuffer",       NULL};
    const char **notes = mr_arena_calloc(bind->arena, MAX_NOTES, sizeof *notes);
    if (!notes)
        return mr_error_nomem(err);
    int count = 0;
    const char *idle = NULL;
    for (int i = 0; uploads[i]; i++) {
        if (mr_options_get(bind->options, uploads[i])->by_user)
            idle = idle ? mr_arena_printf(bind->arena, "%s, %s", idle, uploads[i]) : uploads[i];
    }
    if (idle && files->location.store && strcmp(files->location.store->scheme, "file") == 0)
        notes[count++] = mr_arena_printf(bind->arena, "no effect on a local directory: %s", idle);
    if (files->mode == FILES_OVERWRITE && files->dynamic)
        notes[count++] = "overwrite replaces only the partitions that are written; "
                         "partitionOverwriteMode static replaces all";
    else if (files->mode == FILES_OVERWRITE)
        notes[count++] = mr_arena_printf(bind->arena, "overwrite replaces everything below %s",
                                         files->location.text);
    for (int i = 0; i < count; i++) {
        if (!notes[i])
            return mr_error_nomem(err);
    }
    info->notes = notes;
    info->nnotes = count;
    info->location = mr_arena_printf(bind->arena, "%s (%s, %s)", files->location.text,
                                     files->format->name, files->compression);
    return info->location ? MR_OK : mr_error_nomem(err);
}

/* ---- bind ---- */

static void files_close(void *state)
{
    struct files *files = state;
    if (files)
        mr_tz_free(files->tz);
}

static enum mr_status bind_all(struct files *files, const struct mr_sink_bind *bind,
                               struct mr_sink_info *info, struct mr_error *err)
{
    const struct mr_options *options = bind->options;
    MR_TRY(mr_locate(options, bind->runtime, bind->arena, &files->location, err));
    MR_TRY(find_format(options, bind->runtime, &files->format, err));
    MR_TRY(find_compression(files, options, bind->runtime, bind->arena, err));
    files->mode = (enum files_mode)mr_options_integer(options, "mode", FILES_APPEND);
    info->kinds |= files->mode == FILES_OVERWRITE ? MR_SINK_COMPLETE : 0;
    const struct mr_option_value *partitions = mr_options_get(options, "partitionBy");
    files->dynamic = partitions->set && partitions->u.strings.count > 0 &&
                     mr_options_integer(options, "partitionOverwriteMode", 0) == 0;
    if (bind->schema) {
        files->schema = bind->schema;
        MR_TRY(split_schema(files, bind, err));
        MR_TRY(try_format(files, bind->runtime, err));
    }
    MR_TRY(check_target(files, bind, info, err));
    return make_notes(files, bind, info, err);
}

static enum mr_status files_bind(const struct mr_sink_bind *bind, void **state,
                                 struct mr_sink_info *info, struct mr_error *err)
{
    *info = (struct mr_sink_info){.kinds = MR_SINK_APPEND};
    struct files *files = mr_arena_calloc(bind->arena, 1, sizeof *files);
    if (!files)
        return mr_error_nomem(err);
    files->options = bind->options;
    files->sequence = bind->sequence;
    enum mr_status status = bind_all(files, bind, info, err);
    if (status == MR_OK)
        *state = files;
    else
        files_close(files);
    return status;
}

const struct mr_sink mr_sink_files = {
    .name = "files",
    .doc =
        "Writes files: Parquet, Avro, JSON lines or CSV, partitioned or not, committed as a whole.",
    .system = "s3",
    .options = files_options,
    .bind = files_bind,
    .writer_open = files_writer_open,
    .write = files_write,
    .relieve = files_relieve,
    .part_bytes = files_part_bytes,
    .writer_finish = files_writer_finish,
    .writer_close = files_writer_close,
    .prepare = files_prepare,
    .commit = files_commit,
    .recover = files_recover,
    .abort = files_abort,
    .sweep = files_sweep,
    .close = files_close,
};

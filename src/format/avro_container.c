/*
 * avro_container.c - codecs by their names in Avro, and the option avroSchema.
 */
#include "format/avro_container.h"

#include "ext/registry.h"

#include <errno.h>
#include <stdio.h>

enum mr_status avro_find_codec(const struct mr_registry *registry, const char *name,
                               struct avro_codec *out, struct mr_error *err)
{
    static const struct {
        const char *file, *registry;
    } names[] = {{"null", "none"},
                 {"deflate", "deflate"},
                 {"snappy", "snappy"},
                 {"zstandard", "zstd"}};
    *out = (struct avro_codec){.name = NULL};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i].file) == 0 || strcmp(name, names[i].registry) == 0) {
            out->name = names[i].file;
            out->crc = strcmp(out->name, "snappy") == 0;
            if (i > 0)
                out->codec = mr_registry_codec(registry, names[i].registry);
            if (i > 0 && (!out->codec || !out->codec->decompress_within))
                out->name = NULL;
        }
    if (out->name)
        return MR_OK;
    mr_error_config(err, "compression %.60s is not used for Avro files", name);
    if (err)
        mr_error_hint(err, "snappy, deflate, zstandard and none are");
    return MR_CONFIG;
}

static enum mr_status read_file(const char *path, struct mr_runtime *runtime, struct mr_bytes *out,
                                struct mr_error *err)
{
    struct mr_bytes full;
    mr_bytes_init(&full, 1 << 16);
    if (*path != '/' && runtime && runtime->pipeline_dir)
        mr_bytes_printf(&full, "%s/", runtime->pipeline_dir);
    mr_bytes_text(&full, path);
    enum mr_status status = mr_bytes_status(&full, err);
    FILE *file = status == MR_OK ? fopen(full.data, "rb") : NULL;
    if (status == MR_OK && !file) {
        status = mr_error_config(err, "avroSchema: cannot read %s: %s", path, strerror(errno));
        if (err)
            mr_error_hint(err, "it is JSON text, or a path relative to the pipeline file");
    }
    char piece[8192];
    size_t size;
    while (file && status == MR_OK && (size = fread(piece, 1, sizeof piece, file)) > 0) {
        mr_bytes_append(out, piece, size);
        status = mr_bytes_status(out, err);
    }
    if (file && ferror(file) && status == MR_OK)
        status = mr_error_config(err, "avroSchema: cannot read %s", path);
    if (file)
        fclose(file);
    mr_bytes_reset(&full);
    return status;
}

enum mr_status avro_option_schema(const struct mr_options *options, struct mr_runtime *runtime,
                                  struct mr_arena *arena, const struct mr_avro_document **out,
                                  struct mr_error *err)
{
    *out = NULL;
    if (!options || !mr_option_find(options->table, "avroSchema") ||
        !mr_options_has(options, "avroSchema"))
        return MR_OK;
    const char *text = mr_options_text(options, "avroSchema");
    const char *start = text + strspn(text, " \t\r\n");
    struct mr_bytes file;
    enum mr_status status = MR_OK;
    mr_bytes_init(&file, MR_AVRO_MAX_TEXT);
    bool inline_text = *start == '{' || *start == '[' || *start == '"';
    if (!inline_text)
        status = read_file(text, runtime, &file, err);
    if (status == MR_OK)
        status =
            mr_avro_parse(arena,
                          inline_text ? mr_slice_of(text) : (struct mr_slice){file.data, file.size},
                          true, out, err);
    mr_bytes_reset(&file);
    if (status != MR_OK && err && !err->where[0]) {
        const struct mr_position *at = &mr_options_get(options, "avroSchema")->position;
        if (at->file)
            mr_error_where(err, "%s:%d:%d", at->file, at->line, at->column);
    }
    return status;
}

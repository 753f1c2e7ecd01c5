/*
 * avro_container.c - codecs by their names in Avro, and the option avroSchema.
 */
#include "format/avro_container.h"

#include "ext/registry.h"

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

enum mr_status avro_option_schema(const struct mr_options *options, struct mr_runtime *runtime,
                                  struct mr_arena *arena, const struct mr_avro_document **out,
                                  struct mr_error *err)
{
    *out = NULL;
    if (!options || !mr_option_find(options->table, "avroSchema") ||
        !mr_options_has(options, "avroSchema"))
        return MR_OK;
    enum mr_status status = mr_avro_load(arena, mr_options_text(options, "avroSchema"),
                                         runtime->pipeline_dir, out, err);
    const struct mr_position *at = &mr_options_get(options, "avroSchema")->position;
    if (status != MR_OK && err && !err->where[0] && at->file)
        mr_error_where(err, "%s:%d:%d", at->file, at->line, at->column);
    return status;
}
